import type { Clock } from '#base/clock.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { nextPemBlock } from '#crypto/pem.ts'
import { type Certificate, parseCertificate } from '../x509/certificate.ts'
import { type DevCa, openDevCa } from './dev-ca.ts'
import { type DevJwtAuthority, openJwtAuthority } from './jwt-authority.ts'

/** Everything in the folder of a development CA. */
export interface DevAuthority {
  readonly ca: DevCa
  readonly certificate: Certificate
  readonly jwt: DevJwtAuthority
}

/**
 * Opens a development CA for one trust domain; made when the folder is empty.
 *
 * @throws SluiceError when what is there is of another trust domain, has expired or cannot be read.
 */
export function openDevAuthority(
  dir: string,
  options: { readonly trustDomain: string; readonly clock: Clock },
): DevAuthority {
  const ca = openDevCa(dir, options)
  const certificate = parseCertificate(nextPemBlock(ca.bundlePem)?.block.bytes ?? Buffer.alloc(0))
  try {
    return { ca, certificate, jwt: openJwtAuthority(dir) }
  } catch (cause) {
    const expected = 'an EC private key, or none: one is made then'
    const place = `${dir}: jwt.key`
    throw new SluiceError({ code: 'dev_ca_unusable', place, found: messageOf(cause), expected, cause })
  }
}

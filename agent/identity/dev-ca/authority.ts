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
  const refuse = (found: string, cause?: unknown) =>
    new SluiceError({
      code: 'dev_ca_unusable',
      place: dir,
      found,
      expected: `a development CA of ${options.trustDomain}, or a folder in which one can be made`,
      cause,
    })
  let opened: DevAuthority
  try {
    const ca = openDevCa(dir, options)
    const block = nextPemBlock(ca.bundlePem)?.block
    opened = {
      ca,
      certificate: parseCertificate(block?.bytes ?? Buffer.alloc(0)),
      jwt: openJwtAuthority(dir),
    }
  } catch (cause) {
    throw refuse(messageOf(cause), cause)
  }
  const { altNames, notAfterMs } = opened.certificate
  const [name] = altNames.filter(({ tag }) => tag === 6)
  if (name?.text !== `spiffe://${options.trustDomain}`) throw refuse(`a CA of ${name?.text ?? 'nobody'}`)
  if (options.clock.nowMs() >= notAfterMs) throw refuse('a CA that has expired: remove it for a new one')
  return opened
}

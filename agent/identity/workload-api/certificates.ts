import { messageOf } from '#base/errors.ts'
import { DerReader, tags } from '#crypto/der.ts'
import { type Certificate, parseCertificate } from '../x509/certificate.ts'

/** Of a bundle. An authority that was replaced stays for a while, so there are some. */
const maxCertificates = 128

/**
 * Takes DER values that stand one behind the other apart.
 *
 * @throws MalformedError where the octets are anything else.
 */
export function splitDer(bytes: Uint8Array): readonly Buffer[] {
  // A copy: what is kept long must not hold the whole message.
  const reader = new DerReader(Buffer.from(bytes))
  const found: Buffer[] = []
  while (!reader.isEmpty && found.length <= maxCertificates) found.push(reader.element(tags.sequence).whole)
  return found
}

export type ParsedCertificates =
  | { readonly ok: true; readonly certificates: readonly Certificate[] }
  | { readonly ok: false; readonly why: string }

/** The X.509 authorities of one bundle. None is a bundle too: whoever has that one trusts nobody of its domain. */
export function parseAuthorities(bytes: Uint8Array): ParsedCertificates {
  try {
    const list = splitDer(bytes)
    if (list.length > maxCertificates) return { ok: false, why: `more than ${maxCertificates} certificates` }
    return { ok: true, certificates: list.map(parseCertificate) }
  } catch (thrown) {
    return { ok: false, why: messageOf(thrown) }
  }
}

import { messageOf } from '#base/errors.ts'
import { nextPemBlock } from '#crypto/pem.ts'
import { parseSpiffeId, type SpiffeId } from '../spiffe-id.ts'
import { type Certificate, keyUsages, parseCertificate } from './certificate.ts'

/** A certificate that keeps every rule for the leaf of an X509-SVID that needs neither clock nor bundle. */
export interface Leaf {
  readonly id: SpiffeId
  readonly certificate: Certificate
}

export type ParsedLeaf =
  | { readonly ok: true; readonly leaf: Leaf }
  | { readonly ok: false; readonly why: string }

const maxPemCharacters = 32_768
const serverAuth = '1.3.6.1.5.5.7.3.1'
const clientAuth = '1.3.6.1.5.5.7.3.2'

/** The leaf that Envoy passes: exactly one block of PEM. */
export function parseLeafPem(pem: string): ParsedLeaf {
  if (pem.length > maxPemCharacters) return no('the certificate is too large')
  const found = pem.split('-----BEGIN ').length === 2 ? nextPemBlock(pem) : undefined
  if (found === undefined || found.block.type !== 'CERTIFICATE' || found.rest.trim() !== '')
    return no('not exactly one PEM block of a certificate')
  return parseLeaf(found.block.bytes)
}

/**
 * Checks the leaf against every rule of the X509-SVID standard that does not need the clock. Envoy's own SPIFFE
 * validator lets many of these pass (two URI SANs, a bare trust domain, a wrong key usage), and so does go-spiffe.
 *
 * @see X509-SVID.md, sections 2 to 5 and appendix A
 */
export function parseLeaf(der: Buffer): ParsedLeaf {
  let certificate: Certificate
  try {
    certificate = parseCertificate(der)
  } catch (thrown) {
    return no(`not a certificate: ${messageOf(thrown)}`)
  }
  const fault = usageFault(certificate)
  if (fault !== undefined) return no(fault)
  const uris = certificate.altNames.filter(({ tag }) => tag === 6)
  const [uri] = uris
  if (uri === undefined || uris.length > 1) return no(`${uris.length} URI SANs, expected exactly one`)
  if (!certificate.hasSubject && !certificate.isAltNameCritical)
    return no('the subject is empty and the SAN is not critical')
  const parsed = parseSpiffeId(uri.text)
  return parsed.ok ? { ok: true, leaf: { id: parsed.id, certificate } } : no(`SPIFFE ID: ${parsed.why}`)
}

const no = (why: string): ParsedLeaf => ({ ok: false, why })

function usageFault({ isCa, keyUsage, extendedKeyUsage, unknownCritical }: Certificate): string | undefined {
  if (isCa) return 'a CA certificate'
  if (keyUsage === undefined) return 'no key usage'
  if (!keyUsage.isCritical) return 'the key usage is not critical'
  if (!keyUsage.bits.has(keyUsages.digitalSignature)) return 'the key usage lacks digitalSignature'
  if (keyUsage.bits.has(keyUsages.keyCertSign)) return 'the key usage has keyCertSign'
  if (keyUsage.bits.has(keyUsages.cRLSign)) return 'the key usage has cRLSign'
  if (extendedKeyUsage?.includes(serverAuth) === false || extendedKeyUsage?.includes(clientAuth) === false)
    return 'the extended key usage lacks serverAuth or clientAuth'
  if (unknownCritical.length > 0)
    return `a critical extension that is not understood: ${unknownCritical.join(', ')}`
  return undefined
}

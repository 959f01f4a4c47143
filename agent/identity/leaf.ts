import { X509Certificate } from 'node:crypto'
import forge from 'node-forge'
import { messageOf } from '#base/errors.ts'
import { parseSpiffeId, type SpiffeId } from './spiffe-id.ts'

/** What a leaf certificate proves, if Envoy has validated its chain. */
export interface Leaf {
  readonly id: SpiffeId
  /** Lower-case hex SHA-256 of the DER. */
  readonly sha256: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

export type ParsedLeaf =
  | { readonly ok: true; readonly leaf: Leaf }
  | { readonly ok: false; readonly why: string }

const maxPemCharacters = 32_768

const oid = {
  subjectAltName: '2.5.29.17',
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

/**
 * Checks the leaf against every rule of the X509-SVID standard that does not need the clock. Envoy's own SPIFFE
 * validator lets many of these pass (two URI SANs, a bare trust domain, a wrong key usage). The extensions are read from
 * the DER: the text that Node makes of a subject alternative name can be forged from inside it.
 *
 * @see X509-SVID.md, sections 2 to 5 and appendix A
 */
export function parseLeaf(pem: string): ParsedLeaf {
  const no = (why: string): ParsedLeaf => ({ ok: false, why })
  if (pem.length > maxPemCharacters) return no('the certificate is too large')
  if (pem.split('-----BEGIN ').length !== 2) return no('not exactly one PEM block')
  let certificate: X509Certificate
  let extensions: Map<string, Extension>
  try {
    certificate = new X509Certificate(pem)
    extensions = readExtensions(certificate.raw)
  } catch (thrown) {
    return no(`not a certificate: ${messageOf(thrown)}`)
  }
  try {
    const fault = usageFault(extensions)
    if (fault !== undefined) return no(fault)
    const uris = uriNames(extensions.get(oid.subjectAltName))
    if (uris.length !== 1) return no(`${uris.length} URI SANs, expected exactly one`)
    const san = extensions.get(oid.subjectAltName)
    if (certificate.subject === undefined && san?.isCritical !== true)
      return no('the subject is empty and the SAN is not critical')
    const parsed = parseSpiffeId(uris[0] as string)
    if (!parsed.ok) return no(`SPIFFE ID: ${parsed.why}`)
    return {
      ok: true,
      leaf: {
        id: parsed.id,
        sha256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
        notBeforeMs: certificate.validFromDate.getTime(),
        notAfterMs: certificate.validToDate.getTime(),
      },
    }
  } catch (thrown) {
    return no(`malformed extension: ${messageOf(thrown)}`)
  }
}

interface Extension {
  readonly isCritical: boolean
  /** The DER inside the octet string, parsed. */
  readonly value: forge.asn1.Asn1
}

const { asn1 } = forge

function readExtensions(der: Buffer): Map<string, Extension> {
  const certificate = asn1.fromDer(der.toString('latin1'), { strict: true, decodeBitStrings: false } as never)
  const tbs = children(children(certificate)[0])
  const found = new Map<string, Extension>()
  const holder = tbs.find((each) => each.tagClass === asn1.Class.CONTEXT_SPECIFIC && each.type === 3)
  if (holder === undefined) return found
  for (const entry of children(children(holder)[0])) {
    const [id, ...rest] = children(entry)
    const name = asn1.derToOid(octets(id))
    if (found.has(name)) throw new Error(`extension ${name} stands twice`)
    const critical = rest.length === 2 && octets(rest[0]) !== '\0'
    found.set(name, {
      isCritical: critical,
      value: asn1.fromDer(octets(rest.at(-1)), { strict: true, decodeBitStrings: false } as never),
    })
  }
  return found
}

function usageFault(extensions: ReadonlyMap<string, Extension>): string | undefined {
  const constraints = extensions.get(oid.basicConstraints)
  if (constraints !== undefined) {
    const [first] = children(constraints.value)
    if (first?.type === asn1.Type.BOOLEAN && octets(first) !== '\0') return 'a CA certificate'
  }
  const usage = extensions.get(oid.keyUsage)
  if (usage === undefined) return 'no key usage'
  if (!usage.isCritical) return 'the key usage is not critical'
  const bits = octets(usage.value)
  // The first octet counts unused bits; then bit 0 is digitalSignature, 5 keyCertSign, 6 cRLSign.
  const flags = bits.charCodeAt(1)
  if ((flags & 0x80) === 0) return 'the key usage lacks digitalSignature'
  if ((flags & 0x04) !== 0) return 'the key usage has keyCertSign'
  if ((flags & 0x02) !== 0) return 'the key usage has cRLSign'
  const extended = extensions.get(oid.extKeyUsage)
  if (extended !== undefined) {
    const purposes = children(extended.value).map((each) => asn1.derToOid(octets(each)))
    if (!purposes.includes(oid.serverAuth) || !purposes.includes(oid.clientAuth)) {
      return 'the extended key usage lacks serverAuth or clientAuth'
    }
  }
  return undefined
}

/** Every uniformResourceIdentifier (context tag 6) of a subject alternative name, as Latin-1 text. */
function uriNames(extension: Extension | undefined): string[] {
  if (extension === undefined) return []
  return children(extension.value)
    .filter((name) => name.tagClass === asn1.Class.CONTEXT_SPECIFIC && name.type === 6)
    .map(octets)
}

function children(node: forge.asn1.Asn1 | undefined): forge.asn1.Asn1[] {
  if (node === undefined || !Array.isArray(node.value)) throw new Error('unexpected structure')
  return node.value
}

function octets(node: forge.asn1.Asn1 | undefined): string {
  if (node === undefined || typeof node.value !== 'string') throw new Error('unexpected structure')
  return node.value
}

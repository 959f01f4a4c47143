import forge from 'node-forge'

const { asn1 } = forge

/** A node to write, or DER that is ready. */
export type Node = forge.asn1.Asn1 | Buffer

const universal = (
  type: number,
  isConstructed: boolean,
  value: string | forge.asn1.Asn1[],
): forge.asn1.Asn1 => asn1.create(asn1.Class.UNIVERSAL, type, isConstructed, value)

/** The distinguished encoding (ITU-T X.690). */
export function toDer(node: Node): Buffer {
  return Buffer.isBuffer(node) ? node : Buffer.from(asn1.toDer(node).getBytes(), 'latin1')
}

export function sequence(items: readonly Node[]): forge.asn1.Asn1 {
  return universal(asn1.Type.SEQUENCE, true, items.map(parsed))
}

/** Explicit context tag. */
export function tagged(tag: number, items: readonly Node[]): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag as never, true, items.map(parsed))
}

/** Implicit context tag over octets. */
export function implicit(tag: number, bytes: Buffer): forge.asn1.Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag as never, false, bytes.toString('latin1'))
}

/** Big-endian bytes of a positive number. */
export function integer(bytes: Buffer): forge.asn1.Asn1 {
  return universal(asn1.Type.INTEGER, false, bytes.toString('latin1'))
}

export function boolean(value: boolean): forge.asn1.Asn1 {
  return universal(asn1.Type.BOOLEAN, false, value ? '\xff' : '\0')
}

export function oid(text: string): forge.asn1.Asn1 {
  return universal(asn1.Type.OID, false, asn1.oidToDer(text).getBytes())
}

export function octetString(bytes: Buffer): forge.asn1.Asn1 {
  return universal(asn1.Type.OCTETSTRING, false, bytes.toString('latin1'))
}

/** Named bits of one octet, trailing zeros left out as DER wants, or whole octets. */
export function bits(value: number | Buffer): forge.asn1.Asn1 {
  const unused = typeof value === 'number' ? trailingZeros(value) : 0
  const content = typeof value === 'number' ? Buffer.from([value]) : value
  return universal(asn1.Type.BITSTRING, false, String.fromCharCode(unused) + content.toString('latin1'))
}

/** A distinguished name with only a common name, or nothing at all. */
export function name(commonName: string): forge.asn1.Asn1 {
  if (commonName === '') return sequence([])
  const value = universal(asn1.Type.UTF8, false, Buffer.from(commonName).toString('latin1'))
  return sequence([universal(asn1.Type.SET, true, [sequence([oid('2.5.4.3'), value])])])
}

/** From 2050 on with four digits of the year. @see RFC 5280, 4.1.2.5 */
export function time(ms: number): forge.asn1.Asn1 {
  const date = new Date(ms)
  return date.getUTCFullYear() < 2050
    ? universal(asn1.Type.UTCTIME, false, asn1.dateToUtcTime(date) as string)
    : universal(asn1.Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date) as string)
}

/** A name of another type: its context tag and its octets as Latin-1 text. */
export interface OtherName {
  readonly tag: number
  readonly text: string
}

/** A subject alternative name of URIs (tag 6), DNS names (tag 2) and others. */
export function generalNames(names: {
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly otherNames?: readonly OtherName[]
}): forge.asn1.Asn1 {
  const item = (tag: number) => (text: string) => implicit(tag, Buffer.from(text))
  return sequence([
    ...names.uris.map(item(6)),
    ...names.dnsNames.map(item(2)),
    ...(names.otherNames ?? []).map(({ tag, text }) => implicit(tag, Buffer.from(text, 'latin1'))),
  ])
}

/** One side of name constraints, of URI hosts; nothing where there are none. */
export function subtrees(tag: number, hosts: readonly string[]): forge.asn1.Asn1[] {
  if (hosts.length === 0) return []
  return [
    tagged(
      tag,
      hosts.map((host) => sequence([implicit(6, Buffer.from(host))])),
    ),
  ]
}

function parsed(node: Node): forge.asn1.Asn1 {
  // Without looking inside bit strings: what is read is written back as it was.
  return Buffer.isBuffer(node)
    ? asn1.fromDer(node.toString('latin1'), { decodeBitStrings: false } as never)
    : node
}

function trailingZeros(octet: number): number {
  return octet === 0 ? 7 : 31 - Math.clz32(octet & -octet)
}

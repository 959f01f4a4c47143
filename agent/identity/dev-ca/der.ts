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

/** A distinguished name with only a common name. */
export function name(commonName: string): forge.asn1.Asn1 {
  const value = universal(asn1.Type.UTF8, false, commonName)
  return sequence([universal(asn1.Type.SET, true, [sequence([oid('2.5.4.3'), value])])])
}

export function time(ms: number): forge.asn1.Asn1 {
  return universal(asn1.Type.UTCTIME, false, asn1.dateToUtcTime(new Date(ms)) as string)
}

/** A subject alternative name of URIs (tag 6) and DNS names (tag 2). */
export function generalNames(names: {
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
}): forge.asn1.Asn1 {
  const item = (tag: number) => (text: string) => implicit(tag, Buffer.from(text))
  return sequence([...names.uris.map(item(6)), ...names.dnsNames.map(item(2))])
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

import { MalformedError } from '#base/malformed.ts'

/** Universal tags of ASN.1, with the constructed bit where they have it. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const

/** Context-specific tags, primitive and constructed. */
export const context = (number: number): number => 0x80 | number
export const constructed = (number: number): number => 0xa0 | number

export interface Element {
  readonly tag: number
  readonly contents: Buffer
  /** With tag and length. */
  readonly whole: Buffer
}

export interface BitString {
  readonly bytes: Buffer
  /** Bits at the end of the last octet that say nothing. */
  readonly unused: number
}

/** Four times the longest RSA key that OpenSSL takes; what is longer was made to be slow in decimal. */
const maxIntegerOctets = 8192

const malformed = (what: string) => new MalformedError(`malformed DER: ${what}`)

/**
 * Reads DER front to back, as strictly as Go's `cryptobyte`: lengths in their shortest form, none indefinite, tags below
 * 31, integers minimal. Everything it finds is a slice, so that deep or long input costs nothing twice. Every method
 * throws MalformedError where the next element is not what it asks for.
 *
 * @see ITU-T X.690
 */
export class DerReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isEmpty(): boolean {
    return this.#at === this.#bytes.length
  }

  nextIs(tag: number): boolean {
    return this.#bytes[this.#at] === tag
  }

  any(): Element {
    const [bytes, start] = [this.#bytes, this.#at]
    const [tag, first] = [bytes[start], bytes[start + 1]]
    if (tag === undefined || first === undefined) throw malformed('cut off')
    if ((tag & 0x1f) === 0x1f) throw malformed('a tag above 30')
    let [length, header] = [first, 2]
    if (first >= 0x80) {
      const octets = first & 0x7f
      if (octets === 0 || octets > 4 || start + 2 + octets > bytes.length) throw malformed('a length')
      length = bytes.readUIntBE(start + 2, octets)
      if (length < 0x80 || length < 2 ** (8 * (octets - 1)))
        throw malformed('a length not in its shortest form')
      header += octets
    }
    const stop = start + header + length
    if (stop > bytes.length) throw malformed('cut off')
    this.#at = stop
    return { tag, contents: bytes.subarray(start + header, stop), whole: bytes.subarray(start, stop) }
  }

  element(tag: number): Element {
    const found = this.any()
    if (found.tag !== tag) throw malformed(`tag ${found.tag} where ${tag} should be`)
    return found
  }

  contents(tag: number): Buffer {
    return this.element(tag).contents
  }

  inside(tag: number): DerReader {
    return new DerReader(this.contents(tag))
  }

  optional(tag: number): DerReader | undefined {
    return this.nextIs(tag) ? this.inside(tag) : undefined
  }

  boolean(): boolean {
    const value = this.contents(tags.boolean)
    if (value.length !== 1 || (value[0] !== 0 && value[0] !== 0xff)) throw malformed('a boolean')
    return value[0] === 0xff
  }

  integer(tag: number = tags.integer): bigint {
    const value = this.contents(tag)
    const [first = 0, second = 0] = value
    if (value.length === 0 || value.length > maxIntegerOctets) throw malformed('an integer')
    if (value.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80)))
      throw malformed('an integer not in its shortest form')
    return BigInt.asIntN(8 * value.length, BigInt(`0x${value.toString('hex')}`))
  }

  /** An integer of 64 bits, signed. */
  int64(tag: number = tags.integer): bigint {
    const value = this.integer(tag)
    if (BigInt.asIntN(64, value) !== value) throw malformed('an integer of more than 64 bits')
    return value
  }

  oid(): readonly number[] {
    return parseOid(this.contents(tags.oid))
  }

  bitString(): BitString {
    const value = this.contents(tags.bitString)
    const [unused = 8, bytes] = [value[0], value.subarray(1)]
    const last = bytes.at(-1)
    if (unused > 7 || (last === undefined ? unused !== 0 : (last & ((1 << unused) - 1)) !== 0))
      throw malformed('a bit string')
    return { bytes, unused }
  }
}

/** The arcs of an object identifier, each of at most 31 bits. @throws MalformedError */
export function parseOid(bytes: Buffer): readonly number[] {
  const arcs: number[] = []
  let [value, isFirst] = [0, true]
  for (const octet of bytes) {
    if ((isFirst && octet === 0x80) || value >= 2 ** 24) throw malformed('an object identifier')
    value = value * 128 + (octet & 0x7f)
    isFirst = octet < 0x80
    if (!isFirst) continue
    if (arcs.length > 0) arcs.push(value)
    else if (value < 80) arcs.push(Math.floor(value / 40), value % 40)
    else arcs.push(2, value - 80)
    value = 0
  }
  if (!isFirst || arcs.length === 0) throw malformed('an object identifier')
  return arcs
}

/** Its dotted text, of arcs of any size up to what is sane. @throws MalformedError */
export function oidText(bytes: Buffer): string {
  const arcs: bigint[] = []
  let [value, octets] = [0n, 0]
  for (const octet of bytes) {
    if (++octets > 128) throw malformed('an object identifier')
    value = (value << 7n) | BigInt(octet & 0x7f)
    if (octet >= 0x80) continue
    if (arcs.length > 0) arcs.push(value)
    else if (value < 80n) arcs.push(value / 40n, value % 40n)
    else arcs.push(2n, value - 80n)
    ;[value, octets] = [0n, 0]
  }
  return arcs.join('.')
}

/** The bits as one number's octets: shifted so that none at the end is unused. */
export function rightAligned({ bytes, unused }: BitString): Buffer {
  if (unused === 0) return bytes
  const shifted = Buffer.alloc(bytes.length)
  for (const [index, octet] of bytes.entries())
    shifted[index] = (octet >> unused) | (((bytes[index - 1] ?? 0) << (8 - unused)) & 0xff)
  return shifted
}

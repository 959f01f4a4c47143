import { isAscii } from 'node:buffer'

/** Bytes that are no message of their kind: what was found, and where. */
export class WireFault extends Error {
  override readonly name = 'WireFault'

  constructor(what: string, at: number) {
    super(`${what} at byte ${at}`)
  }
}

/** @see https://protobuf.dev/programming-guides/encoding */
export const wireType = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const

/** Up to here the text of all strings is decoded at once. */
const maxTextBytes = 32_768
const maxGroupDepth = 100
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads protobuf from bytes that somebody else made. Nothing is read beyond the message; whatever does not fit is a
 * `WireFault`. The decoders on top walk the fields with `while (at < end)` and skip what they do not know.
 *
 * A CheckRequest holds some forty short strings: one call into native code decodes them all, and each is a piece of it.
 */
export class Reader {
  readonly bytes: Buffer
  at = 0
  /** Where the message that is read now ends. */
  end: number
  /** Made when the first string is read: a piece of a body has none. */
  #text = ''
  #isAscii = false

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.end = bytes.length
  }

  /** The next field's tag. */
  tag(): number {
    const start = this.at
    const first = this.bytes[start] as number
    let tag = first
    if (first < 0x80) this.at = start + 1
    else {
      tag = this.uint64()
      if (tag > 0xffff_ffff) throw new WireFault('a tag that is too large', start)
    }
    if (tag < 8) throw new WireFault('field number 0', start)
    return tag
  }

  /** Enters a message or another length-delimited value; the outer one's end, to be given to `leave`. */
  enter(): number {
    const start = this.at
    const length = this.#varint()
    const inner = this.at + length
    if (inner > this.end) throw new WireFault('a length beyond its message', start)
    const outer = this.end
    this.end = inner
    return outer
  }

  leave(outer: number): void {
    this.end = outer
  }

  /** A varint of 64 bits, unsigned; beyond 2^53 not exact. */
  uint64(): number {
    const low = this.#low()
    return this.#high * 4_294_967_296 + low
  }

  /** A varint of 64 bits, signed; beyond 2^53 not exact. */
  int64(): number {
    const low = this.#low()
    return (this.#high | 0) * 4_294_967_296 + low
  }

  /** The low 32 bits of a varint, as protobuf has it for longer ones. */
  uint32(): number {
    return this.#low()
  }

  int32(): number {
    return this.#low() | 0
  }

  bool(): boolean {
    return this.#low() !== 0 || this.#high !== 0
  }

  double(): number {
    const { at } = this
    if (at + 8 > this.end) throw new WireFault('a number that does not end', at)
    this.at = at + 8
    return this.bytes.readDoubleLE(at)
  }

  string(): string {
    const start = this.at
    const length = this.#varint()
    const from = this.at
    const to = from + length
    if (to > this.end) throw new WireFault('a string beyond its message', start)
    this.at = to
    if (from === to) return ''
    if (this.#text === '') this.#decode()
    return this.#isAscii ? this.#text.slice(from, to) : this.#mixed(from, to)
  }

  /** Bytes as text, one character each: what a header's raw value is. */
  latin1(): string {
    const start = this.at
    const length = this.#varint()
    const from = this.at
    const to = from + length
    if (to > this.end) throw new WireFault('bytes beyond their message', start)
    this.at = to
    if (this.#text === '') this.#decode()
    return to <= maxTextBytes ? this.#text.slice(from, to) : this.bytes.toString('latin1', from, to)
  }

  /** A view, not a copy. */
  view(): Buffer {
    const start = this.at
    const length = this.#varint()
    const from = this.at
    const to = from + length
    if (to > this.end) throw new WireFault('bytes beyond their message', start)
    this.at = to
    return this.bytes.subarray(from, to)
  }

  /** Passes over the value of a field that is not known. */
  skip(tag: number, depth = 0): void {
    const start = this.at
    const outer = this.end
    switch (tag & 7) {
      case wireType.varint:
        this.#low()
        return
      case wireType.fixed64:
        this.at += 8
        break
      case wireType.bytes:
        this.enter()
        this.at = this.end
        this.end = outer
        return
      case wireType.groupStart: {
        if (depth >= maxGroupDepth) throw new WireFault('groups too deep', start)
        for (;;) {
          if (this.at >= this.end) throw new WireFault('a group that does not end', start)
          const inner = this.tag()
          if ((inner & 7) === wireType.groupEnd) {
            if (inner >>> 3 !== tag >>> 3) throw new WireFault('the end of another group', start)
            return
          }
          this.skip(inner, depth + 1)
        }
      }
      case wireType.fixed32:
        this.at += 4
        break
      default:
        throw new WireFault('a field of no known kind', start)
    }
    if (this.at > this.end) throw new WireFault('a field beyond its message', start)
  }

  #decode(): void {
    const { bytes } = this
    this.#text = bytes.toString('latin1', 0, Math.min(bytes.length, maxTextBytes))
    this.#isAscii = bytes.length <= maxTextBytes && isAscii(bytes)
  }

  /** Strings where not everything is ASCII. */
  #mixed(from: number, to: number): string {
    if (to <= maxTextBytes) {
      const piece = this.#text.slice(from, to)
      if (to - from <= 64 ? isAsciiText(piece) : isAscii(this.bytes.subarray(from, to))) return piece
    }
    try {
      return strictUtf8.decode(this.bytes.subarray(from, to))
    } catch {
      throw new WireFault('a string that is not UTF-8', from)
    }
  }

  /** A length or another number that has to be small. */
  #varint(): number {
    const first = this.bytes[this.at] as number
    if (first < 0x80 && this.at < this.end) {
      this.at++
      return first
    }
    return this.uint64()
  }

  #high = 0

  /** Reads a varint of up to ten octets: the low 32 bits, the others in `#high`. */
  #low(): number {
    const { bytes, end } = this
    let at = this.at
    let low = 0
    this.#high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) throw new WireFault('a number that does not end', this.at)
      const octet = bytes[at++] as number
      const bits = octet & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        this.#high = bits >>> 4
      } else this.#high |= bits << (shift - 32)
      if (octet < 0x80) {
        this.at = at
        this.#high >>>= 0
        return low >>> 0
      }
    }
    throw new WireFault('a number of more than ten octets', this.at)
  }
}

function isAsciiText(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

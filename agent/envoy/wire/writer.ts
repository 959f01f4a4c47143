import type { JsonObject, JsonValue } from '#base/json.ts'

const firstBytes = 4096
/** A writer that grew beyond this for one message does not keep the memory. */
const mostKeptBytes = 256 << 10

/**
 * Writes protobuf from the last field to the first: when a message's length has to be written, its content is there
 * already. Fields are therefore given in reverse, and a list's elements too.
 *
 * One writer serves one message after the other: `begin`, fields, `finish`, which copies the bytes out.
 */
export class Writer {
  #bytes = Buffer.allocUnsafeSlow(firstBytes)
  /** What is written stands from here to the end. */
  #at = firstBytes

  /** How much is written; what `message` needs to know of where its content began. */
  get length(): number {
    return this.#bytes.length - this.#at
  }

  /** Begins a message; what an earlier one left that was never finished is gone. */
  begin(): void {
    if (this.#bytes.length > mostKeptBytes) this.#bytes = Buffer.allocUnsafeSlow(firstBytes)
    this.#at = this.#bytes.length
  }

  finish(): Buffer {
    const whole = Buffer.allocUnsafe(this.length)
    this.#bytes.copy(whole, 0, this.#at)
    return whole
  }

  /** Puts tag and length before what was written since `length` was `before`. */
  message(tag: number, before: number): void {
    this.#varint(this.length - before)
    this.#varint(tag)
  }

  varint(tag: number, value: number): void {
    this.#varint(value)
    this.#varint(tag)
  }

  double(tag: number, value: number): void {
    this.#reserve(8)
    this.#at -= 8
    this.#bytes.writeDoubleLE(value, this.#at)
    this.#varint(tag)
  }

  string(tag: number, value: string): void {
    const { length } = value
    this.#reserve(length * 3)
    const at = this.#at - length
    let i = 0
    // Short ASCII, which is nearly all there is, costs less here than a call into native code.
    for (; i < length && length <= 48; i++) {
      const unit = value.charCodeAt(i)
      if (unit > 0x7f) break
      this.#bytes[at + i] = unit
    }
    const size = i === length ? length : Buffer.byteLength(value)
    this.#at -= size
    // Lone surrogates become U+FFFD: protobuf wants text that is text.
    if (i < length) this.#bytes.write(value, this.#at, size, 'utf8')
    this.#varint(size)
    this.#varint(tag)
  }

  bytes(tag: number, value: Uint8Array): void {
    this.raw(value)
    this.#varint(value.length)
    this.#varint(tag)
  }

  /** What was written elsewhere before: fields with their tags. */
  raw(value: Uint8Array): void {
    this.#reserve(value.length)
    this.#at -= value.length
    this.#bytes.set(value, this.#at)
  }

  /** google.protobuf.Struct as a field. */
  struct(tag: number, value: JsonObject): void {
    const before = this.length
    this.#structContent(value)
    this.message(tag, before)
  }

  #structContent(value: JsonObject): void {
    const keys = Object.keys(value)
    for (let i = keys.length - 1; i >= 0; i--) {
      const key = keys[i] as string
      if (value[key] === undefined) continue
      const before = this.length
      this.#value(0x12, value[key] as JsonValue)
      this.string(0x0a, key)
      this.message(0x0a, before)
    }
  }

  /** google.protobuf.Value as a field. */
  #value(tag: number, value: JsonValue): void {
    const before = this.length
    if (value === null) this.varint(0x08, 0)
    else if (typeof value === 'number') this.double(0x11, value)
    else if (typeof value === 'string') this.string(0x1a, value)
    else if (typeof value === 'boolean') this.varint(0x20, value ? 1 : 0)
    else if (Array.isArray(value)) {
      const list = this.length
      for (let i = value.length - 1; i >= 0; i--) this.#value(0x0a, value[i] as JsonValue)
      this.message(0x32, list)
    } else this.struct(0x2a, value as JsonObject)
    this.message(tag, before)
  }

  #varint(value: number): void {
    this.#reserve(10)
    if (value < 0x80) {
      this.#bytes[--this.#at] = value
      return
    }
    let length = 1
    for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) length++
    this.#at -= length
    let rest = value
    for (let i = 0; i < length - 1; i++) {
      this.#bytes[this.#at + i] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.#at + length - 1] = rest
  }

  #reserve(length: number): void {
    if (this.#at >= length) return
    const used = this.length
    const grown = Buffer.allocUnsafeSlow((used + length) * 2)
    this.#bytes.copy(grown, grown.length - used, this.#at)
    this.#bytes = grown
    this.#at = grown.length - used
  }
}

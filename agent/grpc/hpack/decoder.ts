import { HpackFault } from './fault.ts'
import { decodeHuffman } from './huffman.ts'
import { staticTable } from './static-table.ts'

/** A decoded header list. The same bytes on an unchanged table give the same object. */
export interface HeaderBlock {
  /** Name, value, name, value, … as Latin-1 text, in the order of the block. Cut short where `isTooLarge`. */
  readonly fields: readonly string[]
  /** The list is longer than was announced in SETTINGS_MAX_HEADER_LIST_SIZE. The table is intact. */
  readonly isTooLarge: boolean
}

/** What an entry costs beside its octets (§4.1). */
const entryOverhead = 32
/** Integers on the wire stay below this: no length or index that is needed is larger. */
const maxInteger = 2 ** 28
/** Blocks up to this size are kept to be recognised when they come again. */
const maxRememberedBytes = 512

interface Entry {
  readonly name: string
  readonly value: string
  readonly sizeBytes: number
}

/**
 * The decoding side of HPACK for one connection.
 *
 * A client that makes the same call again and again, as Envoy does, sends the same few octets, all of them references:
 * such a block is recognised by its bytes and not decoded again.
 *
 * @see RFC 7541
 */
export class HpackDecoder {
  readonly #maxListBytes: number
  /** The bound that was announced in SETTINGS_HEADER_TABLE_SIZE. */
  readonly #maxTableBytes: number
  #tableLimit: number
  #tableBytes = 0
  /** Oldest first: entry 62 is the last one. */
  #entries: Entry[] = []
  #first = 0
  #at = 0
  #remembered: { readonly bytes: Uint8Array; readonly block: HeaderBlock } | undefined

  constructor(options: { readonly maxListBytes: number; readonly maxTableBytes?: number }) {
    this.#maxListBytes = options.maxListBytes
    this.#maxTableBytes = options.maxTableBytes ?? 4096
    this.#tableLimit = this.#maxTableBytes
  }

  /** @throws HpackFault; after it the decoder is of no more use. */
  decode(bytes: Buffer): HeaderBlock {
    const known = this.#remembered
    if (known !== undefined && bytes.equals(known.bytes)) return known.block
    return this.#decode(bytes)
  }

  #decode(bytes: Buffer): HeaderBlock {
    const fields: string[] = []
    let listBytes = 0
    let isTouched = false
    let mayResize = true
    this.#at = 0
    while (this.#at < bytes.length) {
      const first = bytes[this.#at] as number
      let name: string
      let value: string
      if ((first & 0xe0) === 0x20) {
        if (!mayResize) throw new HpackFault('a table size update behind a header')
        isTouched = true
        this.#resize(this.#integer(bytes, 5))
        continue
      }
      mayResize = false
      if (first >= 0x80) {
        const entry = this.#entry(this.#integer(bytes, 7))
        name = entry.name
        value = entry.value
      } else {
        const isIndexed = first >= 0x40
        const index = this.#integer(bytes, isIndexed ? 6 : 4)
        name = index === 0 ? this.#string(bytes) : this.#entry(index).name
        value = this.#string(bytes)
        if (isIndexed) {
          isTouched = true
          this.#add(name, value)
        }
      }
      listBytes += name.length + value.length + entryOverhead
      // Later fields are still read: the table must stay what the peer thinks it is.
      if (listBytes <= this.#maxListBytes) fields.push(name, value)
    }
    const block = { fields, isTooLarge: listBytes > this.#maxListBytes }
    if (isTouched) this.#remembered = undefined
    else if (bytes.length <= maxRememberedBytes)
      this.#remembered = { bytes: Uint8Array.prototype.slice.call(bytes), block }
    return block
  }

  /** §2.3.3 */
  #entry(index: number): Entry {
    if (index === 0) throw new HpackFault('an index of zero')
    const fixed = staticEntries[index - 1]
    if (fixed !== undefined) return fixed
    const position = this.#entries.length - (index - staticEntries.length)
    const entry = position >= this.#first ? this.#entries[position] : undefined
    if (entry === undefined) throw new HpackFault(`an index beyond the table: ${index}`)
    return entry
  }

  #add(name: string, value: string): void {
    const sizeBytes = name.length + value.length + entryOverhead
    this.#entries.push({ name, value, sizeBytes })
    this.#tableBytes += sizeBytes
    this.#evict()
  }

  /** §4.3, §6.3 */
  #resize(limit: number): void {
    if (limit > this.#maxTableBytes) throw new HpackFault(`a table size of ${limit}`)
    this.#tableLimit = limit
    this.#evict()
  }

  /** §4.4: an entry larger than the table empties it, and is gone itself. */
  #evict(): void {
    while (this.#tableBytes > this.#tableLimit) {
      this.#tableBytes -= (this.#entries[this.#first] as Entry).sizeBytes
      this.#first++
    }
    if (this.#first > 64 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first)
      this.#first = 0
    }
  }

  /** §5.1 */
  #integer(bytes: Uint8Array, prefixBits: number): number {
    const mask = 2 ** prefixBits - 1
    let value = (bytes[this.#at++] as number) & mask
    if (value < mask) return value
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[this.#at++]
      if (byte === undefined) throw new HpackFault('an integer that does not end')
      value += (byte & 127) * scale
      // The scale too: zeros without end are no integer either.
      if (value >= maxInteger || scale >= maxInteger) throw new HpackFault('an integer that is too large')
      if (byte < 128) return value
    }
  }

  /** §5.2 */
  #string(bytes: Buffer): string {
    const first = bytes[this.#at]
    if (first === undefined) throw new HpackFault('a header that does not end')
    const length = this.#integer(bytes, 7)
    const start = this.#at
    const end = start + length
    if (end > bytes.length) throw new HpackFault('a string that does not end')
    this.#at = end
    return first >= 0x80 ? decodeHuffman(bytes, start, end) : bytes.toString('latin1', start, end)
  }
}

const staticEntries: readonly Entry[] = staticTable.map(([name, value]) => ({ name, value, sizeBytes: 0 }))

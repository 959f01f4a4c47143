import { frameHeaderBytes } from './frames.ts'

const leastSlabBytes = 8192
const largestSlabBytes = 65_536

/**
 * Frames on their way out: gathered in one piece of memory and handed to the socket at the end of the event loop's turn,
 * so that the answers to many requests that came in one read leave in one write.
 */
export class Output {
  readonly #write: (bytes: Buffer) => void
  #slab = Buffer.alloc(0)
  #start = 0
  #end = 0
  #slabBytes = leastSlabBytes

  constructor(write: (bytes: Buffer) => void) {
    this.#write = write
  }

  /** Begins a frame: its header, and room for `length` octets that the caller adds next. */
  begin(length: number, type: number, flags: number, streamId: number): void {
    this.#reserve(frameHeaderBytes + length)
    const slab = this.#slab
    let at = this.#end
    slab[at++] = length >> 16
    slab[at++] = length >> 8
    slab[at++] = length
    slab[at++] = type
    slab[at++] = flags
    slab[at++] = streamId >> 24
    slab[at++] = streamId >> 16
    slab[at++] = streamId >> 8
    slab[at++] = streamId
    this.#end = at
  }

  octet(value: number): void {
    this.#slab[this.#end++] = value
  }

  uint32(value: number): void {
    this.#end = this.#slab.writeUInt32BE(value >>> 0, this.#end)
  }

  bytes(source: Uint8Array, from = 0, to = source.length): void {
    const slab = this.#slab
    let at = this.#end
    // A call into native code costs more than a few dozen steps here.
    if (to - from <= 48) for (let i = from; i < to; i++) slab[at++] = source[i] as number
    else {
      slab.set(from === 0 && to === source.length ? source : source.subarray(from, to), at)
      at += to - from
    }
    this.#end = at
  }

  flush(): void {
    if (this.#start === this.#end) return
    const bytes = this.#slab.subarray(this.#start, this.#end)
    this.#start = this.#end
    this.#write(bytes)
  }

  /** What was written stays as it is until the socket has sent it; a slab is never used twice. */
  #reserve(length: number): void {
    if (this.#slab.length - this.#end >= length) return
    if (this.#end > this.#start) this.#slabBytes = Math.min(largestSlabBytes, this.#slabBytes * 2)
    this.flush()
    this.#slab = Buffer.allocUnsafeSlow(Math.max(this.#slabBytes, length))
    this.#start = 0
    this.#end = 0
  }
}

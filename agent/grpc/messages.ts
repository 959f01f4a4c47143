import type { Status } from './service.ts'
import type { SpareMemory } from './spare-memory.ts'
import { code } from './status.ts'

/** Flag and length, before each message. */
export const prefixBytes = 5
/** A message up to this size gets its memory at once; a longer one as it comes. */
const atOnceBytes = 64 << 10

const nothing: Buffer = Buffer.alloc(0)

/** Counts what is kept; false when it may not be. */
export type Hold = (bytes: number) => boolean

/**
 * Takes the bytes of a call apart into messages. Keeps one unfinished message at most, in memory that grows with what has
 * really come beyond the first 64 KiB.
 */
export class MessageReader {
  readonly #maxBytes: number
  readonly #encoding: string
  readonly #hold: Hold
  readonly #spare: SpareMemory | undefined
  #kept: Buffer = nothing
  #keptBytes = 0
  /** What was counted for it. */
  #heldBytes = 0

  constructor(options: {
    readonly maxBytes: number
    /** What the call named in `grpc-encoding`. */
    readonly encoding: string
    readonly hold: Hold
    /** Where messages that came in parts are put together, for readers who are done with one when `take` returns. */
    readonly spare?: SpareMemory | undefined
  }) {
    this.#spare = options.spare
    this.#maxBytes = options.maxBytes
    this.#encoding = options.encoding
    this.#hold = options.hold
  }

  /** Whether bytes of an unfinished message are left. */
  get isPartial(): boolean {
    return this.#keptBytes > 0
  }

  /** Gives every message that is whole now to `take`; a status when the call must end. */
  feed(chunk: Buffer, take: (message: Buffer) => void): Status | undefined {
    let at = 0
    while (this.#keptBytes > 0) {
      const missing = this.#missing()
      if (typeof missing !== 'number') return missing
      if (missing === 0) {
        const whole = this.#kept.subarray(prefixBytes, this.#keptBytes)
        const memory = this.#kept
        this.release()
        take(whole)
        this.#spare?.give(memory)
        break
      }
      if (at === chunk.length) return undefined
      const end = Math.min(chunk.length, at + missing)
      const fault = this.#keep(chunk, at, end)
      if (fault !== undefined) return fault
      at = end
    }
    while (chunk.length - at >= prefixBytes) {
      const length = this.#length(chunk, at)
      if (typeof length !== 'number') return length
      const end = at + prefixBytes + length
      if (end > chunk.length) break
      take(chunk.subarray(at + prefixBytes, end))
      at = end
    }
    if (at === chunk.length) return undefined
    // Only what lies whole in one read is not copied.
    const fault = this.#keep(chunk, at, chunk.length)
    const missing = fault ?? this.#missing()
    return typeof missing === 'number' ? undefined : missing
  }

  /** Lets go of what is kept. */
  release(): void {
    if (this.#heldBytes === 0) return
    this.#hold(-this.#heldBytes)
    this.#heldBytes = 0
    this.#kept = nothing
    this.#keptBytes = 0
  }

  /** How many bytes the kept message lacks, of its prefix first. */
  #missing(): number | Status {
    if (this.#keptBytes < prefixBytes) return prefixBytes - this.#keptBytes
    const length = this.#length(this.#kept, 0)
    return typeof length === 'number' ? prefixBytes + length - this.#keptBytes : length
  }

  #length(bytes: Buffer, at: number): number | Status {
    const compressed = bytes[at] as number
    if (compressed !== 0) return this.#compressionFault(compressed)
    const length = bytes.readUInt32BE(at + 1)
    if (length <= this.#maxBytes) return length
    return { code: code.resourceExhausted, message: `a message of more than ${this.#maxBytes} bytes` }
  }

  #compressionFault(flag: number): Status {
    if (flag === 1 && this.#encoding !== '' && this.#encoding !== 'identity')
      return { code: code.unimplemented, message: 'compressed messages are not supported' }
    return { code: code.internal, message: 'a message that is compressed by no named encoding' }
  }

  #keep(chunk: Buffer, from: number, to: number): Status | undefined {
    const needed = this.#keptBytes + (to - from)
    if (needed > this.#kept.length) {
      const step = Math.max(atOnceBytes, this.#kept.length * 2)
      const size = Math.max(needed, Math.min(this.#announced(chunk, from, to), step))
      if (!this.#hold(size - this.#heldBytes))
        return { code: code.resourceExhausted, message: 'too many unfinished messages' }
      const grown = this.#spare?.take(size) ?? Buffer.allocUnsafe(size)
      this.#kept.copy(grown, 0, 0, this.#keptBytes)
      this.#heldBytes = size
      this.#kept = grown
    }
    chunk.copy(this.#kept, this.#keptBytes, from, to)
    this.#keptBytes = needed
    return undefined
  }

  /** How long the message will be, with its prefix, as far as that has come. */
  #announced(chunk: Buffer, from: number, to: number): number {
    if (this.#keptBytes >= prefixBytes) return prefixBytes + this.#kept.readUInt32BE(1)
    if (this.#keptBytes === 0 && to - from >= prefixBytes) return prefixBytes + chunk.readUInt32BE(from + 1)
    return prefixBytes
  }
}

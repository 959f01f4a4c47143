import type { Status } from './service.ts'

const headerBytes = 5
const resourceExhausted = 8
const unimplemented = 12

/** A message with the prefix it travels with: flag and length. */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(headerBytes + message.length)
  framed[0] = 0
  framed.writeUInt32BE(message.length, 1)
  framed.set(message, headerBytes)
  return framed
}

/** Takes the bytes of a call apart into messages. Holds at most one unfinished message. */
export class MessageReader {
  readonly #maxBytes: number
  #held: Buffer = Buffer.alloc(0)

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Whether bytes of an unfinished message are left. */
  get isPartial(): boolean {
    return this.#held.length > 0
  }

  /** Gives every message that is whole now to `take`; a status when the call must end. */
  feed(chunk: Buffer, take: (message: Buffer) => void): Status | undefined {
    let bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    while (bytes.length >= headerBytes) {
      if (bytes[0] !== 0) return { code: unimplemented, message: 'compressed messages are not supported' }
      const length = bytes.readUInt32BE(1)
      if (length > this.#maxBytes)
        return { code: resourceExhausted, message: `a message of more than ${this.#maxBytes} bytes` }
      const end = headerBytes + length
      if (bytes.length < end) break
      take(bytes.subarray(headerBytes, end))
      bytes = bytes.subarray(end)
    }
    this.#held = bytes
    return undefined
  }
}

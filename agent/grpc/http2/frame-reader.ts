import { ConnectionFault, defaultFrameBytes, flag, frameHeaderBytes, frameType, maxUint31 } from './frames.ts'

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly bytes: Buffer
  /** Where the payload stands in `bytes`. */
  readonly start: number
  readonly end: number
}

/**
 * Cuts what comes from a socket into frames. A frame that lies whole in one read is not copied; of one that does not, only
 * its own octets are kept, so that the memory of the read can go. DATA is not kept at all: what has come of it is given as
 * a shorter frame of its own, the end of the stream with the last piece.
 *
 * @see RFC 9113, §4.1
 */
export class FrameReader {
  #partial: Buffer | undefined
  #partialBytes = 0
  /** Of a DATA frame that is given in pieces: what has not come. */
  #missingData = 0
  #dataFlags = 0
  #dataId = 0

  /** Whether the beginning of a frame is kept. */
  get isPartial(): boolean {
    return this.#partial !== undefined || this.#missingData > 0
  }

  /**
   * Gives every frame that is whole now to `take`, as long as that answers true.
   *
   * @throws ConnectionFault for a frame longer than was announced, before its payload is kept; and what `take` throws.
   */
  read(chunk: Buffer, from: number, take: (frame: Frame) => boolean): void {
    let at = from
    if (this.#missingData > 0) {
      const end = Math.min(chunk.length, at + this.#missingData)
      if (!take(this.#dataPiece(chunk, at, end))) return
      at = end
    }
    if (this.#partial !== undefined) {
      at = this.#complete(chunk, at)
      if (this.#partialBytes < this.#partial.length) return
      const whole = this.#partial
      this.#partial = undefined
      if (!take(frameAt(whole, 0, whole.length))) return
    }
    while (chunk.length - at >= frameHeaderBytes) {
      const end = at + frameHeaderBytes + lengthAt(chunk, at)
      if (end > chunk.length) {
        const isPlainData =
          chunk[at + 3] === frameType.data && ((chunk[at + 4] as number) & flag.padded) === 0
        if (!isPlainData) break
        const frame = frameAt(chunk, at, end)
        this.#missingData = end - frame.start
        this.#dataFlags = frame.flags
        this.#dataId = frame.id
        if (chunk.length > frame.start) take(this.#dataPiece(chunk, frame.start, chunk.length))
        return
      }
      if (!take(frameAt(chunk, at, end))) return
      at = end
    }
    if (at < chunk.length) this.#keep(chunk, at)
  }

  #dataPiece(bytes: Buffer, start: number, end: number): Frame {
    this.#missingData -= end - start
    const flags = this.#missingData > 0 ? this.#dataFlags & ~flag.endStream : this.#dataFlags
    return { type: frameType.data, flags, id: this.#dataId, bytes, start, end }
  }

  #keep(chunk: Buffer, at: number): void {
    const isLengthKnown = chunk.length - at >= frameHeaderBytes
    this.#partial = Buffer.allocUnsafe(frameHeaderBytes + (isLengthKnown ? lengthAt(chunk, at) : 0))
    this.#partialBytes = chunk.copy(this.#partial, 0, at)
  }

  /** Takes what the kept frame lacks; where to go on. */
  #complete(chunk: Buffer, from: number): number {
    let at = from
    for (;;) {
      const partial = this.#partial as Buffer
      const taken = chunk.copy(partial, this.#partialBytes, at)
      this.#partialBytes += taken
      at += taken
      if (this.#partialBytes < frameHeaderBytes) return at
      const size = frameHeaderBytes + lengthAt(partial, 0)
      if (size === partial.length) return at
      this.#partial = Buffer.allocUnsafe(size)
      partial.copy(this.#partial)
    }
  }
}

function lengthAt(bytes: Buffer, at: number): number {
  const length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
  if (length > defaultFrameBytes) throw new ConnectionFault('FRAME_SIZE_ERROR', 'a frame that is too long')
  return length
}

function frameAt(bytes: Buffer, at: number, end: number): Frame {
  return {
    type: bytes[at + 3] as number,
    flags: bytes[at + 4] as number,
    id: bytes.readUInt32BE(at + 5) & maxUint31,
    bytes,
    start: at + frameHeaderBytes,
    end,
  }
}

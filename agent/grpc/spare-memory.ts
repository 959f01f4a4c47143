const pieceBytes = 64 << 10
const mostPieces = 16

/** Pieces of memory for messages that came in parts: used one message after the other, a few kept for the next. */
export class SpareMemory {
  readonly #pieces: Buffer[] = []

  /** Memory of at least `bytes`. */
  take(bytes: number): Buffer {
    if (bytes > pieceBytes || bytes * 4 < pieceBytes) return Buffer.allocUnsafe(bytes)
    return this.#pieces.pop() ?? Buffer.allocUnsafeSlow(pieceBytes)
  }

  /** Nobody looks at it any more. */
  give(memory: Buffer): void {
    if (memory.length === pieceBytes && this.#pieces.length < mostPieces) this.#pieces.push(memory)
  }
}

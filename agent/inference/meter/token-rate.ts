import { LRUCache } from 'lru-cache'

/** Models of which it is remembered. */
const maxModels = 1024
/** Pieces for which one that is new is taken to send a token each: one short stream says little. */
const assumedPieces = 64
/** Beyond so many what was seen earlier fades. */
const maxPieces = 65_536
const assumed = 1
/** No server sends so many tokens in each piece, or a token in so many of them. */
const most = 8

/**
 * How many tokens the pieces of a model's streams have been, by what the server reported of those that came to their end. So
 * a stream that breaks off, of which nothing is reported, is charged as if it had been.
 */
export class TokenRates {
  readonly #models = new LRUCache<string, { pieces: number; tokens: number }>({ max: maxModels })

  /** Tokens a piece. */
  of(model: string): number {
    const known = this.#models.get(model)
    if (known === undefined) return assumed
    const rate = (known.tokens + assumedPieces) / (known.pieces + assumedPieces)
    return Math.min(most, Math.max(1 / most, rate))
  }

  /** @param pieces of a stream that came to its end @param tokens that were reported of it, and believed */
  learn(model: string, pieces: number, tokens: number): void {
    const known = this.#models.get(model) ?? { pieces: 0, tokens: 0 }
    known.pieces += pieces
    // The end of a text is a token too, and has no piece.
    known.tokens += Math.abs(tokens - pieces) <= 1 + pieces / 32 ? pieces : tokens
    if (known.pieces > maxPieces) {
      known.pieces /= 2
      known.tokens /= 2
    }
    this.#models.set(model, known)
  }
}

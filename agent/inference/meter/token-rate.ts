import { LRUCache } from 'lru-cache'

/** Models of which it is remembered. */
const maxModels = 1024
/** Pieces for which one that is new is taken to send a token each: one short stream says little. */
const assumedPieces = 64
/** Beyond so many what was seen earlier fades. */
const maxSeen = 65_536
/** No server sends so many tokens in each piece, or a token in so many of them; nor is a guess of the input so wrong. */
const most = 8
const mostOfInput = 64

/** What estimates are multiplied with. */
export interface TokenRate {
  /** Tokens in a piece of a stream. */
  readonly perPiece: number
  /** Tokens of the input for each that its length lets one guess. */
  readonly perGuess: number
}

export const assumedRate: TokenRate = { perPiece: 1, perGuess: 1 }

/** Of answers that came to their end. */
interface Seen {
  pieces: number
  tokens: number
  guessed: number
  inputs: number
}

/**
 * How many tokens the pieces of a model's streams have been, and the octets of its prompts, by what the server reported of
 * answers that came to their end. So a stream that breaks off, of which nothing is reported, is charged as if it had been.
 */
export class TokenRates {
  readonly #models = new LRUCache<string, Seen>({ max: maxModels })

  of(model: string): TokenRate {
    const seen = this.#models.get(model)
    if (seen === undefined) return assumedRate
    const { pieces, tokens, guessed, inputs } = seen
    return {
      perPiece: within(most, (tokens + assumedPieces) / (pieces + assumedPieces)),
      perGuess: guessed === 0 ? 1 : within(mostOfInput, inputs / guessed),
    }
  }

  /** @param pieces of a stream that came to its end @param tokens that were reported of it, and believed */
  learnOutput(model: string, pieces: number, tokens: number): void {
    const seen = this.#seen(model)
    seen.pieces += pieces
    // The end of a text is a token too, and has no piece.
    seen.tokens += Math.abs(tokens - pieces) <= 1 + pieces / 32 ? pieces : tokens
    if (seen.pieces > maxSeen) {
      seen.pieces /= 2
      seen.tokens /= 2
    }
  }

  /** @param guessed from the length of the prompt @param tokens that were reported of it */
  learnInput(model: string, guessed: number, tokens: number): void {
    const seen = this.#seen(model)
    seen.guessed += guessed
    seen.inputs += tokens
    if (seen.guessed > maxSeen) {
      seen.guessed /= 2
      seen.inputs /= 2
    }
  }

  #seen(model: string): Seen {
    const known = this.#models.get(model)
    if (known !== undefined) return known
    const seen = { pieces: 0, tokens: 0, guessed: 0, inputs: 0 }
    this.#models.set(model, seen)
    return seen
  }
}

function within(limit: number, rate: number): number {
  return Math.min(limit, Math.max(1 / limit, rate))
}

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

/** Tokens that were reported of so many pieces, or of an input that was guessed to have so many. */
interface Seen {
  of: number
  tokens: number
}

/** Of answers that came to their end. */
interface Model {
  readonly output: Seen
  readonly input: Seen
}

/**
 * How many tokens the pieces of a model's streams have been, and the octets of its prompts, by what the server reported of
 * answers that came to their end. So a stream that breaks off, of which nothing is reported, is charged as if it had been.
 */
export class TokenRates {
  readonly #models = new LRUCache<string, Model>({ max: maxModels })

  of(model: string): TokenRate {
    const known = this.#models.get(model)
    if (known === undefined) return assumedRate
    const { output, input } = known
    return {
      perPiece: within(most, (output.tokens + assumedPieces) / (output.of + assumedPieces)),
      perGuess: input.of === 0 ? 1 : within(mostOfInput, input.tokens / input.of),
    }
  }

  /** @param pieces of a stream that came to its end @param tokens that were reported of it, and believed */
  learnOutput(model: string, pieces: number, tokens: number): void {
    // The end of a text is a token too, and has no piece.
    add(this.#model(model).output, pieces, Math.abs(tokens - pieces) <= 1 + pieces / 32 ? pieces : tokens)
  }

  /** @param guessed from the length of the prompt @param tokens that were reported of it */
  learnInput(model: string, guessed: number, tokens: number): void {
    add(this.#model(model).input, guessed, tokens)
  }

  #model(name: string): Model {
    const known = this.#models.get(name)
    if (known !== undefined) return known
    const model = { output: { of: 0, tokens: 0 }, input: { of: 0, tokens: 0 } }
    this.#models.set(name, model)
    return model
  }
}

function add(seen: Seen, of: number, tokens: number): void {
  seen.of += of
  seen.tokens += tokens
  if (seen.of <= maxSeen) return
  seen.of /= 2
  seen.tokens /= 2
}

function within(limit: number, rate: number): number {
  return Math.min(limit, Math.max(1 / limit, rate))
}

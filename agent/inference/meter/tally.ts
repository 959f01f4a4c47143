import type { Metered } from '#decision/usage.ts'
import { unboundedAmount } from '#decision/usage.ts'
import { plus } from '../demand/amount.ts'
import type { Ask } from '../demand/ask.ts'
import type { Reported, TokenName } from './reported.ts'
import type { TokenRate, TokenRates } from './token-rate.ts'

/** Of text one token has four octets, as a rule. */
const octetsPerToken = 4
/** Servers stream token by token: a piece that is no longer is taken for one. */
const maxPieceOctets = 16
/** Nor does a server send many more pieces with text than there are tokens: one that splits words has fewer letters in each. */
const maxPiecesPerToken = 8
/** No vocabulary has a token this long, as it is written in JSON: a report of fewer tokens than this gives is not believed. */
const maxTokenOctets = 256

/** Adds up what is seen of one answer. */
export class Tally {
  responseOctets = 0
  isComplete = false
  /** An answer that nothing was computed for: an error instead of it. */
  isFailure = false
  /** An answer that cannot be read: what was reserved is charged. */
  isOpaque = false
  /** Where the answer shows how many inferences it is of; 0 where it shows none. */
  inferences: number | undefined
  /** Octets of a text that is all of one piece, as far as it was seen. */
  openOctets = 0
  /** Tokens in what streamed, where each piece is one, or several if it is long. */
  #pieces = 0
  #events = 0
  #octets = 0
  /** Of the pieces those that came after the last report. */
  #late = 0
  #input: number | undefined
  #output: number | undefined
  #cached = 0
  #reasoning = 0
  #sequence: number | undefined

  /** A piece of the answer with so many octets of text. */
  text(octets: number): void {
    if (octets === 0) return
    const tokens = octets <= maxPieceOctets ? 1 : Math.ceil(octets / octetsPerToken)
    this.#pieces += tokens
    this.#events++
    this.#octets += octets
    this.#late += tokens
  }

  /** What the server says of everything so far. Said several times, the most counts. */
  report({ input, output, cached, reasoning }: Reported): void {
    this.#input = most(this.#input, input)
    this.#cached = Math.max(this.#cached, cached ?? 0)
    this.#reasoning = Math.max(this.#reasoning, reasoning ?? 0)
    if (output === undefined) return
    this.#output = most(this.#output, output)
    this.#late = 0
  }

  /** What Triton's backends say of one answer of possibly several. */
  reportPart(name: TokenName, tokens: number): void {
    switch (name) {
      case 'num_input_tokens':
        this.#input = most(this.#input, tokens)
        return
      case 'num_output_tokens':
        this.#output = plus(this.#output ?? 0, tokens)
        this.#late = 0
        return
      case 'sequence_length':
        this.#sequence = most(this.#sequence, tokens)
        return
      default:
        name satisfies never
    }
  }

  /** Has it remembered what was reported of an answer that came to its end, and can be believed. */
  teach(rates: TokenRates, model: string, ask: Ask): void {
    if (this.isFailure || this.isOpaque || this.#late > 0 || !this.#isOutputBelievable(ask)) return
    const { inputTokens } = ask.likely
    if (this.#input !== undefined && this.#input > 0 && inputTokens > 0)
      rates.learnInput(model, inputTokens, this.#input)
    // Tokens that nobody is shown say nothing of the pieces.
    if (this.#pieces > 0 && this.#reasoning === 0) rates.learnOutput(model, this.#pieces, this.#output ?? 0)
  }

  /** @param rate of this model */
  metered(ask: Ask, rate: TokenRate): Metered {
    const { demand, likely } = ask
    const { bound, isOutputBounded } = demand
    const { requestBytes, inputTokens: likelyInput } = likely
    if (this.isFailure || (this.isComplete && this.inferences === 0)) {
      const usage = { ...nothing, requestBytes, responseBytes: this.responseOctets }
      return { usage, source: 'reported', isComplete: this.isComplete }
    }
    const reportedInput = this.#input === 0 && likelyInput > 0 ? undefined : this.#input
    const isOutputKnown = this.#isOutputBelievable(ask) && this.#late === 0
    const isWithoutOutput = isOutputBounded && bound.outputTokens === 0
    const inputTokens = this.isOpaque
      ? opaqueInput(bound.inputTokens, likelyInput)
      : (reportedInput ?? Math.min(bound.inputTokens, Math.round(likelyInput * rate.perGuess)))
    const outputTokens = this.#outputTokens(ask, rate.perPiece)
    const isReported =
      !this.isOpaque &&
      (reportedInput !== undefined || likelyInput === 0) &&
      (isOutputKnown || isWithoutOutput)
    return {
      usage: {
        // Who leaves before the answer has had it computed all the same.
        inferences: this.inferences || likely.inferences,
        inputTokens,
        outputTokens,
        cachedInputTokens: Math.min(this.#cached, inputTokens),
        reasoningTokens: Math.min(this.#reasoning, outputTokens),
        requestBytes,
        responseBytes: this.responseOctets,
        gpuMs: 0,
      },
      source: isReported ? 'reported' : 'estimated',
      isComplete: this.isComplete,
    }
  }

  #isOutputBelievable({ isEchoed }: Ask): boolean {
    if (this.#output === undefined) return false
    // The text is the prompt's too.
    if (isEchoed) return true
    const least = Math.max(
      (this.#octets + this.openOctets) / maxTokenOctets,
      this.#events / maxPiecesPerToken,
    )
    return this.#output >= Math.ceil(least)
  }

  #outputTokens(ask: Ask, tokensPerPiece: number): number {
    const { demand } = ask
    /** An estimate does not go beyond it. */
    const bound = demand.isOutputBounded ? demand.bound.outputTokens : undefined
    if (this.isOpaque) return bound ?? this.responseOctets
    const reported = this.#output ?? 0
    const streamed = (pieces: number) => Math.min(unboundedAmount, Math.round(pieces * tokensPerPiece))
    const estimate = this.#isOutputBelievable(ask)
      ? reported + streamed(this.#late)
      : Math.max(this.#sequence ?? 0, streamed(this.#pieces), Math.ceil(this.openOctets / octetsPerToken))
    return Math.max(reported, bound === undefined ? estimate : Math.min(estimate, bound))
  }
}

/** What was reserved; nothing can be where there was no bound. */
function opaqueInput(bound: number, likely: number): number {
  return bound === unboundedAmount ? likely : bound
}

const nothing = {
  inferences: 0,
  inputTokens: 0,
  outputTokens: 0,
  cachedInputTokens: 0,
  reasoningTokens: 0,
  gpuMs: 0,
}

function most(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b)
}

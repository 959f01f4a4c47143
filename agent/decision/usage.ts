/**
 * What a call takes, in every unit that is counted: whole numbers from 0 to 2^53-1. Of a demand each is an upper bound, of
 * a finished call it is what was measured.
 */
export interface Usage {
  /** Inferences as Triton counts them: a batch of n is n. 1 for a call that has no batch. */
  readonly inferences: number
  /** Tokens of the prompt, those that came from a cache included. */
  readonly inputTokens: number
  readonly outputTokens: number
  /** Of the input tokens, those that came from a cache. */
  readonly cachedInputTokens: number
  /** Of the output tokens, those that the client does not see. */
  readonly reasoningTokens: number
  /** Octets of the bodies. */
  readonly requestBytes: number
  readonly responseBytes: number
  /**
   * Milliseconds that an accelerator computed, rounded up. Hardly a model server says it of one call: it is taken to be the time
   * from when the call was let through until it ended, which is never less.
   */
  readonly gpuMs: number
}

export const noUsage: Usage = {
  inferences: 0,
  inputTokens: 0,
  outputTokens: 0,
  cachedInputTokens: 0,
  reasoningTokens: 0,
  requestBytes: 0,
  responseBytes: 0,
  gpuMs: 0,
}

/** More than any quota can hold: stands where nothing bounds an amount. */
export const unboundedAmount = Number.MAX_SAFE_INTEGER

/** What was measured of a call so far. */
export interface Metered {
  readonly usage: Usage
  /** `reported`: the model server said it. `estimated`: derived from what was seen. */
  readonly source: 'reported' | 'estimated'
  /** Whether the answer came to its end; one that broke off is charged what was seen of it. */
  readonly isComplete: boolean
}

/** What a call took in the end, and what its limits were charged for it. */
export interface Settlement extends Metered {
  readonly charges: readonly {
    /** `policy/limit` */
    readonly limit: string
    readonly units: number
  }[]
}

/** What a call may take at most, told before it runs. */
export interface Demand {
  /**
   * 2^53-1 where nothing bounds an amount. What nobody can tell beforehand (`responseBytes`, `gpuMs`) is 0 and charged as it
   * is measured. All of the input may come from a cache, and all of the output be reasoning: a cost that gives a discount on
   * either is at its highest where they are 0.
   */
  readonly bound: Usage
  /**
   * False where the request sets no bound on its output: `bound.outputTokens` then is 0, in place of which stands what the
   * configuration reserves at first; more is asked for while the answer streams.
   */
  readonly isOutputBounded: boolean
  /** How many answers it asks for: so many times what the configuration reserves stands in the place of a bound. */
  readonly answers: number
}

/**
 * Measures one call's answer as it passes. Made by whoever can read the protocol; fed by whoever sees the bytes.
 */
export interface AnswerMeter {
  /**
   * The request's body, changed so that the server reports what it took; what it then says only for us is taken out of the
   * answer again. `undefined` where nothing has to be changed, or the body was not seen whole. Asked at most once.
   */
  requestReport(): Uint8Array | undefined
  /**
   * Takes the answer's headers.
   *
   * @param contentEncoding of the answer; what is compressed cannot be read and is estimated
   */
  begin(answer: {
    readonly httpStatus: number
    readonly contentType: string
    readonly contentEncoding: string
  }): void
  /**
   * Takes the next piece of the body. The bytes are the caller's again once it returns; what it keeps longer, it copies.
   *
   * @param isEnd whether the answer ends here: with its last piece, or with headers or trailers behind it, for which an empty
   * piece is fed. An answer that is never ended broke off.
   * @returns what goes to the client in its place: the same bytes, unless something stands in them that only we asked for
   */
  feed(chunk: Uint8Array, isEnd: boolean): Uint8Array
  /** What was measured so far. Cheap: may be asked after every piece. */
  metered(): Metered
  /**
   * What to send so that a stream which is cut off here ends as its protocol wants it: an error event and the end marker
   * for SSE. `undefined` where the protocol has no such end.
   */
  farewell(text: string): Uint8Array | undefined
}

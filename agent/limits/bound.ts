import type { Exchange } from '#decision/exchange.ts'
import { noUsage, type Usage, unboundedAmount } from '#decision/usage.ts'
import type { QuotaPolicy } from '#resources/resources.ts'

/** What a call may take at most, as far as anybody can tell before it runs. */
export interface Bound {
  readonly usage: Usage
  /** False where the request sets no bound on its output tokens. */
  readonly isOutputBounded: boolean
  /** How many answers it asks for. */
  readonly answers: number
}

/** The bound of whoever can read the protocol; else what the length of the request says. */
export function boundOf(x: Exchange): Bound {
  const demand = x.demand?.()
  if (demand !== undefined) {
    const { bound: usage, isOutputBounded, answers } = demand
    return { usage, isOutputBounded, answers }
  }
  const requestBytes = bodyBytes(x) ?? unboundedAmount
  const { call } = x
  const isInfer = call?.verb === 'infer' || call?.verb === 'stream_infer'
  // An inference has no tokens. What no protocol is known of may have a model generate, if it carries anything to do so from.
  const hasTokens = call === undefined ? requestBytes > 0 : !isInfer
  const isGenerated = hasTokens && call?.verb !== 'embed'
  return {
    usage: {
      ...noUsage,
      // No element of a batch, and no token, is shorter than a byte.
      inferences: isInfer ? Math.max(1, requestBytes) : 1,
      inputTokens: hasTokens ? requestBytes : 0,
      requestBytes,
    },
    isOutputBounded: !isGenerated,
    answers: 1,
  }
}

/** The length of the request's body; `undefined` where nobody says it. */
function bodyBytes({ request }: Exchange): number | undefined {
  const { body, isBodyComplete, headers } = request
  if (isBodyComplete) return body?.length ?? 0
  return headers.contentLength()
}

/** What of its output is reserved at first, and by how much it grows while the answer comes. */
export interface Reservation {
  readonly usage: Usage
  /** Output tokens that are asked for when those before run out; absent where all of the bound was reserved. */
  readonly step: number | undefined
  /** Nothing is asked for beyond this. */
  readonly mostOutputTokens: number
}

/** The part of a bound that a policy reserves before the answer. */
export function reservationOf({ reserve }: QuotaPolicy, bound: Bound): Reservation {
  const { usage, isOutputBounded, answers } = bound
  const unsaid = Math.min(reserve.outputTokens * answers, unboundedAmount)
  const whole = isOutputBounded ? usage.outputTokens : unsaid
  const first =
    reserve.slice === undefined ? whole : Math.min(reserve.slice, isOutputBounded ? whole : Infinity)
  const isPart = !isOutputBounded || first < whole
  return {
    usage: withOutputTokens(usage, first),
    step: isPart ? (reserve.slice ?? unsaid) : undefined,
    mostOutputTokens: isOutputBounded ? whole : unboundedAmount,
  }
}

export function withOutputTokens(usage: Usage, outputTokens: number): Usage {
  if (usage.outputTokens === outputTokens) return usage
  return { ...usage, outputTokens, reasoningTokens: Math.min(usage.reasoningTokens, outputTokens) }
}

/** What of a bound is one: nothing where there is none. */
export function knownPart(usage: Usage): Usage {
  const known = (amount: number) => (amount < unboundedAmount ? amount : 0)
  return {
    inferences: known(usage.inferences),
    inputTokens: known(usage.inputTokens),
    outputTokens: known(usage.outputTokens),
    cachedInputTokens: known(usage.cachedInputTokens),
    reasoningTokens: known(usage.reasoningTokens),
    requestBytes: known(usage.requestBytes),
    responseBytes: known(usage.responseBytes),
    gpuMs: known(usage.gpuMs),
  }
}

import type { Exchange } from '#decision/exchange.ts'
import { noUsage, type Usage } from '#decision/usage.ts'
import type { QuotaPolicy } from '#resources/resources.ts'

/** What a call may take at most, as far as anybody can tell before it runs. */
export interface Bound {
  readonly usage: Usage
  /** False where the request sets no bound on its output tokens. */
  readonly isOutputBounded: boolean
  /** False where not even the length of the request is known. */
  readonly isInputKnown: boolean
}

/** The bound of whoever can read the protocol; else what the length of the request says. */
export function boundOf(x: Exchange): Bound {
  const demand = x.demand?.()
  if (demand !== undefined)
    return { usage: demand.bound, isOutputBounded: demand.isOutputBounded, isInputKnown: true }
  const bytes = bodyBytes(x)
  const requestBytes = bytes ?? 0
  const { call } = x
  const isInfer = call?.verb === 'infer' || call?.verb === 'stream_infer'
  // An inference has no tokens. What no protocol is known of may have a model generate, if it carries anything to do so from.
  const hasTokens = call === undefined ? bytes !== 0 : !isInfer
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
    isInputKnown: bytes !== undefined,
  }
}

/** The length of the request's body; `undefined` where nobody says it. */
function bodyBytes({ request }: Exchange): number | undefined {
  const { body, isBodyComplete, headers } = request
  if (isBodyComplete) return body?.length ?? 0
  const length = headers.single('content-length')
  return length !== undefined && /^[0-9]{1,15}$/.test(length) ? Number(length) : undefined
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
  const { usage, isOutputBounded } = bound
  const whole = isOutputBounded ? usage.outputTokens : reserve.outputTokens
  const first =
    reserve.slice === undefined ? whole : Math.min(reserve.slice, isOutputBounded ? whole : Infinity)
  const isPart = !isOutputBounded || first < whole
  return {
    usage: withOutputTokens(usage, first),
    step: isPart ? (reserve.slice ?? reserve.outputTokens) : undefined,
    mostOutputTokens: isOutputBounded ? whole : Number.MAX_SAFE_INTEGER,
  }
}

export function withOutputTokens(usage: Usage, outputTokens: number): Usage {
  if (usage.outputTokens === outputTokens) return usage
  return { ...usage, outputTokens, reasoningTokens: Math.min(usage.reasoningTokens, outputTokens) }
}

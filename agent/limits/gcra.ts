/** A rate: `periodUs` for one request, and how far ahead of it a caller may run. */
export interface GcraLimit {
  readonly periodUs: number
  /** `(burst - 1) * periodUs`: with it, `burst` requests may come at once. */
  readonly toleranceUs: number
}

export type GcraAnswer =
  | {
      readonly kind: 'conforming' /** The theoretical arrival time after this request. */
      readonly tatUs: number
    }
  | { readonly kind: 'early'; readonly retryAfterUs: number }

export function gcraLimit(options: {
  readonly rate: number
  readonly windowMs: number
  readonly burst: number
}): GcraLimit {
  const periodUs = (options.windowMs * 1000) / options.rate
  return { periodUs, toleranceUs: (options.burst - 1) * periodUs }
}

/**
 * The generic cell rate algorithm: in any span of time at most `burst + span / period` requests conform.
 *
 * @param tatUs theoretical arrival time so far, 0 for the first request @param nowUs monotonic
 * @see ITU-T I.371, section 6.2.2.2 and annex A
 */
export function gcra(tatUs: number, limit: GcraLimit, nowUs: number): GcraAnswer {
  const aheadUs = tatUs - nowUs
  if (aheadUs > limit.toleranceUs) return { kind: 'early', retryAfterUs: aheadUs - limit.toleranceUs }
  return { kind: 'conforming', tatUs: Math.max(tatUs, nowUs) + limit.periodUs }
}

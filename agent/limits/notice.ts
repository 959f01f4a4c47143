import type { QuotaNotice } from '#decision/verdict.ts'
import type { Charged } from './charging.ts'
import type { CounterState } from './store/store.ts'

/** A limit that refuses, as clients are told of it. */
export function violationNotice({ terms }: Charged, { remaining, retryUs }: CounterState): QuotaNotice {
  const { name, unit, quota, windowSeconds } = terms.advertised
  return {
    name,
    unit,
    quota,
    ...(windowSeconds !== undefined && { windowSeconds }),
    remaining,
    // When to come again, which a client is told by `Retry-After` too.
    resetSeconds: Math.ceil(retryUs / 1e6),
  }
}

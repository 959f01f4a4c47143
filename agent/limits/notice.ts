import type { QuotaNotice } from '#decision/verdict.ts'
import type { Charged } from './charging.ts'
import type { CounterState } from './store/store.ts'

/** A limit as clients are told of it. */
export function noticeOf({ rule, terms }: Charged, state: CounterState, isViolated: boolean): QuotaNotice {
  const { limit } = rule
  return {
    name: rule.name,
    // What an expression counts has no name.
    unit: limit.kind !== 'concurrency' && limit.cost !== undefined ? 'units' : rule.unit,
    quota: terms.quota,
    ...(terms.windowSeconds !== undefined && { windowSeconds: terms.windowSeconds }),
    remaining: state.remaining,
    // Of what refused: when to come again, which a client is told by `Retry-After` too.
    resetSeconds: Math.ceil((isViolated ? state.retryUs : state.resetUs) / 1e6),
    isViolated,
  }
}

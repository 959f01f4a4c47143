import type { Exchange } from '#decision/exchange.ts'
import type { Settlement } from '#decision/usage.ts'
import type { QuotaUnit } from '#resources/resources.ts'

/** What became of a call on one limit; `near` is told beside `granted`. */
export type LimitOutcome = 'granted' | 'refused' | 'soft_over' | 'shadow_over' | 'near'

/** Sees what limits decide, for metrics. Names are those of declared limits, never what clients write. Must not throw. */
export interface LimitsObserver {
  onOutcome?(rule: string, unit: QuotaUnit, outcome: LimitOutcome, cost: number): void
  /** A call has ended and was charged what it took; the same stands in `x.settled` where that depends on more than that there was a call. */
  onSettled?(x: Exchange, settled: Settlement): void
}

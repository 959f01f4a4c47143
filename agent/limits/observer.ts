import type { Exchange } from '#decision/exchange.ts'
import type { Settlement } from '#decision/usage.ts'
import type { QuotaUnit } from '#resources/resources.ts'
import type { QuotaOutcome } from '#telemetry/quota-metrics.ts'

/** Sees what limits decide, for metrics. Names are those of declared limits, never what clients write. Must not throw. */
export interface LimitsObserver {
  onOutcome?(rule: string, unit: QuotaUnit, outcome: QuotaOutcome, cost: number): void
  /**
   * A call has ended and was charged what it took; the same stands in `x.settled` where that depends on more than that there
   * was a call.
   */
  onSettled?(x: Exchange, settled: Settlement): void
}

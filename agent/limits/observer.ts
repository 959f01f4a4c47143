import type { Exchange } from '#decision/exchange.ts'
import type { QuotaUnit } from '#resources/resources.ts'

/** What became of a call on one limit; `near` is told beside `granted`. */
export type LimitOutcome = 'granted' | 'refused' | 'soft_over' | 'shadow_over' | 'near'

/** Sees what limits decide, for metrics. Names are those of declared limits, never what clients write. Must not throw. */
export interface LimitsObserver {
  onOutcome?(rule: string, unit: QuotaUnit, outcome: LimitOutcome, cost: number): void
  /** A call was settled at these units; `x.charged` says from where they are known. */
  onSettled?(
    x: Exchange,
    charged: readonly { readonly rule: string; readonly unit: QuotaUnit; readonly units: number }[],
  ): void
}

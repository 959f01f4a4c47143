import type { Exchange } from '#decision/exchange.ts'
import type { Usage } from '#decision/usage.ts'
import type { CostUnit } from './settings.ts'

/** What a call takes at most, at least 1. Where nobody knows it is 1. */
export function expectedCost(x: Exchange, unit: CostUnit): number {
  if (unit === 'requests' || x.demand === undefined) return 1
  return costOf(x.demand().bound, unit)
}

/** What it really took; `undefined` where nobody measured. */
export function actualCost(x: Exchange, unit: CostUnit): number | undefined {
  return unit === 'requests' || x.meter === undefined ? undefined : costOf(x.meter.metered().usage, unit)
}

function costOf(usage: Usage, unit: Exclude<CostUnit, 'requests'>): number {
  return Math.max(1, unit === 'tokens' ? usage.inputTokens + usage.outputTokens : usage.inferences)
}

import type { Exchange } from '#decision/exchange.ts'
import type { Usage } from '#decision/usage.ts'
import type { CostUnit } from './settings.ts'

/**
 * The most that one call counts as. What nothing bounds is not endless: it would move its tenant's next calls, and the time of
 * the whole queue with them, so far that a double tells no two calls apart any more.
 */
const maxCost = 2 ** 20

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
  const units = unit === 'tokens' ? usage.inputTokens + usage.outputTokens : usage.inferences
  return Math.min(maxCost, Math.max(1, units))
}

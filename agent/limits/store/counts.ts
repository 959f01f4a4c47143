import type { StoreCount } from './store.ts'

/** What a store begins with. */
export function noCounts(): Record<StoreCount, number> {
  return {
    calls: 0,
    timeouts: 0,
    breaker_opened: 0,
    queued: 0,
    dropped: 0,
    memory_lost: 0,
    leased: 0,
    shared: 0,
    unchecked: 0,
  }
}

/** What two stores counted together, one around the other. */
export function countsOf(
  inner: Readonly<Record<StoreCount, number>>,
  own: Readonly<Record<StoreCount, number>>,
): Record<StoreCount, number> {
  const sum = { ...inner }
  for (const name of Object.keys(own) as StoreCount[]) sum[name] = (inner[name] ?? 0) + own[name]
  return sum
}

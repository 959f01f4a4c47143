import { type Clock, systemClock } from '#base/clock.ts'
import type { QuotaStore } from './store.ts'

/** Counters in the memory of this process. */
export function createMemoryStore(options: { readonly clock?: Clock } = {}): QuotaStore {
  const { clock = systemClock } = options
  throw new Error(`not written yet ${clock.nowMs()}`)
}

import type { Clock } from '#base/clock.ts'
import type { Stage } from '#decision/stage.ts'
import { deny } from '#decision/verdict.ts'
import type { QuotaStore } from './store/store.ts'

/** Quotas of tenants. */
export function createLimitsStage(_options: { readonly store: QuotaStore; readonly clock?: Clock }): Stage {
  return { name: 'limits', failureReason: 'limits_failed', request: () => deny('limits_failed') }
}

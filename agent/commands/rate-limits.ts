import type { Config } from '#config/config.ts'
import type { openQuotaStore } from '#limits/open.ts'
import { type LoadedRateLimits, openRateLimits } from '#limits/rls/rls.ts'

type RateLimitConfig = NonNullable<Config['rateLimit']>
type QuotaStore = Awaited<ReturnType<typeof openQuotaStore>>

/** Opens the rate limit service as the configuration says, with its counters in `store`. */
export function openAgentRateLimits(
  config: RateLimitConfig,
  store: QuotaStore,
  loaded: (what: string) => (load: { readonly problem?: string }) => void,
): LoadedRateLimits {
  const { shadowMode, quotaMode, dynamicMetadata, headers, mode, onStoreFailure } = config
  return openRateLimits({
    files: config.config,
    compat: config.compat,
    mergeDomains: config.mergeDomains,
    store,
    settings: {
      isShadow: shadowMode,
      isQuota: quotaMode,
      hasMetadata: dynamicMetadata,
      headers,
      isLeased: mode === 'leased',
      onStoreFailure,
    },
    onLoad: loaded('rate_limits'),
  })
}

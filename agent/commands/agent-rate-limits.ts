import type { Config } from '#config/config.ts'
import { openQuotaStore } from '#limits/open.ts'
import { openRateLimits, type RateLimiter } from '#limits/rls/rls.ts'
import type { ReadinessCheck } from '#telemetry/probes.ts'
import type { Metrics } from '#telemetry/telemetry.ts'
import type { AgentQuotas } from './agent-quotas.ts'

export interface AgentRateLimits extends AsyncDisposable {
  readonly limiter: RateLimiter
  /** That the limits have been read. */
  readonly check: ReadinessCheck
}

/**
 * Opens the rate limit service, where the configuration has one.
 *
 * @param options.quotas whose store it counts in with `rateLimit.store: limits`; otherwise it has one of its own
 */
export async function openAgentRateLimits(options: {
  readonly config: Config
  readonly metrics: Metrics
  readonly quotas: Pick<AgentQuotas, 'store'> | undefined
  readonly onLoad: (load: { readonly problem?: string }) => void
}): Promise<AgentRateLimits | undefined> {
  const { metrics, quotas, onLoad } = options
  const config = options.config.rateLimit
  if (config === undefined) return undefined
  await using opening = new AsyncDisposableStack()
  const isShared = config.store === 'limits'
  if (isShared && quotas === undefined)
    throw new Error('a store of limits that nobody has, and nobody refused')
  const store = isShared && quotas ? quotas.store : opening.use(await openQuotaStore({ store: 'memory' }))
  const { shadowMode, quotaMode, dynamicMetadata, headers, mode, onStoreFailure } = config
  const { limiter, isReady, lastError } = opening.use(
    openRateLimits({
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
      onLoad,
    }),
  )
  metrics.rateLimits(limiter.counts)
  const problem = () => (isReady() ? undefined : (lastError() ?? 'not loaded'))
  const owned = opening.move()
  return {
    limiter,
    check: { name: 'rate_limits', problem, warning: lastError },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

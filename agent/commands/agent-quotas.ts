import type { Config } from '#config/config.ts'
import type { ConsoleRoute } from '#console/console.ts'
import type { Stage } from '#decision/stage.ts'
import { createQuotaAdmin } from '#limits/admin/admin.ts'
import { createLimitsStage } from '#limits/limits.ts'
import { openQuotaStore } from '#limits/open.ts'
import type { QuotaStore } from '#limits/store/store.ts'
import type { Resources } from '#resources/resources.ts'
import type { ReadinessCheck } from '#telemetry/probes.ts'
import type { Logger, Metrics } from '#telemetry/telemetry.ts'

export interface AgentQuotas extends AsyncDisposable {
  readonly store: QuotaStore
  readonly stage: Stage
  /** A store that is away holds nothing up: each limit says what happens meanwhile. */
  readonly check: ReadinessCheck
  readonly routes: readonly ConsoleRoute[]
}

/** What is wrong where there are QuotaPolicies, and the configuration has no limits. */
export function uncounted({ limits }: Config, { quotas }: Resources): string | undefined {
  if (limits !== undefined || quotas.length === 0) return undefined
  return 'limits is not configured: nobody counts for the QuotaPolicies; expected limits: {store: memory}, or the URL of a store'
}

/** How long what is drawn beforehand may be used; in the memory of one process nothing is. */
export function leaseMsOf({ limits }: Config): number {
  return limits === undefined || limits.store === 'memory' ? 0 : limits.leaseMs
}

/**
 * Opens the store of the counters and what charges to it, where the configuration has limits.
 *
 * @throws SluiceError for a store that cannot be opened as it is configured; one that is away does not keep from starting.
 */
export async function openAgentQuotas(options: {
  readonly config: Config
  readonly log: Logger
  readonly metrics: Metrics
  readonly resources: () => Resources
}): Promise<AgentQuotas | undefined> {
  const { config, log, metrics, resources } = options
  if (config.limits === undefined) return undefined
  const store = await openQuotaStore(config.limits, {
    warn: (text) => log.warn(text),
    onChange: (problem) => {
      if (problem === undefined) log.info('the store of quotas answers again')
      else log.error({ problem }, 'the store of quotas cannot be asked; each limit does as it says')
    },
  })
  const quotas = metrics.quotas()
  const { health } = store
  quotas.store(() => ({
    kind: health.kind,
    isReachable: health.problem() === undefined,
    lostAtMs: health.lostAtMs(),
    replicas: health.replicas(),
    counts: health.counts,
  }))
  const leaseMs = leaseMsOf(config)
  const stage = createLimitsStage({
    store,
    holdMs: config.limits.holdSeconds * 1000,
    leaseMs,
    observer: {
      onOutcome: quotas.outcome,
      onSettled: (x, { charges, source }) => {
        const tenant = x.tenant?.name ?? ''
        for (const { limit, units } of charges) quotas.settled({ limit, tenant, units, source })
      },
    },
  })
  const admin = createQuotaAdmin({
    store,
    resources,
    leaseMs,
    onChange: (change) => log.info(change, 'a quota was changed by hand'),
  })
  const routes: ConsoleRoute[] = [
    { method: 'GET', path: '/quota/show', handle: admin.show },
    { method: 'GET', path: '/quota/explain', handle: admin.explain },
    { method: 'POST', path: '/quota/grant', handle: admin.grant },
    { method: 'POST', path: '/quota/reset', handle: admin.reset },
  ]
  const check: ReadinessCheck = {
    name: 'quota_store',
    problem: () => undefined,
    remark: () => {
      const problem = health.problem()
      return problem === undefined ? undefined : `it cannot be asked: ${problem}`
    },
  }
  return { store, stage, check, routes, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
}

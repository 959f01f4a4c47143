import { coversModel } from '#resources/resources.ts'
import type { LimitSettings } from './adaptive-limit.ts'
import type { BreakerSettings } from './breaker.ts'
import type { ScrapeSettings } from './load/scrape.ts'
import { type Band, bands } from './queue/fair-queue.ts'
import type { UsageSettings } from './usage/usage-history.ts'

/** What calls are counted in. */
export type CostUnit = 'requests' | 'inferences' | 'tokens'

export interface QueueSettings {
  readonly total: number
  readonly perTenant: number
  readonly waitMs: number
  readonly lowerBandEvery: number
  readonly retryAfterSeconds: number
}

/** What holds for some models. */
export interface ModelSettings {
  readonly models: readonly string[]
  readonly concurrency: Omit<LimitSettings, 'initial'> & { readonly initial?: number | undefined }
  readonly queue: QueueSettings
  readonly cost: CostUnit
  readonly breaker?: BreakerSettings | undefined
}

export interface TenantClass {
  readonly tenants: readonly string[]
  readonly weight: number
  readonly band: Band
}

export interface AnomalySettings extends UsageSettings {
  readonly action: 'shadow' | 'alert' | 'slow' | 'deny'
  readonly cost: CostUnit
}

/** `limits.overload` of the configuration. */
export interface OverloadSettings {
  readonly models: readonly ModelSettings[]
  readonly metrics?: ScrapeSettings | undefined
  readonly tenants: readonly TenantClass[]
  readonly anomaly?: AnomalySettings | undefined
  readonly reportLoad: boolean
}

/** A tenant's place among the others. */
export interface Standing {
  readonly weight: number
  /** Index into `bands`. */
  readonly band: number
}

/** Names that are remembered with what was found for them. */
const maxRemembered = 4096

/** The first entry that has the model; `undefined` where none has. A call of which the model is not known is one of `*`. */
export function modelLookup(models: readonly ModelSettings[]): (model: string) => ModelSettings | undefined {
  return remembered((model) => models.find(({ models: patterns }) => coversModel(patterns, model)))
}

/** The first entry that has the tenant; who has none is a tenant without a name. */
export function tenantLookup(classes: readonly TenantClass[]): (tenant: string) => Standing {
  return remembered((tenant) => {
    const found = classes.find(({ tenants }) => tenants.includes(tenant) || tenants.includes('*'))
    return { weight: found?.weight ?? 1, band: bands.indexOf(found?.band ?? 'standard') }
  })
}

/** Four times the floor, where the configuration says nothing else. */
export function limitSettings({
  floor,
  initial,
  ceiling,
  queueTargetMs,
}: ModelSettings['concurrency']): LimitSettings {
  return { floor, ceiling, queueTargetMs, initial: initial ?? Math.min(ceiling, floor * 4) }
}

function remembered<T>(find: (name: string) => T): (name: string) => T {
  const known = new Map<string, T>()
  return (name) => {
    const before = known.get(name)
    if (before !== undefined) return before
    const found = find(name)
    if (known.size >= maxRemembered) known.clear()
    known.set(name, found)
    return found
  }
}

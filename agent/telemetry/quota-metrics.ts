import { Counter, Gauge, type Registry } from 'prom-client'

/** What came of charging one limit. Names only of what is declared; nothing that a client writes becomes a label. */
export type QuotaOutcome = 'granted' | 'refused' | 'soft_over' | 'shadow_over' | 'near'

/** How a store does; the counts by their names. */
export interface QuotaStoreReading {
  readonly kind: string
  readonly isReachable: boolean
  readonly lostAtMs: number | undefined
  readonly replicas: number
  readonly counts: Readonly<Record<string, number>>
}

export interface QuotaMetrics {
  /** Counts what came of one limit, and the units it was charged. `limit` is `policy/limit`. */
  outcome(limit: string, unit: string, outcome: QuotaOutcome, units: number): void
  /**
   * Counts what a call really took of one limit, when it has ended. Tenants are declared; beyond 1,000 of them the rest
   * counts as `other`.
   */
  settled(options: {
    readonly limit: string
    readonly tenant: string
    readonly units: number
    readonly source: 'reported' | 'estimated'
  }): void
  /** Shows how the store does. */
  store(read: () => QuotaStoreReading): void
}

const maxTenants = 1000

/**
 * Counts in plain numbers and fills the registry's metrics when somebody asks, as decisions are counted: label objects
 * would cost more on each request than the counting.
 */
export function registerQuotaMetrics(registry: Registry): QuotaMetrics {
  const outcomes = new Map<string, Map<string, number>>()
  const charged = new Map<string, Map<string, number>>()
  const settled = new Map<string, Map<string, number>>()
  const tenants = new Set<string>()
  new Counter({
    name: 'sluice_quota_decisions_total',
    help: 'What came of each limit: granted, refused, soft_over and shadow_over (let through beyond it), near (granted with little left).',
    labelNames: ['limit', 'outcome'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [limit, counts] of outcomes)
        for (const [outcome, value] of counts) this.inc({ limit, outcome }, value)
    },
  })
  new Counter({
    name: 'sluice_quota_reserved_units_total',
    help: 'Units that were reserved before the answer was known.',
    labelNames: ['limit', 'unit'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [limit, counts] of charged)
        for (const [unit, value] of counts) this.inc({ limit, unit }, value)
    },
  })
  new Counter({
    name: 'sluice_quota_settled_units_total',
    help: 'Units that calls really took, as the model server reported it or as it was estimated.',
    labelNames: ['limit', 'tenant', 'source'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [limit, counts] of settled)
        for (const [key, value] of counts) {
          const at = key.indexOf(' ')
          this.inc({ limit, source: key.slice(0, at), tenant: key.slice(at + 1) }, value)
        }
    },
  })
  return {
    outcome: (limit, unit, outcome, units) => {
      add(outcomes, limit, outcome, 1)
      if (outcome !== 'refused' && outcome !== 'near') add(charged, limit, unit, units)
    },
    settled: ({ limit, tenant, units, source }) => {
      if (!tenants.has(tenant) && tenants.size < maxTenants) tenants.add(tenant)
      add(settled, limit, `${source} ${tenants.has(tenant) ? tenant : 'other'}`, units)
    },
    store: (read) => registerStore(registry, read),
  }
}

function registerStore(registry: Registry, read: () => QuotaStoreReading): void {
  const gauge = (name: string, help: string, value: (reading: QuotaStoreReading) => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value(read()))
      },
    })
  gauge('sluice_quota_store_up', '1 while the store of the counters can be asked.', ({ isReachable }) =>
    isReachable ? 1 : 0,
  )
  gauge(
    'sluice_quota_store_lost_timestamp_seconds',
    'When the store was last seen to have lost its memory; 0 if never.',
    ({ lostAtMs }) => (lostAtMs ?? 0) / 1000,
  )
  gauge('sluice_quota_store_replicas', 'Processes that share the store.', ({ replicas }) => replicas)
  new Counter({
    name: 'sluice_quota_store_total',
    help: 'What happened at the store: calls, timeouts, breaker_opened, queued, dropped, memory_lost, leased, shared, unchecked.',
    labelNames: ['event'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [event, value] of Object.entries(read().counts)) this.inc({ event }, value)
    },
  })
}

function add(counts: Map<string, Map<string, number>>, outer: string, inner: string, more: number): void {
  let of = counts.get(outer)
  if (of === undefined) {
    of = new Map()
    counts.set(outer, of)
  }
  of.set(inner, (of.get(inner) ?? 0) + more)
}

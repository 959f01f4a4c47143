import { Counter, Gauge, type Registry } from 'prom-client'

/** How one version of a model is; version empty where clients leave it to the server. */
interface ModelReading {
  readonly model: string
  readonly version: string
  readonly inFlight: number
  readonly limit: number
  readonly waiting: Readonly<Record<string, number>>
  readonly breaker: string | undefined
  readonly queueMs: number | undefined
  readonly utilization: number
}

/** What protects the model server, as metrics show it. Bands and reasons are a handful, models at most 1,024. */
export interface OverloadReading {
  readonly models: readonly ModelReading[]
  readonly counts: {
    readonly shed: Readonly<Record<string, Readonly<Record<string, number>>>>
    readonly waited: Readonly<Record<string, { readonly calls: number; readonly sumUs: number }>>
  }
  readonly unusual: readonly string[]
  readonly metricsProblem: string | undefined
}

export function registerOverloadMetrics(registry: Registry, read: () => OverloadReading): void {
  const ofModels = (name: string, help: string, value: (reading: ModelReading) => number | undefined) =>
    new Gauge({
      name,
      help,
      labelNames: ['model', 'version'] as const,
      registers: [registry],
      collect() {
        this.reset()
        for (const reading of read().models) {
          const { model, version } = reading
          const now = value(reading)
          if (now !== undefined) this.set({ model, version }, now)
        }
      },
    })
  ofModels('sluice_overload_in_flight', 'Calls that run.', ({ inFlight }) => inFlight)
  ofModels('sluice_overload_limit', 'Calls that may run at once.', ({ limit }) => limit)
  ofModels(
    'sluice_overload_utilization',
    'How busy a version is: 1 is all it can do, above there is too much.',
    ({ utilization }) => utilization,
  )
  ofModels(
    'sluice_overload_server_queue_seconds',
    "Mean time in the model server's own queue, as its metrics say.",
    ({ queueMs }) => (queueMs === undefined ? undefined : queueMs / 1000),
  )
  ofModels(
    'sluice_overload_breaker_open',
    '1 while nothing is let through to a version that fails.',
    (reading) => (reading.breaker === undefined ? undefined : reading.breaker === 'closed' ? 0 : 1),
  )
  new Gauge({
    name: 'sluice_overload_waiting',
    help: 'Calls that wait for their turn.',
    labelNames: ['model', 'version', 'band'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const { model, version, waiting } of read().models)
        for (const [band, count] of Object.entries(waiting)) this.set({ model, version, band }, count)
    },
  })
  new Counter({
    name: 'sluice_overload_shed_total',
    help: 'Calls that were refused, by band and reason.',
    labelNames: ['band', 'reason'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [band, reasons] of Object.entries(read().counts.shed))
        for (const [reason, count] of Object.entries(reasons)) this.inc({ band, reason }, count)
    },
  })
  new Counter({
    name: 'sluice_overload_waited_calls_total',
    help: 'Calls that waited for their turn and had it.',
    labelNames: ['band'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [band, { calls }] of Object.entries(read().counts.waited)) this.inc({ band }, calls)
    },
  })
  new Counter({
    name: 'sluice_overload_waited_seconds_total',
    help: 'How long they waited altogether.',
    labelNames: ['band'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [band, { sumUs }] of Object.entries(read().counts.waited)) this.inc({ band }, sumUs / 1e6)
    },
  })
  new Gauge({
    name: 'sluice_overload_unusual_tenants',
    help: 'Tenants whose usage is far outside their own history.',
    labelNames: ['tenant'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const tenant of read().unusual) this.set({ tenant }, 1)
    },
  })
  new Gauge({
    name: 'sluice_overload_server_metrics_up',
    help: "1 while the model server's metrics can be read, or nobody asked for them.",
    registers: [registry],
    collect() {
      this.set(read().metricsProblem === undefined ? 1 : 0)
    },
  })
}

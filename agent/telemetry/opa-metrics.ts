import { Counter, Gauge, type Registry } from 'prom-client'
import type { JsonObject } from '#base/json.ts'

/** What OPA's metrics are read from. */
export interface OpaReadings {
  readonly version: string
  /** State by plugin. */
  readonly plugins: Readonly<Record<string, string>>
  readonly bundles: readonly BundleReading[]
  /** How the last upload of the decision log went; absent before the first. */
  readonly decisionLogs?: { readonly code?: string; readonly httpCode?: number } | undefined
  /** Counters of the decision log by OPA's names. */
  readonly counters: ReadonlyMap<string, number>
  readonly buffer?: { readonly kind: 'size' | 'event'; readonly size: number } | undefined
  /** Decisions that are in no log, by why. */
  readonly lost: ReadonlyMap<string, number>
}

export interface BundleReading {
  readonly name: string
  readonly activeRevision: string
  readonly loads: number
  /** How often each problem was met. */
  readonly failures: ReadonlyMap<string, number>
  readonly lastRequestMs?: number | undefined
  readonly lastSuccessfulRequestMs?: number | undefined
  readonly lastSuccessfulDownloadMs?: number | undefined
  readonly lastSuccessfulActivationMs?: number | undefined
}

type Reading = readonly [labels: Readonly<Record<string, string>>, value: number]

interface OpaMetric {
  readonly name: string
  readonly help: string
  readonly kind: 'counter' | 'gauge'
  readonly labels: readonly string[]
  read(readings: OpaReadings): readonly Reading[]
}

type LastTime = Exclude<keyof BundleReading, 'name' | 'activeRevision' | 'loads' | 'failures'>

const last = (name: string, help: string, key: LastTime, isRevisionShown = false): OpaMetric => ({
  name,
  help,
  kind: 'gauge',
  labels: isRevisionShown ? ['name', 'active_revision'] : ['name'],
  read: ({ bundles }) =>
    bundles.flatMap((bundle): Reading[] => {
      const ms = bundle[key]
      if (ms === undefined) return []
      const revision = isRevisionShown && { active_revision: bundle.activeRevision }
      return [[{ name: bundle.name, ...revision }, ms * 1e6]]
    }),
})

const logCounter = (name: string): OpaMetric => ({
  name: `${name}_total`,
  help: `Counter for the decision logs metric ${name}.`,
  kind: 'counter',
  labels: [],
  read: ({ counters }) => [[{}, counters.get(name) ?? 0]],
})

const buffer = (kind: 'size' | 'event', name: string, help: string): OpaMetric => ({
  name,
  help,
  kind: 'gauge',
  labels: [],
  read: ({ buffer: own }) => (own?.kind === kind ? [[{}, own.size]] : []),
})

/** The names that dashboards for OPA know; the last one is ours. */
export const opaMetrics: readonly OpaMetric[] = [
  {
    name: 'opa_info',
    help: 'The version of what speaks as OPA here.',
    kind: 'gauge',
    labels: ['version'],
    read: ({ version }) => [[{ version }, 1]],
  },
  {
    name: 'plugin_status_gauge',
    help: 'State of each plugin.',
    kind: 'gauge',
    labels: ['name', 'status'],
    read: ({ plugins }) => Object.entries(plugins).map(([name, status]) => [{ name, status }, 1]),
  },
  {
    name: 'bundle_loaded_counter',
    help: 'Bundles that were activated.',
    kind: 'counter',
    labels: ['name'],
    read: ({ bundles }) => bundles.map(({ name, loads }) => [{ name }, loads]),
  },
  {
    name: 'bundle_failed_load_counter',
    help: 'Bundles that were not, by why.',
    kind: 'counter',
    labels: ['name', 'code', 'message'],
    read: ({ bundles }) =>
      bundles.flatMap(({ name, failures }) =>
        [...failures].map(([message, count]): Reading => [{ name, code: 'bundle_error', message }, count]),
      ),
  },
  last('last_bundle_request', 'When a bundle was asked for, in nanoseconds.', 'lastRequestMs'),
  last(
    'last_success_bundle_activation',
    'When a bundle was activated, in nanoseconds.',
    'lastSuccessfulActivationMs',
    true,
  ),
  last(
    'last_success_bundle_download',
    'When a bundle was downloaded, in nanoseconds.',
    'lastSuccessfulDownloadMs',
  ),
  last(
    'last_success_bundle_request',
    'When a bundle was last asked for with success, in nanoseconds.',
    'lastSuccessfulRequestMs',
  ),
  {
    name: 'decision_logs_status_gauge',
    help: 'How the last upload of the decision log went.',
    kind: 'gauge',
    labels: ['code', 'http_code'],
    read: ({ decisionLogs }) =>
      decisionLogs === undefined
        ? []
        : [[{ code: decisionLogs.code ?? '', http_code: String(decisionLogs.httpCode ?? '') }, 1]],
  },
  ...[
    'decision_logs_dropped_rate_limit_exceeded',
    'decision_logs_dropped_buffer_size_limit_exceeded',
    'decision_logs_dropped_buffer_size_limit_bytes_exceeded',
    'decision_logs_encoding_failure',
    'decision_logs_nd_builtin_cache_dropped',
    'enc_log_exceeded_upload_size_limit_bytes',
    'decision_logs_chunks_uploaded',
    'decision_logs_chunks_upload_failed',
  ].map(logCounter),
  buffer('event', 'decision_logs_buffer_size_events', 'Events that wait to be uploaded.'),
  buffer('size', 'decision_logs_buffer_size_bytes', 'Bytes of chunks that wait to be uploaded.'),
  {
    name: 'sluice_decision_log_lost_total',
    help: 'Decisions that are in no log, by why.',
    kind: 'counter',
    labels: ['reason'],
    read: ({ lost }) => [...lost].map(([reason, count]) => [{ reason }, count]),
  },
]

/** Has the registry read them whenever it is asked. */
export function registerOpaMetrics(registry: Registry, read: () => OpaReadings): void {
  for (const metric of opaMetrics) {
    const { name, help, labels, kind } = metric
    const Kind = kind === 'counter' ? Counter : Gauge
    new Kind({
      name,
      help,
      labelNames: labels,
      registers: [registry],
      collect() {
        this.reset()
        for (const [own, value] of metric.read(read())) this.inc(own, value)
      },
    })
  }
}

/** The same as a status report has them: Prometheus' metric families in JSON, by name. */
export function opaFamilies(readings: OpaReadings): JsonObject {
  return Object.fromEntries(
    opaMetrics.flatMap(({ name, help, kind, read }) => {
      const metric = read(readings).map(([labels, value]) => {
        const label = Object.entries(labels).map(([key, text]) => ({ name: key, value: text }))
        return { ...(label.length > 0 && { label }), [kind]: { value } }
      })
      return metric.length === 0 ? [] : [[name, { name, help, type: kind.toUpperCase(), metric }]]
    }),
  )
}

import { randomUUID } from 'node:crypto'
import type { OpaConfig } from '#config/config.ts'
import {
  consoleLine,
  type DecisionLogConfig,
  type LineWriter,
  type LogService,
  openDecisionLog,
} from '#policy/log/log.ts'
import type { BundleStatus, DecisionSink, ServiceClient } from '#policy/policy.ts'
import { openStatusReporter } from '#policy/status/status.ts'
import { openConsole } from '#telemetry/console.ts'
import { type OpaReadings, opaFamilies } from '#telemetry/opa-metrics.ts'
import type { Logger, Metrics } from '#telemetry/telemetry.ts'
import { serviceClients } from './policy-options.ts'
import { ownVersion } from './version.ts'

type LogsConfig = NonNullable<OpaConfig['decision_logs']>

export interface PolicyLogs extends AsyncDisposable {
  /** For the policy stage; absent where no log is configured. */
  readonly sink?: DecisionSink
  /** What the log asks of policy. */
  readonly decisions?: readonly string[]
  /** Told how each bundle stands, whenever that changes. */
  loaded(bundles: readonly BundleStatus[]): void
}

const standardOutput = 1
const maxProblems = 50

/** Opens the decision log and the status reports that `policy.opa` asks for. */
export function openPolicyLogs(options: {
  readonly config: OpaConfig | undefined
  readonly log: Logger
  readonly metrics: Metrics
  /** Instead of standard output. */
  readonly console?: LineWriter
}): PolicyLogs {
  const { config, log } = options
  if (config?.decision_logs === undefined && config?.status === undefined)
    return { loaded: () => {}, [Symbol.asyncDispose]: async () => {} }
  const { decision_logs: logs, status } = config
  const clients = serviceClients(config.services)
  const opened = new AsyncDisposableStack()
  const labels = { ...config.labels, id: randomUUID(), version: ownVersion() }
  const onProblem = (problem: string) => log.error({ problem }, 'policy log')
  const isConsoleWanted = logs?.console || status?.console
  const console = options.console ?? (isConsoleWanted ? opened.use(openConsole(standardOutput)) : undefined)

  let bundles: readonly BundleStatus[] = []
  const loads = new Map<string, number>()
  const failures = new Map<string, Map<string, number>>()
  const plugins: Record<string, 'OK' | 'NOT_READY'> = { bundle: 'NOT_READY', status: 'OK' }
  if (logs) plugins['decision_logs'] = 'OK'

  let lastUpload: OpaReadings['decisionLogs']
  const readings = (): OpaReadings => ({
    version: labels.version,
    plugins,
    bundles: bundles.map((each) => ({
      ...each,
      activeRevision: each.activeRevision ?? '',
      loads: loads.get(each.name) ?? 0,
      failures: failures.get(each.name) ?? new Map(),
    })),
    decisionLogs: lastUpload,
    counters: decisionLog?.counters() ?? new Map(),
    buffer: decisionLog?.bufferSize(),
    lost: decisionLog?.account().lost ?? new Map(),
  })
  const statusService = status && serviceOf(clients, status.service, status.console || status.prometheus)
  const reporter =
    status &&
    opened.use(
      openStatusReporter({
        labels,
        service: statusService,
        path: status.partition_name === undefined ? 'status' : `status/${status.partition_name}`,
        ...(status.console && {
          print: (document) =>
            void console?.write(consoleLine(statusLine, JSON.stringify(document), Date.now())),
        }),
        ...(status.prometheus && { metrics: () => opaFamilies(readings()) }),
        onProblem,
      }),
    )
  const decisionLog =
    logs &&
    opened.use(
      openDecisionLog({
        config: logConfig(
          withCache(logs, config.nd_builtin_cache),
          serviceOf(clients, logs.service, logs.console),
          console,
        ),
        labels,
        onStatus: (upload) => {
          lastUpload = upload
          reporter?.decisionLogs(upload)
        },
        onProblem,
      }),
    )
  if (status?.prometheus) options.metrics.opa(readings)
  for (const [name, state] of Object.entries(plugins)) reporter?.plugin(name, state)

  function failed(name: string, problem: string): void {
    const counts = failures.get(name) ?? new Map<string, number>()
    failures.set(name, counts)
    // A server that says something else each time must not make a metric of each.
    const kept = counts.has(problem) || counts.size < maxProblems ? problem : 'other'
    counts.set(kept, (counts.get(kept) ?? 0) + 1)
  }

  return {
    ...(decisionLog && { sink: decisionLog.sink }),
    ...(logs && { decisions: [withoutSlash(logs.mask_decision), withoutSlash(logs.drop_decision)] }),
    loaded: (now) => {
      for (const status of now) {
        const before = bundles.find(({ name }) => name === status.name)
        if (status.lastSuccessfulActivationMs !== before?.lastSuccessfulActivationMs)
          loads.set(status.name, (loads.get(status.name) ?? 0) + 1)
        if (status.problem !== undefined && status.problem !== before?.problem)
          failed(status.name, status.problem.message)
        if (before !== status) reporter?.bundle(status)
      }
      bundles = now
      if (now.every(({ activeRevision }) => activeRevision !== undefined)) plugins['bundle'] = 'OK'
      reporter?.plugin('bundle', plugins['bundle'] ?? 'NOT_READY')
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

const statusLine = { type: 'openpolicyagent.org/status', message: 'Status Log' }

/** The service that is named, or the first where none is and nothing else is asked for, as OPA has it. */
function serviceOf(
  clients: ReadonlyMap<string, ServiceClient>,
  name: string | undefined,
  isElsewhere: boolean,
): LogService | undefined {
  const chosen = name ?? (isElsewhere ? undefined : [...clients.keys()][0])
  return clients.get(chosen ?? '')
}

/** Bounds that OPA brings a limit into. */
const uploadLimits = { least: 90, most: 2 ** 32 }

function logConfig(
  config: LogsConfig,
  service: LogService | undefined,
  console: DecisionLogConfig['printer'],
): DecisionLogConfig {
  const { reporting, partition_name, resource } = config
  const path = partition_name === undefined ? (resource ?? '/logs') : `/logs/${partition_name}`
  const seconds = (value: number | undefined, fallback: number) => (value ?? fallback) * 1000
  return {
    mask: withoutSlash(config.mask_decision),
    drop: withoutSlash(config.drop_decision),
    isNdBuiltinCacheWanted: config.nd_builtin_cache,
    requestHeaders: config.request_context.http.headers,
    maxDecisionsPerSecond: reporting.max_decisions_per_second,
    ...(config.console && { printer: console }),
    ...(service && {
      upload: {
        service,
        path: path.replace(/^\/+|\/+$/g, ''),
        limit:
          reporting.buffer_type === 'event'
            ? { kind: 'event', events: reporting.buffer_size_limit_events ?? 10_000 }
            : { kind: 'size', bytes: reporting.buffer_size_limit_bytes },
        uploadLimitBytes: Math.min(
          Math.max(reporting.upload_size_limit_bytes, uploadLimits.least),
          uploadLimits.most,
        ),
        minDelayMs: seconds(reporting.min_delay_seconds, 300),
        maxDelayMs: seconds(reporting.max_delay_seconds, 600),
        trigger: reporting.trigger,
      },
    }),
  }
}

/** OPA's own switch stands at the top. */
function withCache(logs: LogsConfig, isWanted: boolean | undefined): LogsConfig {
  return isWanted === true ? { ...logs, nd_builtin_cache: true } : logs
}

function withoutSlash(path: string): string {
  return path.replace(/^\//, '')
}

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import type { LogService } from '#policy/log/log.ts'
import { createServiceClient } from '#policy/policy.ts'
import { type BundleStatus, openStatusReporter } from '#policy/status/status.ts'
import { type OpaReadings, opaFamilies, opaMetrics } from '#telemetry/opa-metrics.ts'
import { createMetrics } from '#telemetry/telemetry.ts'
import { http } from '../../harness/http.ts'
import { type LogServer, startLogServer } from '../../harness/log-server.ts'
import { buildBundle } from '../../harness/opa.ts'
import { startOpaServer } from '../../harness/opa-server.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'

const serviceAt = (url: string) => createServiceClient('s', { url })

const labels = { id: 'i', version: '0.1.0' }
const atMs = 1_790_000_000_000
const validBundle: BundleStatus = {
  name: 'authz',
  activeRevision: 'r1',
  lastRequestMs: atMs,
  lastSuccessfulRequestMs: atMs,
  lastSuccessfulDownloadMs: atMs,
  lastSuccessfulActivationMs: atMs,
  type: 'snapshot',
  sizeBytes: 700,
}
const readings: OpaReadings = {
  version: '0.1.0',
  plugins: { status: 'OK', bundle: 'NOT_READY' },
  bundles: [{ ...validBundle, activeRevision: 'r1', loads: 2, failures: new Map([['bad', 1]]) }],
  decisionLogs: { code: 'decision_log_error', httpCode: 500 },
  counters: new Map([['decision_logs_chunks_uploaded', 3]]),
  buffer: { kind: 'size', size: 9 },
  lost: new Map([['buffer_full', 4]]),
}

function open(service: LogService, change: Partial<Parameters<typeof openStatusReporter>[0]> = {}) {
  return openStatusReporter({ labels, service, path: 'status', onProblem: () => {}, ...change })
}
const noPause = () => new Promise<void>((resolve) => void setImmediate(resolve))
const last = (server: LogServer) => server.taken.at(-1)?.body as JsonObject
const untilLast = (server: LogServer, what: string, holds: (document: JsonObject) => unknown) =>
  eventually(what, () => server.taken.length > 0 && Boolean(holds(last(server))))

t.test('the state is reported at the start and on every change', async (t) => {
  await using server = await startLogServer()
  await using reporter = open(serviceAt(server.url))
  await eventually('the first report', () => server.taken.length > 0)
  t.match(server.taken[0], {
    path: '/status',
    headers: { 'content-type': 'application/json' },
    body: { labels, plugins: { status: { state: 'OK' } } },
  })
  reporter.plugin('bundle', 'NOT_READY')
  await untilLast(server, 'the plugin', (document) => (document['plugins'] as JsonObject)['bundle'])
  reporter.bundle(validBundle)
  await untilLast(server, 'the bundle', (document) => document['bundles'])
  reporter.decisionLogs({ code: 'decision_log_error', message: 'no', httpCode: 500 })
  await untilLast(server, 'the log', (document) => document['decision_logs'])
  const known = server.taken.length
  reporter.plugin('bundle', 'NOT_READY')
  reporter.bundle({
    ...validBundle,
    problem: { code: 'bundle_error', message: 'the server answered 404', httpStatus: 404 },
  })
  await untilLast(server, 'the problem', (document) =>
    JSON.stringify(document['bundles']).includes('bundle_error'),
  )
  t.equal(server.taken.length, known + 1, 'what stays as it is is not reported')
  const time = '2026-09-21T14:13:20Z'
  t.same(last(server), {
    labels,
    bundles: {
      authz: {
        name: 'authz',
        active_revision: 'r1',
        last_successful_activation: time,
        type: 'snapshot',
        size: 700,
        last_successful_download: time,
        last_successful_request: time,
        last_request: time,
        code: 'bundle_error',
        message: 'the server answered 404',
        http_code: 404,
      },
    },
    decision_logs: { code: 'decision_log_error', message: 'no', http_code: 500 },
    plugins: { status: { state: 'OK' }, bundle: { state: 'NOT_READY' } },
  })
})

t.test('a report that does not arrive is sent again as things are by then', async (t) => {
  let bad = 3
  const taken: JsonObject[] = []
  await using server = await startLogServer({
    answer: (_, response, { body }) => {
      if (bad-- > 0) {
        reporter.bundle({ ...validBundle, activeRevision: `r${bad}` })
        return bad === 1 ? response.socket?.resetAndDestroy() : response.writeHead(503).end()
      }
      taken.push(body as JsonObject)
      response.end()
    },
  })
  const problems: string[] = []
  const printed: JsonObject[] = []
  const slept: number[] = []
  await using reporter = open(serviceAt(server.url), {
    sleep: (ms) => {
      slept.push(ms)
      return noPause()
    },
    onProblem: (problem) => problems.push(problem),
    print: (document) => printed.push(document),
  })
  await eventually('the report', () => taken.length > 0)
  t.match(taken, [{ bundles: { authz: { active_revision: 'r0' } } }])
  t.same(slept, [100, 200, 400])
  t.match(problems, [/HTTP 503$/, /status update failed: /, /HTTP 503$/])
  t.equal(printed.length, 1, 'the console is not told twice')
})

t.test('changes that come while a report is on its way make one more', async (t) => {
  const answers: (() => void)[] = []
  await using server = await startLogServer({
    answer: (_, response) => void answers.push(() => response.end()),
  })
  await using reporter = open(serviceAt(server.url))
  await eventually('the first report', () => answers.length === 1)
  for (let number = 0; number < 10; number++)
    reporter.bundle({ ...validBundle, activeRevision: `r${number}` })
  answers[0]?.()
  await eventually('the second report', () => answers.length === 2)
  answers[1]?.()
  t.match(server.came[1]?.body, { bundles: { authz: { active_revision: 'r9' } } })
})

/** What stands where, values aside. */
function shapeOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return typeof value
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf)
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [key, shapeOf(item)])
      .sort(),
  )
}

t.test('a report has the shape of those that the real opa sends', async (t) => {
  const bundle = await buildBundle({
    files: { 'p.rego': 'package envoy.authz\n\nallow := true\n' },
    revision: 'r1',
    target: 'rego',
  })
  await using server = await startLogServer({ files: { 'bundle.tar.gz': bundle } })
  using folder = temporaryFolder()
  mkdirSync(join(folder.path, 'opa'))
  await using opa = await startOpaServer(
    join(folder.path, 'opa'),
    {},
    {
      services: { main: { url: server.url } },
      bundles: { authz: { service: 'main', resource: 'bundle.tar.gz' } },
      decision_logs: { service: 'main', reporting: { min_delay_seconds: 1, max_delay_seconds: 1 } },
      status: { service: 'main', prometheus: true },
    },
  )
  await http({ port: opa.port, path: '/v1/data/envoy/authz/allow', body: '{}' })
  const theirs = await eventually('a report of everything', () => {
    const reports = server.taken.filter(({ path }) => path.startsWith('/status'))
    const report = reports.at(-1)?.body as JsonObject | undefined
    const families = (report?.['metrics'] as JsonObject | undefined)?.['prometheus'] as JsonObject
    const isActive = JSON.stringify(report?.['bundles'] ?? {}).includes('"active_revision":"r1"')
    return isActive && 'decision_logs_chunks_uploaded_total' in families && report
  })
  await using own = await startLogServer()
  await using reporter = open(serviceAt(own.url), { metrics: () => opaFamilies(readings) })
  reporter.bundle(validBundle)
  reporter.decisionLogs({})
  for (const name of ['bundle', 'decision_logs', 'discovery']) reporter.plugin(name, 'OK')
  await untilLast(own, 'everything', (document) => (document['plugins'] as JsonObject)['discovery'])
  const { metrics: ourMetrics, ...ours } = last(own)
  const { metrics: theirMetrics, ...rest } = theirs as Record<string, JsonObject>
  // What loading a bundle took, stage by stage, is not measured here.
  const { metrics: _metrics, ...authz } = (rest['bundles'] as Record<string, JsonObject>)['authz'] ?? {}
  t.same(shapeOf(ours), shapeOf({ ...rest, bundles: { authz } }))
  const families = (metrics: unknown) => (metrics as { prometheus: Record<string, JsonObject> }).prometheus
  const [mine, their] = [families(ourMetrics), families(theirMetrics)]
  for (const [name, family] of Object.entries(mine)) {
    if (name.startsWith('sluice_') || their[name] === undefined) continue
    const plain = ({ metric, ...head }: JsonObject) => ({ ...head, metric: [withoutStamp(metric)] })
    t.same(shapeOf(plain(family)), shapeOf(plain(their[name] as JsonObject)), name)
    t.equal(family['type'], their[name]?.['type'], name)
  }
  const seen = Object.keys(their).filter((name) => /^(opa_|plugin_|bundle_|last_|decision_logs_)/.test(name))
  // A histogram of how long the stages of a load took.
  const unserved = ['bundle_loading_duration_ns']
  const names = new Set(opaMetrics.map(({ name }) => name))
  t.same(
    seen.filter((name) => !names.has(name)),
    unserved,
  )
})

/** The first reading, without the time that newer clients put beside it. */
function withoutStamp(metric: unknown): unknown {
  const [first] = metric as Record<string, Record<string, unknown>>[]
  return Object.fromEntries(
    Object.entries(first ?? {}).map(([key, value]) => {
      if (key !== 'counter') return [key, value]
      const { createdTimestamp: _, ...rest } = value
      return [key, rest]
    }),
  )
}

t.test('metrics are named as OPA names them, and read when somebody asks', async (t) => {
  const metrics = createMetrics()
  let current = readings
  metrics.opa(() => current)
  const lines = async () => (await metrics.render()).split('\n')
  const first = await lines()
  for (const line of [
    'opa_info{version="0.1.0"} 1',
    'plugin_status_gauge{name="bundle",status="NOT_READY"} 1',
    'bundle_loaded_counter{name="authz"} 2',
    'bundle_failed_load_counter{name="authz",code="bundle_error",message="bad"} 1',
    'last_bundle_request{name="authz"} 1790000000000000000',
    'last_success_bundle_activation{name="authz",active_revision="r1"} 1790000000000000000',
    'last_success_bundle_download{name="authz"} 1790000000000000000',
    'last_success_bundle_request{name="authz"} 1790000000000000000',
    'decision_logs_status_gauge{code="decision_log_error",http_code="500"} 1',
    'decision_logs_chunks_uploaded_total 3',
    'decision_logs_chunks_upload_failed_total 0',
    'decision_logs_buffer_size_bytes 9',
    'sluice_decision_log_lost_total{reason="buffer_full"} 4',
  ])
    t.ok(first.includes(line), line)
  for (const { name } of opaMetrics)
    t.ok(
      first.some((line) => line.startsWith(`# HELP ${name} `)),
      name,
    )
  current = { ...readings, plugins: { bundle: 'OK' } }
  const second = await lines()
  t.ok(second.includes('plugin_status_gauge{name="bundle",status="OK"} 1'))
  t.notOk(second.some((line) => line.includes('NOT_READY')))
})

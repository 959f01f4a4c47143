import t, { type Test } from 'tap'
import { z } from 'zod'
import { opaSchema } from '#config/opa-schema.ts'
import type { Decided } from '#policy/decided.ts'
import { createLogger, createMetrics } from '#telemetry/telemetry.ts'
import { openPolicyLogs } from '../../agent/commands/policy-logs.ts'
import { type LogServer, startLogServer } from '../harness/log-server.ts'
import { eventually } from '../harness/temp.ts'
import { lossOf } from '../policy/log/a-log.ts'
import { type Event, logEngine, validDecided } from '../policy/log/decisions.ts'

const engine = await logEngine(
  `package system.log

mask contains "/input/secret"

drop if input.input.secret == 2
`,
  ['system/log/mask', 'system/log/drop'],
)
const others = await logEngine(
  `package own

mask contains "/input/other"

drop if input.input.secret == 1
`,
  ['own/mask', 'own/drop'],
)

interface Seen {
  readonly server: LogServer
  readonly lines: readonly Event[]
  readonly metrics: string
  readonly logged: readonly Event[]
}

/** Runs a log with a configuration on three decisions, until it is closed. */
async function run(
  config: (url: string) => object,
  options: {
    readonly decided?: Partial<Decided>
    /** Holds before anything is flushed by the end. */
    readonly before?: (server: LogServer) => Promise<unknown>
  } = {},
): Promise<Seen> {
  await using server = await startLogServer()
  const lines: Event[] = []
  const metrics = createMetrics()
  const logs = openPolicyLogs({
    config: opaSchema.parse(config(server.url)),
    log: createLogger('error', { write: () => {} }),
    metrics,
    console: {
      write: (line) => {
        lines.push(JSON.parse(line))
        return true
      },
    },
  })
  logs.loaded([{ name: 'policy', activeRevision: 'r1', lastSuccessfulActivationMs: 1, type: 'snapshot' }])
  const document = (secret: number) => ({
    secret,
    other: 'o',
    noise: Array.from({ length: 40 }, () => crypto.randomUUID()),
    attributes: { request: { http: { headers: { 'x-team': 'blue' } } } },
  })
  for (const secret of [1, 2, 3])
    logs.sink?.(
      validDecided({
        engine,
        decisionId: `d${secret}`,
        recorded: new Map(),
        ...options.decided,
        document: document(secret),
      }),
    )
  await options.before?.(server)
  await logs[Symbol.asyncDispose]()
  const logged = server.taken
    .filter(({ path }) => !path.startsWith('/status'))
    .flatMap(({ body }) => body as Event[])
  return { server, lines, metrics: await metrics.render(), logged }
}

const logsOf =
  (decision_logs: object, more: object = {}) =>
  (url: string) => ({
    services: { main: { url } },
    decision_logs: { service: 'main', ...decision_logs },
    ...more,
  })
const statusOf = (status: object) => (url: string) => ({ services: { main: { url } }, status })
const idsOf = (events: readonly Event[]) => events.map((event) => event['decision_id'])
const pathsOf = ({ server }: Seen) => [...new Set(server.taken.map(({ path }) => path))]
const reasonsOf = (events: readonly Event[]) => events.map((event) => lossOf(event)?.reasons).filter(Boolean)

/** What each key of the configuration does. */
const effects: Readonly<Record<string, (t: Test) => Promise<unknown>>> = {
  'services.url': async (t) => t.same(idsOf((await run(logsOf({}))).logged), ['d1', 'd3']),
  labels: async (t) => {
    const { logged } = await run(logsOf({}, { labels: { zone: 'AE', id: 'not theirs' } }))
    t.match(logged[0], { labels: { zone: 'AE', id: /^[0-9a-f-]{36}$/, version: /^\d/ } })
  },
  'decision_logs.service': async (t) => {
    await using other = await startLogServer()
    const two = (service: object) => (url: string) => ({
      services: { first: { url }, second: { url: other.url } },
      decision_logs: service,
    })
    t.equal((await run(two({}))).logged.length, 2, 'the first one if none is named')
    t.equal((await run(two({ service: 'second' }))).logged.length, 0)
    t.equal(other.events().length, 2)
  },
  'decision_logs.console': async (t) => {
    const { lines, logged } = await run(logsOf({ console: true }))
    t.same(idsOf(lines), ['d1', 'd3'])
    t.same(idsOf(logged), ['d1', 'd3'])
    const alone = await run((url) => ({ services: { main: { url } }, decision_logs: { console: true } }))
    t.same(
      [alone.lines.length, alone.logged.length],
      [2, 0],
      'on the console alone where no service is named',
    )
    t.same((await run(logsOf({}))).lines, [])
  },
  'decision_logs.resource': async (t) =>
    t.same(pathsOf(await run(logsOf({ resource: '/own/path' }))), ['/own/path']),
  'decision_logs.partition_name': async (t) =>
    t.same(pathsOf(await run(logsOf({ partition_name: 'blue', resource: '/own' }))), ['/logs/blue']),
  'decision_logs.mask_decision': async (t) => {
    const decided = { engine: others }
    const { logged } = await run(logsOf({ mask_decision: '/own/mask' }), { decided })
    t.match(logged[0], { erased: ['/input/other'], input: { secret: 1 } })
    t.match((await run(logsOf({}))).logged[0], { erased: ['/input/secret'], input: { other: 'o' } })
  },
  'decision_logs.drop_decision': async (t) => {
    const { logged } = await run(logsOf({ drop_decision: 'own/drop' }), { decided: { engine: others } })
    t.same(idsOf(logged), ['d2', 'd3'])
  },
  'decision_logs.nd_builtin_cache': async (t) => {
    t.same((await run(logsOf({ nd_builtin_cache: true }))).logged[0]?.['nd_builtin_cache'], {})
    t.notOk('nd_builtin_cache' in ((await run(logsOf({}))).logged[0] ?? {}))
  },
  nd_builtin_cache: async (t) =>
    t.same((await run(logsOf({}, { nd_builtin_cache: true }))).logged[0]?.['nd_builtin_cache'], {}),
  'decision_logs.request_context.http.headers': async (t) =>
    t.match((await run(logsOf({ request_context: { http: { headers: ['X-Team'] } } }))).logged[0], {
      request_context: { http: { headers: { 'X-Team': ['blue'] } } },
    }),
  'decision_logs.reporting.buffer_type': async (t) => {
    const status = { status: { prometheus: true } }
    const of = async (buffer_type: string) =>
      (await run(logsOf({ reporting: { buffer_type } }, status))).metrics
    t.match(await of('event'), /^decision_logs_buffer_size_events 0$/m)
    t.match(await of('size'), /^decision_logs_buffer_size_bytes 0$/m)
  },
  'decision_logs.reporting.buffer_size_limit_bytes': async (t) => {
    // One event has more than that.
    const { logged } = await run(logsOf({ reporting: { buffer_size_limit_bytes: 500 } }))
    t.same(reasonsOf(logged), [{ buffer_full: 2 }])
  },
  'decision_logs.reporting.buffer_size_limit_events': async (t) => {
    const reporting = { buffer_type: 'event', buffer_size_limit_events: 1 }
    const { logged } = await run(logsOf({ reporting }))
    t.same(idsOf(logged).slice(0, 1), ['d3'])
    t.same(reasonsOf(logged), [{ buffer_full: 1 }])
  },
  'decision_logs.reporting.upload_size_limit_bytes': async (t) => {
    const { logged, server } = await run(logsOf({ reporting: { upload_size_limit_bytes: 700 } }))
    t.same(reasonsOf(logged), [{ too_large: 2 }])
    t.ok(server.taken.every(({ bytes }) => bytes <= 700))
    t.same(
      (await run(logsOf({ reporting: { upload_size_limit_bytes: 1 } }))).logged,
      [],
      'nothing fits into 90',
    )
  },
  'decision_logs.reporting.min_delay_seconds': async (t) => {
    const before = (server: LogServer) => eventually('the log', () => server.events().length === 2)
    const { logged } = await run(logsOf({ reporting: { min_delay_seconds: 0, max_delay_seconds: 0 } }), {
      before,
    })
    t.same(idsOf(logged), ['d1', 'd3'])
  },
  'decision_logs.reporting.max_delay_seconds': async (t) => {
    const reporting = { min_delay_seconds: 3600, max_delay_seconds: 3600 }
    const { server, logged } = await run(logsOf({ reporting }))
    t.same(idsOf(logged), ['d1', 'd3'])
    t.equal(server.taken.length, 1, 'nothing is sent before the end')
  },
  'decision_logs.reporting.max_decisions_per_second': async (t) => {
    const { logged } = await run(logsOf({ reporting: { max_decisions_per_second: 1 } }))
    t.same(idsOf(logged)[0], 'd1')
    t.same(reasonsOf(logged), [{ rate_limited: 1 }])
  },
  'decision_logs.reporting.trigger': async (t) => {
    const reporting = { trigger: 'immediate', upload_size_limit_bytes: 1400 }
    const before = (server: LogServer) => eventually('the first chunk', () => server.events().length > 0)
    t.same(idsOf((await run(logsOf({ reporting }), { before })).logged), ['d1', 'd3'])
  },
  'status.service': async (t) => {
    const of = async (status: object) =>
      pathsOf(
        await run(statusOf(status), {
          before: (server) => eventually('a report', () => server.taken.length > 0),
        }),
      )
    t.same(await of({}), ['/status'], 'the first one if none is named')
    t.same(await of({ service: 'main', console: true }), ['/status'])
  },
  'status.console': async (t) => {
    const before = () => new Promise((resolve) => setImmediate(resolve))
    const { lines, server } = await run(statusOf({ console: true }), { before })
    t.match(lines[0], {
      msg: 'Status Log',
      type: 'openpolicyagent.org/status',
      plugins: { status: { state: 'OK' } },
    })
    t.same(server.taken, [])
  },
  'status.partition_name': async (t) => {
    const before = (server: LogServer) => eventually('a report', () => server.taken.length > 0)
    t.same(pathsOf(await run(statusOf({ partition_name: 'blue' }), { before })), ['/status/blue'])
  },
  'status.prometheus': async (t) => {
    const before = (server: LogServer) => eventually('a report', () => server.taken.length > 0)
    const { metrics, server } = await run(statusOf({ service: 'main', prometheus: true }), { before })
    t.match(metrics, /^bundle_loaded_counter\{name="policy"\} 1$/m)
    t.match(server.taken[0]?.body, { metrics: { prometheus: { opa_info: { type: 'GAUGE' } } } })
    t.notMatch((await run(statusOf({ service: 'main' }), { before })).metrics, /opa_info/)
  },
  'status.trigger': async (t) => {
    for (const trigger of ['manual', 'immediate'])
      t.throws(() => opaSchema.parse(statusOf({ trigger })('http://x')), trigger)
  },
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: JsonSchema | boolean
}

function leavesOf(schema: JsonSchema, path: string): string[] {
  const rest = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined
  const properties = schema.properties ?? rest?.properties
  if (properties === undefined) return [path]
  return Object.entries(properties).flatMap(([key, each]) =>
    leavesOf(each, path === '' ? key : `${path}.${key}`),
  )
}

t.test('every key of the configuration has an effect', async (t) => {
  const schema = z.toJSONSchema(opaSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema
  const logs = leavesOf(schema, '').filter((key) =>
    /^(decision_logs|status|labels|nd_builtin_cache)\b/.test(key),
  )
  t.same(
    logs.sort(),
    Object.keys(effects)
      .filter((key) => key !== 'services.url')
      .sort(),
  )
  for (const [key, check] of Object.entries(effects)) await t.test(key, async (t) => void (await check(t)))
})

const main = { main: { url: 'http://127.0.0.1:9' } }
const refused: [name: string, config: object, says: RegExp][] = [
  ['a service that is not there', { services: main, decision_logs: { service: 'x' } }, /one of services/],
  ['nowhere to write to', { decision_logs: {} }, /a service, or console: true/],
  ['nowhere to report to', { status: {} }, /a service, or console: true/],
  ...(
    [
      [{ min_delay_seconds: 1 }, /both delays or neither/],
      [{ max_delay_seconds: 1 }, /both delays or neither/],
      [{ min_delay_seconds: 2, max_delay_seconds: 1 }, /at least min_delay_seconds/],
      [{ buffer_type: 'ring' }, /expected one of .*size.*event/],
      [{ buffer_type: 'event', buffer_size_limit_bytes: 1 }, /buffer_size_limit_events/],
      [{ buffer_size_limit_events: 1 }, /buffer_type event/],
      [{ buffer_size_limit_bytes: 0 }, />=1/],
      [{ buffer_size_limit_bytes: 9, max_decisions_per_second: 1 }, /either buffer_size_limit_bytes or/],
      [{ trigger: 'manual' }, /expected one of .*periodic.*immediate/],
    ] as const
  ).map(([reporting, says]): [string, object, RegExp] => [
    JSON.stringify(reporting),
    { services: main, decision_logs: { reporting } },
    says,
  ]),
  ['a plugin for the log', { services: main, decision_logs: { plugin: 'x' } }, /"plugin"/],
  ['a plugin for reports', { services: main, status: { plugin: 'x' } }, /"plugin"/],
  [
    'a credential beside the input',
    { services: main, decision_logs: { request_context: { http: { headers: ['Authorization'] } } } },
    /never logged/,
  ],
  ['a mask that is no path', { services: main, decision_logs: { mask_decision: '/a//b' } }, /a path such as/],
]

t.test('what OPA refuses, and what we do not serve, is refused by name', async (t) => {
  for (const [name, config, says] of refused) t.throws(() => opaSchema.parse(config), says, name)
})

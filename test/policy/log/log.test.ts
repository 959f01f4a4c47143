import type { ServerResponse } from 'node:http'
import t from 'tap'
import { openDecisionLog } from '#policy/log/log.ts'
import { createServiceClient } from '#policy/policy.ts'
import { type LogServer, startLogServer } from '../../harness/log-server.ts'
import { eventually } from '../../harness/temp.ts'
import {
  eventsOf,
  type LogOptions,
  labels,
  lossOf,
  type UploadConfig,
  validLogConfig,
  virtualTime,
} from './a-log.ts'
import { type Event, validDecided } from './decisions.ts'

const serviceAt = (url: string) => createServiceClient('s', { url })

const soon = (due: () => void) => void setImmediate(due)
const noPause = () => new Promise<void>((resolve) => void setImmediate(resolve))

/** A log that is always due. */
const configOf = (
  service: Parameters<typeof validLogConfig>[0],
  change: Partial<UploadConfig> = {},
  more: Parameters<typeof validLogConfig>[2] = {},
) => validLogConfig(service, { minDelayMs: 0, maxDelayMs: 0, ...change }, more)

function open(server: { readonly url: string }, change: Partial<LogOptions> = {}) {
  const service = serviceAt(server.url)
  return openDecisionLog({
    config: configOf(service),
    labels,
    later: soon,
    sleep: noPause,
    onProblem: () => {},
    ...change,
  })
}

const idsOf = (events: readonly Event[]) => events.map((event) => event['decision_id'])
const waitFor = (server: LogServer, count: number) =>
  eventually(`${count} events`, () => server.events().length >= count)

t.test('events arrive as a gzip JSON array, as OPA sends them', async (t) => {
  await using server = await startLogServer()
  await using log = open(server)
  log.sink(validDecided({ decisionId: 'a' }))
  log.sink(validDecided({ decisionId: 'b' }))
  await waitFor(server, 2)
  const [upload] = server.taken
  t.match(upload, {
    path: '/logs',
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  })
  t.equal(Number(upload?.headers['content-length']), upload?.bytes)
  t.same(server.events()[0], {
    labels,
    decision_id: 'a',
    bundles: { policy: { revision: 'r1' } },
    path: 'envoy/authz/allow',
    input: { attributes: { request: { http: { method: 'GET' } } } },
    result: true,
    timestamp: '2026-09-21T14:13:20.12Z',
    metrics: { timer_rego_query_eval_ns: 12_500 },
  })
  t.same(idsOf(server.events() as Event[]), ['a', 'b'])
})

const status =
  (code: number, headers = {}) =>
  (response: ServerResponse) =>
    response.writeHead(code, headers).end('{}')
const faults: [name: string, answer: (response: ServerResponse) => unknown, says: RegExp][] = [
  ['an error', status(500), /HTTP 500$/],
  ['an unknown path', status(404), /HTTP 404$/],
  ['a body that is too large for it', status(413), /HTTP 413$/],
  ['nothing new', status(304), /HTTP 304$/],
  ['a reset', (response) => response.socket?.resetAndDestroy(), /log upload failed: .*(hang up|ECONNRESET)/],
  [
    'half an answer',
    (response) => response.writeHead(200, { 'content-length': 10 }).write('{}', () => response.destroy()),
    /log upload failed: /,
  ],
  ['no HTTP', (response) => response.socket?.end('nonsense\r\n\r\n'), /log upload failed: .*Parse Error/],
]

t.test('what a log server does not take stays, and is sent again in its order', async (t) => {
  for (const [name, fault, says] of faults) {
    let bad = 3
    const taken: Event[] = []
    await using server = await startLogServer({
      answer: (_, response, upload) => {
        if (bad-- > 0) return fault(response)
        taken.push(...(upload.body as Event[]))
        response.end('{}')
      },
    })
    const problems: string[] = []
    const statuses: unknown[] = []
    await using log = open(server, {
      onProblem: (problem) => problems.push(problem),
      onStatus: (each) => statuses.push(each),
    })
    for (let number = 0; number < 5; number++) log.sink(validDecided({ decisionId: `d${number}` }))
    await eventually('the events', () => taken.length >= 5)
    t.same(idsOf(taken), ['d0', 'd1', 'd2', 'd3', 'd4'], name)
    t.equal(problems.length, 3, `${name}: ${problems}`)
    for (const problem of problems) t.match(problem, says, name)
    await eventually('the last status', () => statuses.length >= 4)
    t.match(statuses[0], { code: 'decision_log_error', message: says }, name)
    t.same(statuses[3], {}, name)
    t.equal(log.counters().get('decision_logs_chunks_upload_failed'), 3, name)
    t.same([...log.account().lost], [], name)
  }
})

t.test('a redirect is not followed: the log goes where it was meant to', async (t) => {
  await using elsewhere = await startLogServer()
  await using server = await startLogServer({
    answer: (_, response) => status(307, { location: `${elsewhere.url}/logs` })(response),
  })
  const problems: string[] = []
  await using log = open(server, { onProblem: (problem) => problems.push(problem), flushMs: 1 })
  log.sink(validDecided())
  await eventually('a problem', () => problems.length > 0)
  t.match(problems[0], /HTTP 307$/)
  t.same(elsewhere.came, [])
})

t.test('a log server that was gone gets everything when it is back', async (t) => {
  const gone = await startLogServer()
  const { port } = gone
  await gone[Symbol.asyncDispose]()
  const problems: string[] = []
  await using log = open(gone, { onProblem: (problem) => problems.push(problem) })
  for (let number = 0; number < 3; number++) log.sink(validDecided({ decisionId: `d${number}` }))
  await eventually('some failures', () => problems.length >= 3)
  t.match(problems[0], /ECONNREFUSED/)
  await using back = await startLogServer({ port })
  await waitFor(back, 3)
  t.same(idsOf(back.events() as Event[]), ['d0', 'd1', 'd2'])
  t.equal(log.account().delivered, 3)
})

t.test('delays grow after failures, up to the longest, and are between the two after success', async (t) => {
  const slept: number[] = []
  const time = virtualTime()
  let bad = 12
  const service = { post: async () => ({ status: bad-- > 0 ? 503 : 200 }) }
  const config = configOf(service, { minDelayMs: 3000, maxDelayMs: 5000 })
  await using log = open(
    { url: 'http://unused' },
    {
      config,
      clock: time.clock,
      random: () => 0.5,
      sleep: async (ms) => {
        slept.push(ms)
        time.advance(ms)
        await noPause()
      },
    },
  )
  log.sink(validDecided())
  await eventually('the event', () => log.account().delivered === 1)
  await eventually('a regular pause', () => slept.at(-1) === 4000)
  const retries = slept.filter((ms) => ms !== 4000).map(Math.round)
  t.same(retries, [100, 160, 256, 410, 655, 1049, 1678, 2684, 4295, 5000, 5000, 5000])
})

t.test('what one server never takes does not stand in the way of the rest', async (t) => {
  const taken: Event[] = []
  const service = {
    post: async ({ body }: { readonly body: Buffer }) => {
      const events = eventsOf(body)
      if (idsOf(events).includes('poison')) return { status: 413 }
      taken.push(...events)
      return { status: 200 }
    },
  }
  const problems: string[] = []
  const onProblem = (problem: string) => void problems.push(problem)
  const config = configOf(service, { uploadLimitBytes: 300, trigger: 'immediate' })
  await using log = open({ url: 'http://unused' }, { config, onProblem, flushMs: 1 })
  log.sink(validDecided({ decisionId: 'poison' }))
  await eventually('the refusal', () => problems.length > 0)
  for (const decisionId of ['a', 'b', 'c']) log.sink(validDecided({ decisionId }))
  await eventually('the others', () => taken.length >= 3)
  t.same(idsOf(taken).sort(), ['a', 'b', 'c'])
  t.equal(log.account().waiting, 1)
})

t.test('chunks learn their size: never above the limit, and soon near to it', async (t) => {
  const limit = 2000
  await using server = await startLogServer()
  await using log = open(server, {
    config: configOf(serviceAt(server.url), { uploadLimitBytes: limit }),
  })
  const count = 3000
  for (let number = 0; number < count; number++)
    // The last third compresses far less well: what was learned is too much for it.
    log.sink(validDecided({ decisionId: `d${number}`, document: { user: random(number < 2000 ? 4 : 400) } }))
  await eventually('every event', () => log.account().waiting === 0 || undefined)
  t.same(
    idsOf(server.events() as Event[]),
    Array.from({ length: count }, (_, number) => `d${number}`),
  )
  const sizes = server.taken.map(({ bytes }) => bytes)
  t.ok(Math.max(...sizes) <= limit, `${sizes}`)
  const later = sizes.slice(10, -1)
  const fill = later.reduce((sum, bytes) => sum + bytes, 0) / later.length / limit
  t.ok(fill > 0.5, `chunks are filled to ${fill}: ${sizes}`)
  t.ok((log.counters().get('enc_uncompressed_limit_scale_up') ?? 0) > 0)
  t.ok((log.counters().get('enc_uncompressed_limit_scale_down') ?? 0) > 0)
})

const random = (characters: number) =>
  Buffer.from(crypto.getRandomValues(new Uint8Array(characters)))
    .toString('base64')
    .slice(0, characters)

t.test('an event that is too large loses its cache of builtins first, and is lost after that', async (t) => {
  await using server = await startLogServer()
  const config = configOf(serviceAt(server.url), { uploadLimitBytes: 2000 })
  await using log = open(server, { config })
  const recorded = new Map([['rand.intn', new Map([['["x",1]', random(4000)]])]])
  log.sink(validDecided({ decisionId: 'with a cache', recorded }))
  log.sink(validDecided({ decisionId: 'too large', document: random(4000), recorded }))
  log.sink(validDecided({ decisionId: 'small', recorded: new Map() }))
  await log[Symbol.asyncDispose]()
  const events = server.events() as Event[]
  const decisions = events.filter((event) => lossOf(event) === undefined)
  t.same(idsOf(decisions), ['with a cache', 'small'])
  t.notOk('nd_builtin_cache' in (decisions[0] ?? {}))
  t.same(decisions[1]?.['nd_builtin_cache'], {})
  t.match(
    events.map(lossOf).find((each) => each !== undefined),
    { lost: 1, reasons: { too_large: 1 } },
  )
  t.equal(log.counters().get('decision_logs_nd_builtin_cache_dropped'), 1)
  t.equal(log.counters().get('decision_logs_encoding_failure'), 1)
})

t.test('a tombstone is an event that nobody takes for a decision that was allowed', async (t) => {
  await using server = await startLogServer()
  const config = configOf(serviceAt(server.url), {}, { maxDecisionsPerSecond: 1 })
  await using log = open(server, { config })
  const atMs = 1_790_000_000_000
  for (const after of [0, 10, 20, 30]) log.sink(validDecided({ decisionId: `d${after}`, atMs: atMs + after }))
  await log[Symbol.asyncDispose]()
  const [decision, tombstone] = server.events() as Event[]
  t.equal(decision?.['decision_id'], 'd0')
  const { decision_id, timestamp, ...rest } = tombstone ?? {}
  t.match([decision_id, timestamp], [/^[0-9a-f-]{36}$/, /^\d{4}-.*Z$/])
  t.same(rest, {
    labels,
    error: {
      code: 'decision_log_lost',
      message:
        '3 decisions from 2026-09-21T14:13:20.01Z to 2026-09-21T14:13:20.03Z are not logged: max_decisions_per_second was exceeded',
    },
    custom: {
      sluice: {
        kind: 'tombstone',
        lost: 3,
        since: '2026-09-21T14:13:20.01Z',
        until: '2026-09-21T14:13:20.03Z',
        reasons: { rate_limited: 3 },
      },
    },
  })
})

t.test('a server that holds the last upload holds up the end for a bounded time only', async (t) => {
  await using server = await startLogServer({ answer: () => {} })
  const problems: string[] = []
  const log = open(server, { flushMs: 50, onProblem: (problem) => problems.push(problem) })
  log.sink(validDecided())
  log.sink(validDecided())
  await eventually('the upload', () => server.came.length > 0)
  await log[Symbol.asyncDispose]()
  t.same([...log.account().lost], [['shutdown', 2]])
  t.match(problems.at(-1), /not logged: 2 shutdown/)
  log.sink(validDecided())
  t.match(log.account(), { received: 3, waiting: 0, delivered: 0 }, 'what comes after the end is counted too')
  t.equal(log.account().lost.get('shutdown'), 3)
})

t.test('the console gets a line for each event, beside the server or alone', async (t) => {
  await using server = await startLogServer()
  for (const upload of [configOf(serviceAt(server.url)).upload, undefined]) {
    const lines: string[] = []
    let isBehind = false
    let attempts = 0
    const console = {
      write: (line: string) => {
        attempts++
        if (!isBehind) lines.push(line)
        return !isBehind
      },
    }
    const config = { ...configOf(serviceAt(server.url)), upload, printer: console }
    await using log = open(server, { config })
    const writeOne = async (decisionId: string) => {
      const before = attempts
      log.sink(validDecided({ decisionId, result: undefined }))
      await eventually('the line', () => attempts > before)
    }
    await writeOne('a')
    t.match(JSON.parse(lines[0] as string), {
      level: 'info',
      msg: 'Decision Log',
      type: 'openpolicyagent.org/decision_logs',
      time: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
      decision_id: 'a',
      error: 'undefined decision',
    })
    if (upload !== undefined) continue
    isBehind = true
    await writeOne('b')
    isBehind = false
    await writeOne('c')
    const written = lines.map((line) => JSON.parse(line) as Event)
    t.match(written[1]?.['error'], /^1 decisions from .* nobody read the console$/)
    t.same([written[2]?.['decision_id'], written.length], ['c', 3])
    t.match(log.account(), { received: 3, delivered: 2 })
  }
})

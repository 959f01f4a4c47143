import t from 'tap'
import type { Demand, Usage } from '#decision/usage.ts'
import { noUsage } from '#decision/usage.ts'
import { grpcTimeoutMs } from '#limits/overload/grpc-timeout.ts'
import { someRequest } from '../../decision/an-exchange.ts'
import fc from '../../fast-check.ts'
import { type Asked, answered, inOrder, one, oneAtATime, seen, setting, withGrpcTimeout } from './a-stage.ts'

t.test('what no entry is for, asks for no computation or is only admitted goes on at once', async (t) => {
  const world = setting({ ...oneAtATime, models: [{ ...one, models: ['fraud'] }] })
  const rows = [
    { what: 'another model', more: { call: { protocol: 'v2-http', verb: 'infer', model: 'ocr' } } },
    { what: 'metadata', more: { call: { protocol: 'v2-http', verb: 'metadata', model: 'fraud' } } },
    { what: 'ext_authz', more: { request: someRequest({ api: 'ext_authz' }) } },
  ] as const
  for (const { what, more } of rows)
    for (let i = 0; i < 3; i++) t.equal(world.ask('acme', more).said(), 'run', what)
  t.equal(world.ask('acme').said(), 'run')
  t.equal(world.ask('acme').said(), 'wait', 'the model it is for')
})

t.test('a call whose model nobody knows is one of all models together', async (t) => {
  const world = setting(oneAtATime)
  const unnamed = { call: { protocol: 'openai', verb: 'generate' } } as const
  t.equal(world.ask('acme', unnamed).said(), 'run')
  t.equal(world.ask('acme', unnamed).said(), 'wait')
})

t.test('versions have limits of their own', async (t) => {
  const world = setting(oneAtATime)
  for (const version of ['1', '2'])
    t.equal(world.ask('acme', { route: { version, by: 'split' } }).said(), 'run')
  t.equal(world.ask('acme', { route: { version: '2', by: 'pin' } }).said(), 'wait')
})

t.test('calls that wait run one after the other, as places become free', async (t) => {
  const world = setting(oneAtATime)
  const calls = ['a', 'b', 'b', 'c'].map((tenant) => world.ask(tenant))
  t.same(calls.map((each) => each.said()).join(' '), 'run wait wait wait')
  t.same((await inOrder(calls)).map(({ x }) => x.tenant?.name).join(''), 'abcb')
  t.match(world.overload.readings().counts.waited.standard, { calls: 3 })
})

t.test('who is refused, and with which reason', async (t) => {
  const world = setting(oneAtATime)
  world.ask('a')
  const waiting = ['a', 'a', 'a'].map((tenant) => world.ask(tenant))
  const own = world.ask('a')
  t.match(own.verdict(), { kind: 'deny', reason: 'queue_full', retryAfterSeconds: 7 })
  t.equal(world.ask('b').said(), 'wait')
  const other = world.ask('c')
  await seen()
  t.equal(other.said(), 'wait', 'the queue is full, and it has a right to a place')
  t.match(waiting[2]?.verdict(), { kind: 'deny', reason: 'overloaded', retryAfterSeconds: 7 })
  world.advanceMs(1000)
  await seen()
  t.match(other.verdict(), { kind: 'deny', reason: 'queue_timeout', retryAfterSeconds: 7 })
  t.match(world.overload.readings().counts.shed.standard, { queue_full: 1, overloaded: 1, queue_timeout: 4 })
  t.same(world.load(), { inFlight: 1, waiting: 0 })
})

t.test('the lowest band makes room, and a call that runs never does', async (t) => {
  const world = setting({
    models: [{ ...one, queue: { ...one.queue, total: 2 } }],
    tenants: [
      { tenants: ['gold'], band: 'premium' },
      { tenants: ['night'], band: 'batch' },
    ],
  })
  const running = world.ask('night')
  const first = world.ask('night')
  world.ask('silver')
  world.ask('gold')
  await seen()
  t.equal(first.said(), 'overloaded')
  t.equal(world.ask('night').said(), 'overloaded')
  t.equal(running.said(), 'run')
  t.match(world.overload.readings().counts.shed.batch, { overloaded: 2 })
})

t.test('a queue of nobody refuses at once', async (t) => {
  const world = setting({ models: [{ ...one, queue: { total: 0 } }] })
  world.ask('a')
  t.equal(world.ask('a').said(), 'overloaded')
})

t.test("nobody waits longer than the call's own deadline", async (t) => {
  const world = setting(oneAtATime)
  world.ask('a')
  const short = world.ask('b', withGrpcTimeout('200m'))
  const long = world.ask('b', withGrpcTimeout('1H'))
  const late = world.ask('b', { ...withGrpcTimeout('200m'), startedUs: 0 })
  t.equal(late.said(), 'queue_timeout')
  world.advanceMs(200)
  await seen()
  t.same([short.said(), long.said()], ['queue_timeout', 'wait'])
  world.advanceMs(800)
  await seen()
  t.equal(long.said(), 'queue_timeout')
})

t.test('what grpc-timeout says', async (t) => {
  const rows: readonly (readonly [string, number | undefined])[] = [
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3000],
    ['40m', 40],
    ['5000u', 5],
    ['99999999n', 99.999999],
    ['0S', 0],
    ['', undefined],
    ['S', undefined],
    ['1', undefined],
    ['1s', undefined],
    ['-1S', undefined],
    ['1.5S', undefined],
    ['123456789S', undefined],
  ]
  for (const [text, ms] of rows) {
    const said = grpcTimeoutMs(text)
    if (ms === undefined) t.equal(said, undefined, text)
    else t.ok(said !== undefined && Math.abs(said - ms) < 1e-9, text)
  }
})

t.test('who waits is known to those that have to be patient, and leaves when nobody is', async (t) => {
  const world = setting(oneAtATime)
  world.ask('a')
  const told: number[] = []
  const gone = world.ask('b', { whenWaiting: ({ atMostMs }) => void told.push(atMostMs) })
  t.same(told, [1000])
  gone.x.waiting?.abandon()
  await seen()
  t.equal(gone.x.waiting, undefined)
  t.equal(gone.said(), 'queue_timeout')
  t.same(world.load(), { inFlight: 1, waiting: 0 })
  t.match(world.overload.readings().counts.shed.standard, { queue_timeout: 0 }, 'nobody was refused')
})

t.test('no place is ever lost, whichever way calls end, and none is given twice', async (t) => {
  const step = fc.record({
    kind: fc.constantFrom(
      'ask',
      'ask',
      'ask',
      'end',
      'endTwice',
      'revoke',
      'abandon',
      'answer',
      'fail',
      'time',
    ),
    tenant: fc.constantFrom('a', 'b', 'c', 'd'),
    at: fc.nat(30),
  })
  const config = {
    models: [
      {
        models: ['*'],
        concurrency: { floor: 2, initial: 2, ceiling: 2 },
        queue: { total: 5, perTenant: 3, waitMs: 1000 },
        breaker: { failures: 3, openSeconds: 1 },
      },
    ],
    tenants: [
      { tenants: ['a'], band: 'premium' as const, weight: 3 },
      { tenants: ['b'], band: 'batch' as const },
    ],
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const world = setting(config)
      const { stage } = world.overload
      let open: Asked[] = []
      for (const { kind, tenant, at } of steps) {
        const some = open[at % Math.max(1, open.length)]
        if (kind === 'ask') open.push(world.ask(tenant))
        else if (kind === 'time') world.advanceMs(at * 50)
        else if (some === undefined) continue
        else if (kind === 'abandon') some.x.waiting?.abandon()
        else if (kind === 'answer' || kind === 'fail') answered(world, some, kind === 'fail' ? 500 : 200)
        else {
          if (kind === 'revoke') stage.revoke?.(some.x)
          some.end()
          if (kind === 'endTwice') some.end()
          open = open.filter((each) => each !== some)
        }
        await Promise.resolve()
        const { inFlight } = world.load()
        // Beyond the limit only calls that try whether the server is well, one each time.
        const tries = world.events.filter((event) => event.kind === 'breaker' && event.state === 'half_open')
        if (inFlight > 2 + tries.length || inFlight < 0) return false
      }
      await seen()
      const running = open.filter((each) => each.said() === 'run').length
      const waiting = open.filter((each) => each.said() === 'wait').length
      const before = world.load()
      for (const each of open) each.end()
      await seen()
      const after = world.load()
      return (
        before.inFlight === running &&
        before.waiting === waiting &&
        after.inFlight === 0 &&
        after.waiting === 0 &&
        open.every((each) => each.said() !== 'wait')
      )
    }),
    { numRuns: 300 },
  )
  t.pass()
})

const demandOf = (tokens: number): { demand: () => Demand } => ({
  demand: () => ({
    bound: { ...noUsage, inputTokens: tokens, outputTokens: 0 },
    isOutputBounded: true,
    answers: 1,
  }),
})
const meterOf = (usage: Partial<Usage>) => ({
  requestReport: () => undefined,
  begin: () => {},
  feed: (chunk: Uint8Array) => chunk,
  metered: () => ({ usage: { ...noUsage, ...usage }, source: 'reported' as const, isComplete: true }),
  farewell: () => undefined,
})

t.test('shares are of tokens where they are what is shared, corrected by what was measured', async (t) => {
  const world = setting({ models: [{ ...one, cost: 'tokens', queue: { total: 20, perTenant: 20 } }] })
  const first = world.ask('a', { ...demandOf(10), meter: meterOf({ inputTokens: 10, outputTokens: 1000 }) })
  const waiting = ['a', 'a', 'b', 'b', 'b'].map((tenant) => world.ask(tenant, demandOf(100)))
  const order = await inOrder([first, ...waiting])
  t.equal(order.map(({ x }) => x.tenant?.name).join(''), 'abbbaa', 'a took more than it said')
})

t.test('calls of which nobody knows the size take no share from those that come after them', async (t) => {
  const world = setting({ models: [{ ...one, cost: 'tokens', queue: { total: 20, perTenant: 20 } }] })
  for (let i = 0; i < 300; i++) world.ask('greedy', demandOf(Number.MAX_SAFE_INTEGER)).end()
  const first = world.ask('greedy', demandOf(1))
  const waiting = ['a', 'a', 'a', 'b', 'b', 'b'].map((tenant) => world.ask(tenant, demandOf(10)))
  const order = await inOrder([first, ...waiting])
  t.equal(order.map(({ x }) => x.tenant?.name).join(' '), 'greedy a b a b a b')
})

t.test('a model server that fails is asked no more, and those that wait for it are told', async (t) => {
  const world = setting({ models: [{ ...one, breaker: { failures: 2, openSeconds: 3 } }] })
  const first = world.ask('a')
  const waiting = [world.ask('b'), world.ask('c')]
  answered(world, first, 503)
  first.end()
  await seen()
  const second = waiting.find((each) => each.said() === 'run') as Asked
  answered(world, second, 200, 14)
  await seen()
  t.same(waiting.map((each) => each.said()).sort(), ['model_circuit_open', 'run'])
  t.match(world.ask('d').verdict(), { reason: 'model_circuit_open', retryAfterSeconds: 3 })
  second.end()
  world.advanceMs(3000)
  const probe = world.ask('d')
  t.equal(probe.said(), 'run')
  t.equal(world.ask('d').said(), 'model_circuit_open', 'one at a time tries')
  answered(world, probe, 200)
  probe.end()
  t.equal(world.ask('d').said(), 'run')
  const states = world.events.map((event) => (event.kind === 'breaker' ? event.state : event.kind))
  t.same(states, ['open', 'half_open', 'closed'])
})

t.test('only what is the fault of the server counts against it', async (t) => {
  const rows: readonly (readonly [httpStatus: number, grpcStatus: number | undefined, opens: boolean])[] = [
    [500, undefined, true],
    [502, undefined, true],
    [503, undefined, true],
    [504, undefined, true],
    [501, undefined, false],
    [400, undefined, false],
    [404, undefined, false],
    [429, undefined, false],
    [200, 2, true],
    [200, 13, true],
    [200, 14, true],
    [200, 3, false],
    [200, 5, false],
    [200, 8, false],
    [200, 0, false],
    [200, undefined, false],
  ]
  for (const [httpStatus, grpcStatus, opens] of rows) {
    const world = setting({ models: [{ ...one, breaker: { failures: 2, minCalls: 9 } }] })
    for (let i = 0; i < 2; i++) {
      const call = world.ask('a')
      answered(world, call, httpStatus, grpcStatus)
      answered(world, call, httpStatus, grpcStatus)
      call.end()
    }
    t.equal(world.events.length > 0, opens, `${httpStatus} ${grpcStatus}`)
  }
})

t.test('a try that ends without an answer lets the next one try', async (t) => {
  const world = setting({ models: [{ ...one, breaker: { failures: 2, openSeconds: 1 } }] })
  for (let i = 0; i < 2; i++) {
    const call = world.ask('a')
    answered(world, call, 500)
    call.end()
  }
  world.advanceMs(1000)
  for (const end of ['end', 'revoke'] as const) {
    const probe = world.ask('a')
    t.equal(probe.said(), 'run')
    world.overload.stage[end]?.(probe.x)
  }
  t.equal(world.ask('a').said(), 'run')
})

t.test('what a client says of fairness and urgency goes no further', async (t) => {
  const world = setting(oneAtATime)
  const headers = [
    ['x-gateway-inference-fairness-id', 'somebody'],
    ['x-gateway-inference-objective', 'urgent'],
    ['endpoint-load-metrics-format', 'text'],
    ['x-other', '1'],
  ] as const
  t.match(world.ask('a', { request: someRequest({ headers }) }).verdict(), {
    mutations: { removeHeaders: headers.slice(0, 3).map(([name]) => name) },
  })
})

t.test(
  'answers say how busy the model is, where that is wanted, in place of what it says itself',
  async (t) => {
    const two = { ...one, concurrency: { floor: 2, initial: 2, ceiling: 2 } }
    const world = setting({ models: [two], reportLoad: true })
    t.match(answered(world, world.ask('a'), 200), {
      mutations: {
        removeResponseHeaders: ['endpoint-load-metrics'],
        addResponseHeaders: [['endpoint-load-metrics', 'TEXT application_utilization=0.500']],
      },
    })
    const silent = setting({ models: [two] })
    t.match(answered(silent, silent.ask('a'), 200), { kind: 'allow', mutations: {} })
  },
)

const minute = 60_000
const watched = (action: 'shadow' | 'alert' | 'slow' | 'deny') => ({
  models: [{ ...one, concurrency: { floor: 100_000, ceiling: 100_000 } }],
  anomaly: { action, warmUpIntervals: 10, atLeast: 50 },
})

/** A tenant of ten calls a minute, and the same one with a thousand. */
function flooded(action: Parameters<typeof watched>[0]) {
  const world = setting(watched(action))
  world.advanceMs(minute * 10)
  for (let i = 0; i < 20; i++) {
    for (let each = 0; each < 10; each++) world.ask('acme').end()
    world.advanceMs(minute)
  }
  const calls = Array.from({ length: 1000 }, () => world.ask('acme'))
  return { world, last: calls.at(-1) as Asked, calls }
}

t.test(
  'usage out of the ordinary does what was configured, and each action what the lesser ones do',
  async (t) => {
    const marked = { kind: 'allow', mutations: { setHeaders: [['x-sluice-usage', 'abnormal']] } }
    const rows = [
      { action: 'shadow', isAlert: false, verdict: { kind: 'allow', mutations: {} } },
      { action: 'alert', isAlert: true, verdict: marked },
      { action: 'slow', isAlert: true, verdict: marked },
      { action: 'deny', isAlert: true, verdict: { kind: 'deny', reason: 'abnormal_usage' } },
    ] as const
    for (const { action, isAlert, verdict } of rows) {
      const { world, last, calls } = flooded(action)
      t.same(world.events, [{ kind: 'usage', tenant: 'acme', isUnusual: true, isAlert }], action)
      t.match(last.verdict(), verdict, action)
      t.same(world.overload.readings().unusual, ['acme'])
      t.equal(world.ask('globex').said(), 'run', 'others are left alone')
      const refused = calls.filter((each) => each.said() === 'abnormal_usage').length
      t.ok(action === 'deny' ? refused > 900 : refused === 0, `${action}: ${refused}`)
    }
  },
)

t.test('a tenant that is slowed has a quarter of its share', async (t) => {
  const world = setting({
    models: [{ ...one, queue: { total: 100, perTenant: 50 } }],
    anomaly: { action: 'slow', warmUpIntervals: 10, atLeast: 50 },
  })
  world.advanceMs(minute * 10)
  for (let i = 0; i < 20; i++) {
    for (let each = 0; each < 10; each++) world.ask('acme').end()
    world.advanceMs(minute)
  }
  for (let i = 0; i < 1000; i++) world.ask('acme').end()
  const calls = ['other', ...Array<string>(20).fill('acme'), ...Array<string>(20).fill('globex')]
  const order = await inOrder(calls.map((tenant) => world.ask(tenant)))
  const first = order.slice(1, 11).map(({ x }) => x.tenant?.name)
  t.equal(first.filter((name) => name === 'globex').length, 8, first.join(' '))
})

t.test('many names of models are bounded, and nothing in use is forgotten', async (t) => {
  const world = setting(oneAtATime)
  const named = (model: string) => ({ call: { protocol: 'v2-http', verb: 'infer', model } }) as const
  const busy = world.ask('a', named('busy'))
  for (let i = 0; i < 3000; i++) world.ask('a', named(`m${i}`)).end()
  t.equal(world.overload.readings().models.length, 1024)
  t.equal(world.ask('a', named('busy')).said(), 'wait')
  busy.end()
  const many = setting(oneAtATime)
  for (let i = 0; i < 1024; i++) many.ask('a', named(`m${i}`))
  t.equal(many.ask('a', named('one-more')).said(), 'overloaded')
})

t.test('in the end nobody is left waiting', async (t) => {
  const world = setting(oneAtATime)
  world.ask('a')
  const waiting = world.ask('a')
  await world.overload[Symbol.asyncDispose]()
  await seen()
  t.equal(waiting.said(), 'overloaded')
})

import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import type { Verdict } from '#decision/verdict.ts'
import { someAnswer, someRequest } from '../decision/an-exchange.ts'
import { aDemand, aMeter, aPolicy, aStage, chat, infer } from './a-quota.ts'

const tokens = { unit: 'tokens', kind: 'sliding', limit: 1000, window: '1h' }

const eventStream = new RequestHeaders()
eventStream.add('content-type', 'text/event-stream')

/** What is left of the first limit, as the next call would be told. */
function left({ ask, stage }: ReturnType<typeof aStage>): number {
  const { x, verdict } = ask({ call: chat, demand: aDemand({}) })
  stage.revoke?.(x)
  return remaining(verdict)
}

function remaining(verdict: Verdict): number {
  if (verdict.kind === 'deny') return 0
  if (verdict.kind !== 'allow') throw new Error('an error says nothing of what is left')
  const header = Object.fromEntries(verdict.mutations.addResponseHeaders ?? [])['ratelimit']
  return Number(/;r=([0-9]+)/.exec(header ?? '')?.[1])
}

t.test('a call is charged its bound, and settled at what was measured', async (t) => {
  const world = aStage([aPolicy({ limits: [tokens] })])
  const meter = aMeter({ inputTokens: 80, outputTokens: 20 })
  const { x, verdict } = world.ask({
    call: chat,
    demand: aDemand({ inputTokens: 100, outputTokens: 400 }),
    meter,
  })
  t.equal(remaining(verdict), 500)
  t.equal(x.hold?.isMetered, true)
  t.equal(left(world), 500)
  x.served = someAnswer(200)
  world.stage.end?.(x)
  t.equal(left(world), 900)
  t.match(x.settled, { source: 'reported', usage: { inputTokens: 80, outputTokens: 20 } })
  meter.set({ inputTokens: 1000 })
  world.stage.end?.(x)
  world.stage.revoke?.(x)
  t.equal(left(world), 900, 'settled once')
})

t.test('what took more than its bound is a debt', async (t) => {
  const world = aStage([aPolicy({ limits: [{ ...tokens, debtCap: 50 }] })])
  const { x } = world.ask({
    call: chat,
    demand: aDemand({ outputTokens: 990 }),
    meter: aMeter({ outputTokens: 5000 }),
  })
  world.stage.end?.(x)
  t.equal(left(world), 0)
})

t.test('the time of an accelerator is that from letting the call through until its end', async (t) => {
  const limit = { unit: 'gpuMs', kind: 'sliding', limit: 1000, window: '1h' }
  const rows: readonly (readonly [name: string, inferences: number, ms: number, left: number])[] = [
    ['what a call took, rounded up', 1, 250.5, 749],
    ['a batch takes its time once', 8, 250, 750],
    ['an answer that nothing was computed for', 0, 250, 1000],
  ]
  for (const [name, inferences, ms, expected] of rows) {
    const world = aStage([aPolicy({ limits: [limit] })])
    const { x, verdict } = world.ask({
      call: infer('fraud'),
      demand: aDemand({}),
      meter: aMeter({ inferences }),
    })
    t.equal(verdict.kind, 'allow')
    t.equal(x.hold?.isMetered, true, 'the end has to be seen')
    // Waiting for its turn.
    world.clock.advanceMs(400)
    x.permittedUs = world.clock.monotonicUs()
    world.clock.advanceMs(ms)
    x.served = someAnswer(200)
    world.stage.end?.(x)
    t.equal(left(world), expected, name)
  }
})

t.test('where nobody measured the answer the bound is what it took', async (t) => {
  const rows: readonly (readonly [name: string, more: Partial<Exchange>, left: number])[] = [
    ['no meter', {}, 500],
    [
      'admission alone',
      { request: someRequest({ api: 'ext_authz' }), meter: aMeter({ outputTokens: 1 }) },
      500,
    ],
    [
      'an answer that nobody was shown',
      { meter: aMeter({}, { isComplete: false, source: 'estimated' }), served: someAnswer(200) },
      500,
    ],
    [
      'a stream that breaks off behind its head',
      {
        meter: aMeter({ inputTokens: 3 }, { isComplete: false, source: 'estimated' }),
        served: someAnswer(200),
        isAnswerShown: true,
      },
      997,
    ],
    [
      'an answer of which a part was seen',
      {
        meter: aMeter({ outputTokens: 7, responseBytes: 90 }, { isComplete: false }),
        served: someAnswer(200),
      },
      993,
    ],
    ['no answer at all to a stream', { meter: aMeter({ inputTokens: 3 }, { isComplete: false }) }, 997],
    [
      'a client that leaves just before an answer that comes all at once',
      { call: { ...chat, verb: 'generate' }, meter: aMeter({ inputTokens: 3 }, { isComplete: false }) },
      597,
    ],
    [
      'one that leaves while it comes',
      {
        call: { ...chat, verb: 'generate' },
        meter: aMeter({ inputTokens: 3, outputTokens: 1, responseBytes: 9 }, { isComplete: false }),
        served: someAnswer(200),
      },
      597,
    ],
    [
      'one that took more than was reserved',
      {
        call: { ...chat, verb: 'generate' },
        meter: aMeter({ outputTokens: 450, responseBytes: 9 }, { isComplete: false }),
        served: someAnswer(200),
      },
      550,
    ],
    [
      'an error that breaks off',
      {
        call: { ...chat, verb: 'generate' },
        meter: aMeter({ responseBytes: 9 }, { isComplete: false }),
        served: someAnswer(500),
      },
      1000,
    ],
    [
      'events of no known protocol that break off',
      {
        call: undefined as never,
        meter: aMeter({ outputTokens: 7, responseBytes: 90 }, { isComplete: false }),
        served: { ...someAnswer(200), headers: eventStream },
      },
      993,
    ],
  ]
  for (const [name, more, expected] of rows) {
    const world = aStage([aPolicy({ limits: [tokens] })])
    const { x } = world.ask({ call: chat, demand: aDemand({ inputTokens: 100, outputTokens: 400 }), ...more })
    world.stage.end?.(x)
    t.equal(left(world), expected, name)
    t.equal(x.settled?.charges[0]?.units, 1000 - expected, name)
  }
})

t.test('a call that sets no bound is charged what its policy reserves for such', async (t) => {
  const world = aStage([aPolicy({ limits: [tokens], reserve: { outputTokens: 300 } })])
  const { verdict } = world.ask({
    call: chat,
    demand: aDemand({ inputTokens: 10, outputTokens: 7777 }, false),
  })
  t.equal(remaining(verdict), 690)
  const demand = aDemand({ inputTokens: 10 }, false, 2)
  t.equal(remaining(world.ask({ call: chat, demand }).verdict), 80, 'for each answer that it asks for')
  const absurd = aDemand({ inputTokens: 10 }, false, Number.MAX_SAFE_INTEGER)
  t.match(world.ask({ call: chat, demand: absurd }).verdict, { kind: 'deny', reason: 'quota_cost_unbounded' })
})

t.test('without whoever reads the protocol the length of the request is the bound', async (t) => {
  const body = (length: number) => ({ body: new Uint8Array(length) })
  const partOf = (length: string) => ({
    body: new Uint8Array(10),
    isBodyComplete: false,
    headers: [['content-length', length] as const],
  })
  const reserve = { outputTokens: 300 }
  const rows: readonly (readonly [
    name: string,
    more: Partial<Exchange>,
    left: number | 'quota_cost_unbounded',
  ])[] = [
    ['an inference has no tokens', { call: infer('fraud'), request: someRequest(body(200)) }, 1000],
    ['a generation', { call: chat, request: someRequest(body(200)) }, 500],
    ['a generation seen in part', { call: chat, request: someRequest(partOf('200')) }, 500],
    [
      'an embedding has no output',
      { call: { ...chat, verb: 'embed' }, request: someRequest(body(200)) },
      800,
    ],
    ['no known protocol', { call: undefined as never, request: someRequest(body(200)) }, 500],
    ['no known protocol, no body', { call: undefined as never }, 1000],
    ['no length', { call: chat, request: someRequest({ isBodyComplete: false }) }, 'quota_cost_unbounded'],
    ['a length that is none', { call: chat, request: someRequest(partOf('-5')) }, 'quota_cost_unbounded'],
    [
      'a length that is fractional',
      { call: chat, request: someRequest(partOf('2e2')) },
      'quota_cost_unbounded',
    ],
    [
      'two lengths',
      {
        call: chat,
        request: someRequest({
          isBodyComplete: false,
          headers: [
            ['content-length', '5'],
            ['content-length', '6'],
          ],
        }),
      },
      'quota_cost_unbounded',
    ],
  ]
  for (const [name, more, expected] of rows) {
    const { verdict } = aStage([aPolicy({ limits: [tokens], reserve })]).ask(more)
    if (typeof expected === 'string') t.match(verdict, { kind: 'deny', reason: expected }, name)
    else t.equal(remaining(verdict), expected, name)
  }
  const requests = aStage([aPolicy({ limits: [{ unit: 'requests', rate: 9, window: '1s' }] })])
  t.equal(requests.ask({ call: chat, request: someRequest({ isBodyComplete: false }) }).verdict.kind, 'allow')
})

t.test('a demand that bounds nothing is refused where a limit would have to count it', async (t) => {
  const unbounded = 2 ** 53 - 1
  const rows: readonly (readonly [limit: object, bound: Parameters<typeof aDemand>[0], verdict: object])[] = [
    [tokens, { inputTokens: unbounded }, { reason: 'quota_cost_unbounded' }],
    [tokens, { outputTokens: unbounded }, { reason: 'quota_cost_unbounded' }],
    [{ ...tokens, cost: '3 * input_tokens' }, { inputTokens: unbounded }, { reason: 'quota_cost_unbounded' }],
    [tokens, { inferences: unbounded, requestBytes: unbounded }, { kind: 'allow' }],
    [{ ...tokens, unit: 'outputTokens' }, { inputTokens: unbounded, outputTokens: 5 }, { kind: 'allow' }],
    [tokens, { inputTokens: 2 ** 52, outputTokens: 2 ** 52 - 2 }, { reason: 'quota_cost_impossible' }],
    [{ ...tokens, mode: 'shadow' }, { inputTokens: unbounded, outputTokens: 5 }, { kind: 'allow' }],
  ]
  for (const [limit, bound, verdict] of rows) {
    const found = aStage([aPolicy({ limits: [limit] })]).ask({ call: chat, demand: aDemand(bound) }).verdict
    t.match(found, verdict, JSON.stringify([limit, bound]))
  }
})

t.test('inferences count as many as the batch may hold', async (t) => {
  const inferences = { unit: 'inferences', kind: 'sliding', limit: 1000, window: '1h' }
  const ask = (more: Partial<Exchange>) => aStage([aPolicy({ limits: [inferences] })]).ask(more).verdict
  t.equal(remaining(ask({ demand: aDemand({ inferences: 64 }) })), 936)
  t.equal(remaining(ask({ request: someRequest({ body: new Uint8Array(40) }) })), 960)
  t.equal(remaining(ask({})), 999)
})

t.test('a metered call asks the server to say what it took, and to say it in the clear', async (t) => {
  const request = Buffer.from('{"stream":true,"stream_options":{"include_usage":true}}')
  const { ask } = aStage([aPolicy({ limits: [tokens] })])
  const given = { call: chat, demand: aDemand({}), meter: aMeter({}, { request }) }
  t.match(ask(given).verdict, {
    mutations: { setHeaders: [['accept-encoding', 'identity']], requestBody: request },
  })
  const authz = ask({ ...given, request: someRequest({ api: 'ext_authz' }) }).verdict
  t.notOk(authz.kind === 'allow' && (authz.mutations.requestBody ?? authz.mutations.setHeaders))
  const unmetered = aStage([aPolicy()]).ask(given)
  t.equal(unmetered.x.hold?.isMetered, false)
  t.notOk(unmetered.verdict.kind === 'allow' && unmetered.verdict.mutations.requestBody)
})

t.test('the demand is asked for once, and only where a limit needs it', async (t) => {
  let asked = 0
  const demand = () => {
    asked++
    return aDemand({ inputTokens: 1 })()
  }
  aStage([aPolicy()]).ask({ demand })
  t.equal(asked, 0)
  aStage([aPolicy({ limits: [tokens] }), aPolicy({ limits: [tokens] }, 'r')]).ask({ demand })
  t.equal(asked, 1)
})

t.test('observers are told once what a call took in the end', async (t) => {
  const told: unknown[] = []
  const { ask, stage } = aStage([aPolicy({ limits: [tokens, { unit: 'concurrency', max: 3 }] })], {
    observer: {
      onSettled: (x, settled) => void told.push([x.settled === settled, settled.source, settled.charges]),
    },
  })
  const { x } = ask({ call: chat, demand: aDemand({ outputTokens: 9 }), meter: aMeter({ outputTokens: 4 }) })
  stage.end?.(x)
  stage.end?.(x)
  t.same(told, [
    [
      true,
      'reported',
      [
        { limit: 'q/tokens-1h', units: 4 },
        { limit: 'q/concurrency', units: 1 },
      ],
    ],
  ])
})

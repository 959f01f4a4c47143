import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import type { QuotaPolicy } from '#resources/resources.ts'
import type { QuotaOutcome } from '#telemetry/quota-metrics.ts'
import { acme, aToken, someRequest } from '../decision/an-exchange.ts'
import { aDemand, aPolicy, aStage, chat, infer } from './a-quota.ts'

const once = { unit: 'requests', rate: 1, window: '1m' }
const noTenant = { tenant: undefined as never }

t.test('a rate lets its burst through and says when to come again', async (t) => {
  const { clock, ask } = aStage([
    aPolicy({ limits: [{ unit: 'requests', rate: 2, window: '10s', burst: 3 }] }),
  ])
  for (let i = 0; i < 3; i++) t.equal(ask().verdict.kind, 'allow')
  t.match(ask().verdict, { kind: 'deny', reason: 'rate_limited', retryAfterSeconds: 5 })
  clock.advanceMs(4999)
  t.equal(ask().verdict.kind, 'deny')
  clock.advanceMs(1)
  t.equal(ask().verdict.kind, 'allow')
})

t.test('times that clients are told are rounded up: who comes then is not too early', async (t) => {
  const { clock, ask } = aStage([
    aPolicy({ limits: [{ unit: 'requests', rate: 2, window: '1s', burst: 1 }] }, 'half'),
    aPolicy({ limits: [{ unit: 'requests', kind: 'sliding', limit: 9, window: '1m' }] }, 'minute'),
  ])
  clock.advanceMs(250)
  const { verdict } = ask()
  const headers = verdict.kind === 'allow' ? verdict.mutations.addResponseHeaders : []
  t.match(Object.fromEntries(headers ?? []), {
    ratelimit: '"half/requests-1s";r=0;t=1, "minute/requests-1m";r=8;t=61',
  })
  t.match(ask().verdict, { kind: 'deny', retryAfterSeconds: 1, quotas: [{ resetSeconds: 1 }] })
})

t.test('a denied request changes no counter', async (t) => {
  const { ask, stage } = aStage([
    aPolicy({ limits: [{ unit: 'requests', rate: 3, window: '1m' }] }, 'wide'),
    aPolicy({ limits: [{ unit: 'concurrency', max: 1 }] }, 'narrow'),
  ])
  const { x } = ask()
  for (let i = 0; i < 5; i++) t.match(ask().verdict, { kind: 'deny', reason: 'concurrency_limited' })
  stage.end?.(x)
  t.equal(ask().verdict.kind, 'allow')
})

t.test('concurrency is given back once, when the exchange ends or is revoked', async (t) => {
  const { stage, ask } = aStage([aPolicy({ limits: [{ unit: 'concurrency', max: 2 }] })])
  const [first, second] = [ask(), ask()]
  t.match(ask().verdict, { reason: 'concurrency_limited' })
  stage.end?.(first.x)
  stage.end?.(first.x)
  t.equal(ask().verdict.kind, 'allow')
  t.match(ask().verdict, { reason: 'concurrency_limited' }, 'a second end gives nothing more back')
  stage.revoke?.(second.x)
  stage.end?.(second.x)
  t.equal(ask().verdict.kind, 'allow')
})

t.test('a revoked request gets its rate back', async (t) => {
  const { stage, ask } = aStage([aPolicy({ limits: [once] })])
  const { x } = ask()
  t.equal(ask().verdict.kind, 'deny')
  stage.revoke?.(x)
  stage.end?.(x)
  t.equal(ask().verdict.kind, 'allow')
})

t.test('an ended request does not get its rate back', async (t) => {
  const { stage, ask } = aStage([aPolicy({ limits: [once] })])
  const { x } = ask()
  stage.end?.(x)
  stage.revoke?.(x)
  t.equal(ask().verdict.kind, 'deny')
})

t.test('counters are those of the scopes', async (t) => {
  const globex = { tenant: { ...acme, name: 'globex' } }
  const ocr = { call: infer('ocr') }
  const bob = { token: aToken({ subject: 'bob' }) }
  const elsewhere = { token: aToken({ issuer: 'https://other.example' }) }
  const customer = (name: string) => ({ request: someRequest({ headers: [['x-customer', name]] }) })
  const rows: readonly (readonly [
    scope: string | readonly string[],
    first: Partial<Exchange>,
    second: Partial<Exchange>,
    isShared: boolean,
  ])[] = [
    ['tenant', {}, {}, true],
    ['tenant', {}, globex, false],
    ['tenant', {}, ocr, true],
    ['model', {}, ocr, false],
    ['model', {}, globex, true],
    [['tenant', 'model'], {}, globex, false],
    [[], {}, globex, true],
    ['user', { token: aToken() }, { token: aToken() }, true],
    ['user', { token: aToken() }, bob, false],
    ['user', { token: aToken() }, elsewhere, false],
    ['user', { token: aToken() }, {}, false],
    ['version', { route: { version: '1', by: 'split' } }, { route: { version: '2', by: 'split' } }, false],
    [
      'route',
      { request: someRequest({ routeName: 'a' }) },
      { request: someRequest({ routeName: 'b' }) },
      false,
    ],
    ['header:x-customer', customer('a'), customer('b'), false],
    ['header:x-customer', customer('a'), customer('a'), true],
    ['header:x-customer', customer(''), {}, false],
  ]
  for (const [scope, first, second, isShared] of rows) {
    const { ask } = aStage([aPolicy({ tenants: ['*'], scope, limits: [once] })])
    t.equal(ask(first).verdict.kind, 'allow')
    t.equal(ask(second).verdict.kind, isShared ? 'deny' : 'allow', JSON.stringify([scope, second]))
  }
})

t.test(
  'questions about the server are not charged, and other tenants and models are not meant',
  async (t) => {
    const { ask } = aStage([aPolicy({ models: ['fraud'], limits: [once] })])
    ask()
    t.equal(ask({ call: { protocol: 'v2-http', verb: 'model_ready', model: 'fraud' } }).verdict.kind, 'allow')
    t.equal(ask({ call: infer('ocr') }).verdict.kind, 'allow')
    t.equal(ask({ tenant: { ...acme, name: 'globex' } }).verdict.kind, 'allow')
    t.equal(ask().verdict.kind, 'deny')
  },
)

t.test('a reload keeps what was used while policy and limit keep their names', async (t) => {
  const { ask } = aStage([])
  const resources = (epoch: number, rate: number) => ({
    resources: {
      ...ask().x.resources,
      epoch,
      quotas: [aPolicy({ limits: [{ unit: 'requests', rate, window: '1m', name: 'l' }] })],
    },
  })
  t.equal(ask(resources(1, 1)).verdict.kind, 'allow')
  t.equal(ask(resources(2, 1)).verdict.kind, 'deny')
  t.equal(ask(resources(3, 2)).verdict.kind, 'allow', 'of two one is left')
  t.equal(ask(resources(4, 2)).verdict.kind, 'deny')
})

t.test('requests without a tenant count together, and only `*` policies are for them', async (t) => {
  const { ask } = aStage([
    aPolicy({ tenants: ['*'], limits: [once] }, 'everyone'),
    aPolicy({ limits: [once] }, 'acme'),
  ])
  t.equal(ask(noTenant).verdict.kind, 'allow')
  t.match(ask(noTenant).verdict, { reason: 'rate_limited', detail: 'everyone/requests-1m' })
  t.equal(ask().verdict.kind, 'allow', 'a tenant is not touched by what nobody used up')
})

t.test('a request whose model is not known is charged to the policies of every model', async (t) => {
  const { ask } = aStage([aPolicy({ models: ['ocr'], limits: [once] })])
  const unknown = { call: { protocol: 'v2-grpc', verb: 'infer' } as const }
  t.equal(ask(unknown).verdict.kind, 'allow')
  t.equal(ask(unknown).verdict.kind, 'deny')
  t.equal(ask({ call: undefined as never }).verdict.kind, 'deny')
  t.equal(ask().verdict.kind, 'allow', 'fraud is known not to be meant')
})

t.test('each kind of limit refuses with its own reason', async (t) => {
  const rows: readonly (readonly [limit: object, verdict: object])[] = [
    [once, { reason: 'rate_limited', retryAfterSeconds: 60 }],
    [{ unit: 'requests', kind: 'sliding', limit: 1, window: '1m' }, { reason: 'rate_limited' }],
    [{ unit: 'requests', limit: 1, period: { unit: 'day' } }, { reason: 'quota_exceeded' }],
    [
      { unit: 'concurrency', max: 1 },
      { reason: 'concurrency_limited', retryAfterSeconds: 1 },
    ],
  ]
  for (const [limit, verdict] of rows) {
    const { ask } = aStage([aPolicy({ limits: [limit] })])
    t.equal(ask().verdict.kind, 'allow')
    t.match(ask().verdict, { kind: 'deny', ...verdict }, JSON.stringify(limit))
  }
  const closed = aStage([aPolicy({ limits: [{ unit: 'requests', limit: 0, period: { unit: 'day' } }] })])
  const { verdict } = closed.ask()
  t.match(verdict, { kind: 'deny', reason: 'quota_exceeded' }, 'a quota of nothing is used up')
  t.notOk('retryAfterSeconds' in verdict)
})

t.test('what asks for more than a limit can ever give is told so', async (t) => {
  const { ask } = aStage([aPolicy({ limits: [{ unit: 'requests', rate: 5, window: '1s', cost: '6' }] })])
  const { verdict } = ask()
  t.match(verdict, { kind: 'deny', reason: 'quota_cost_impossible', detail: 'q/requests-1s' })
  t.notOk('retryAfterSeconds' in verdict)
})

t.test('of several limits that are used up the one with the longest wait governs', async (t) => {
  const { ask, clock } = aStage([
    aPolicy({
      limits: [
        { unit: 'requests', rate: 1, window: '10s' },
        { unit: 'requests', rate: 1, window: '1m' },
        { unit: 'requests', rate: 100, window: '1s' },
      ],
    }),
  ])
  ask()
  const { verdict } = ask()
  t.match(verdict, {
    reason: 'rate_limited',
    detail: 'q/requests-1m, q/requests-10s',
    retryAfterSeconds: 60,
    quotas: [
      { name: 'q/requests-1m', remaining: 0, resetSeconds: 60 },
      { name: 'q/requests-10s', remaining: 0, resetSeconds: 10 },
    ],
  })
  if (verdict.kind === 'deny') t.equal(verdict.quotas?.length, 2, 'what is not violated is not told')
  clock.advanceMs(10_000)
  t.match(ask().verdict, { retryAfterSeconds: 50, detail: 'q/requests-1m' })
})

t.test('clients are told of the limits that are advertised and not in shadow', async (t) => {
  const headers = (...quotas: QuotaPolicy[]) => {
    const { verdict } = aStage(quotas).ask()
    return verdict.kind === 'allow' ? Object.fromEntries(verdict.mutations.addResponseHeaders ?? []) : verdict
  }
  t.same(headers(aPolicy({ limits: [once, { unit: 'concurrency', max: 3 }] })), {
    'ratelimit-policy': '"q/requests-1m";q=1;w=60, "q/concurrency";q=3;qu="concurrent-requests"',
    ratelimit: '"q/requests-1m";r=0;t=60, "q/concurrency";r=2',
  })
  t.same(headers(aPolicy({ limits: [once], advertise: false })), {})
  t.same(headers(aPolicy({ limits: [{ ...once, mode: 'shadow' }] })), {})
  const silent = aStage([aPolicy({ limits: [once], advertise: false })])
  silent.ask()
  t.notOk('quotas' in silent.ask().verdict)
})

t.test(
  'clients of OpenAI are told how many requests and tokens are left, of the limit with the least',
  async (t) => {
    const limits = [
      { unit: 'requests', rate: 9, window: '1m' },
      { unit: 'requests', name: 'daily', limit: 5, period: { unit: 'day' } },
      { unit: 'tokens', kind: 'sliding', limit: 1000, window: '2h' },
      {
        unit: 'tokens',
        name: 'credits',
        cost: '2 * tokens',
        limit: 3,
        window: '2h',
        kind: 'sliding',
        mode: 'soft',
      },
      { unit: 'requests', name: 'unseen', kind: 'sliding', limit: 1, window: '1h', mode: 'shadow' },
      { unit: 'concurrency', max: 3 },
    ]
    const told = (more: Parameters<ReturnType<typeof aStage>['ask']>[0], spec: object = {}) => {
      const demand = aDemand({ inputTokens: 10, outputTokens: 90 })
      const { verdict } = aStage([aPolicy({ limits, ...spec })]).ask({ demand, ...more })
      const headers = verdict.kind === 'allow' ? (verdict.mutations.addResponseHeaders ?? []) : []
      return Object.fromEntries(headers.filter(([name]) => name.startsWith('x-ratelimit-')))
    }
    t.match(told({ call: chat }), {
      'x-ratelimit-limit-requests': '5',
      'x-ratelimit-remaining-requests': '4',
      'x-ratelimit-reset-requests': /^[0-9]+h[0-9]+m[0-9]+s$/,
      'x-ratelimit-limit-tokens': '1000',
      'x-ratelimit-remaining-tokens': '900',
      'x-ratelimit-reset-tokens': /^2h[0-9]+m[0-9]+s$/,
    })
    t.same(told({ call: infer('fraud') }), {}, 'and nobody else')
    t.same(told({ call: chat }, { advertise: false }), {})
  },
)

t.test('a soft limit lets through, and tells client, model server and route', async (t) => {
  const { ask } = aStage([
    aPolicy({ limits: [{ ...once, mode: 'soft' }] }, 'told'),
    aPolicy({ limits: [{ ...once, mode: 'soft' }], advertise: false }, 'untold'),
    aPolicy({ limits: [{ ...once, mode: 'shadow' }] }, 'shadow'),
  ])
  const within = ask().verdict
  t.notMatch(JSON.stringify(within), /quota-over/)
  const { verdict } = ask()
  t.match(verdict, {
    kind: 'allow',
    mutations: {
      setHeaders: [['x-sluice-quota-over', 'told/requests-1m, untold/requests-1m']],
      dynamicMetadata: { quota: { over: ['told/requests-1m', 'untold/requests-1m'] } },
    },
  })
  if (verdict.kind === 'allow')
    t.same(verdict.mutations.addResponseHeaders?.at(-1), ['x-sluice-quota-over', 'told/requests-1m'])
})

t.test('what never refuses does not refuse where it cannot be counted either', async (t) => {
  for (const mode of ['soft', 'shadow']) {
    const { ask } = aStage([
      aPolicy({ limits: [{ unit: 'tokens', rate: 5, window: '1s', cost: '0 - 1', mode }] }),
      aPolicy({ limits: [{ unit: 'inputTokens', rate: 5, window: '1s', mode }] }, 'r'),
    ])
    const unsized = { call: undefined as never, request: someRequest({ isBodyComplete: false }) }
    t.equal(ask(unsized).verdict.kind, 'allow', mode)
  }
})

t.test('metrics hear what became of each limit', async (t) => {
  const heard: (readonly [string, QuotaOutcome, number])[] = []
  const { ask } = aStage(
    [
      aPolicy({
        limits: [
          { unit: 'requests', rate: 4, window: '1m', warnAtPercent: 75, name: 'hard' },
          { unit: 'requests', rate: 2, window: '1m', mode: 'soft', name: 'soft' },
          { unit: 'requests', rate: 3, window: '1m', mode: 'shadow', name: 'shadow' },
        ],
      }),
    ],
    { observer: { onOutcome: (rule, _unit, outcome, cost) => void heard.push([rule, outcome, cost]) } },
  )
  const next = () => {
    heard.length = 0
    ask()
    return heard.map(([rule, outcome]) => `${rule} ${outcome}`)
  }
  t.same(next(), ['q/hard granted', 'q/soft granted', 'q/shadow granted'])
  t.same(next(), ['q/hard granted', 'q/soft granted', 'q/soft near', 'q/shadow granted'])
  t.same(next(), ['q/hard granted', 'q/hard near', 'q/soft soft_over', 'q/shadow granted', 'q/shadow near'])
  t.same(next(), ['q/hard granted', 'q/hard near', 'q/soft soft_over', 'q/shadow shadow_over'])
  t.same(next(), ['q/hard refused'])
})

t.test('numbers that are handed in go before the declared ones; what is no number refuses', async (t) => {
  const limit = { ...once, handedIn: { claim: 'rpm', policy: true } }
  const quotas = [aPolicy({ limits: [limit] })]
  const granted = (more: Partial<Exchange>) => {
    const { ask } = aStage(quotas)
    let count = 0
    while (count < 20 && ask(more).verdict.kind === 'allow') count++
    return count
  }
  const policy = { decisionId: 'd', revision: '', isAllowed: true, quotas: new Map([['q/requests-1m', 3]]) }
  t.equal(granted({}), 1)
  t.equal(granted({ token: aToken({ claims: { rpm: 5 } }) }), 5)
  t.equal(granted({ token: aToken({ claims: { rpm: 5 } }), policy }), 3)
  t.match(aStage(quotas).ask({ token: aToken({ claims: { rpm: -5 } }) }).verdict, {
    kind: 'error',
    reason: 'quota_handed_in_invalid',
  })
})

t.test('a cost that is no number refuses with a reason of its own', async (t) => {
  const { ask } = aStage([aPolicy({ limits: [{ ...once, cost: '1 - 2' }] })])
  t.match(ask().verdict, { kind: 'error', reason: 'limits_failed' })
})

import t from 'tap'
import type { Verdict } from '#decision/verdict.ts'
import { createLimitsStage } from '#limits/limits.ts'
import type { QuotaPolicy } from '#resources/resources.ts'
import { acme, anExchange, manualClock, someResources } from '../decision/an-exchange.ts'

const policy = (more: Partial<QuotaPolicy> = {}): QuotaPolicy => ({
  name: 'q',
  tenants: ['acme'],
  models: ['*'],
  scope: 'tenant',
  limits: [{ unit: 'requests', rate: 2, window: 1000 }],
  ...more,
})

const infer = (model: string) => ({ protocol: 'v2-http', verb: 'infer', model }) as const

function setUp(quotas: QuotaPolicy[]) {
  const clock = manualClock()
  const stage = createLimitsStage({ clock })
  const resources = someResources({ quotas })
  const ask = (more: Parameters<typeof anExchange>[0] = {}) => {
    const x = anExchange({ resources, ...more })
    return { x, verdict: stage.request?.(x) as Verdict }
  }
  return { clock, stage, ask }
}

t.test('a rate lets its burst through and says when to come again', async (t) => {
  const { clock, ask } = setUp([
    policy({ limits: [{ unit: 'requests', rate: 2, window: 10_000, burst: 3 }] }),
  ])
  for (let i = 0; i < 3; i++) t.equal(ask().verdict.kind, 'allow')
  t.match(ask().verdict, { kind: 'deny', reason: 'rate_limited', retryAfterSeconds: 5 })
  clock.advanceMs(4999)
  t.equal(ask().verdict.kind, 'deny')
  clock.advanceMs(1)
  t.equal(ask().verdict.kind, 'allow')
})

t.test('a denied request changes no counter', async (t) => {
  const { ask } = setUp([
    policy({ name: 'wide', limits: [{ unit: 'requests', rate: 3, window: 60_000 }] }),
    policy({ name: 'narrow', limits: [{ unit: 'concurrency', max: 1 }] }),
  ])
  const { x } = ask()
  for (let i = 0; i < 5; i++) t.match(ask().verdict, { kind: 'deny', reason: 'concurrency_limited' })
  x.hold?.release()
  t.equal(ask().verdict.kind, 'allow')
})

t.test('concurrency is given back once, when the exchange ends or is revoked', async (t) => {
  const { stage, ask } = setUp([policy({ limits: [{ unit: 'concurrency', max: 2 }] })])
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
  const { stage, ask } = setUp([policy({ limits: [{ unit: 'requests', rate: 1, window: 60_000 }] })])
  const { x } = ask()
  t.equal(ask().verdict.kind, 'deny')
  stage.revoke?.(x)
  t.equal(ask().verdict.kind, 'allow')
})

t.test('counters are those of a tenant, and of a model where the scope says so', async (t) => {
  const one = [{ unit: 'requests', rate: 1, window: 60_000 } as const]
  const other = { ...acme, name: 'globex' }
  const { ask } = setUp([policy({ tenants: ['*'], limits: one })])
  t.equal(ask().verdict.kind, 'allow')
  t.equal(ask({ tenant: other }).verdict.kind, 'allow')
  t.equal(ask().verdict.kind, 'deny')
  const ocr = { protocol: 'v2-http', verb: 'infer', model: 'ocr' } as const
  t.equal(ask({ call: ocr }).verdict.kind, 'deny', 'another model, the same counter')
  const scoped = setUp([policy({ scope: 'model', limits: one })])
  t.equal(scoped.ask().verdict.kind, 'allow')
  t.equal(scoped.ask({ call: ocr }).verdict.kind, 'allow', 'another model, a counter of its own')
})

t.test(
  'questions about the server are not charged, and other tenants and models are not meant',
  async (t) => {
    const { ask } = setUp([
      policy({ models: ['fraud'], limits: [{ unit: 'requests', rate: 1, window: 60_000 }] }),
    ])
    ask()
    t.equal(ask({ call: { protocol: 'v2-http', verb: 'model_ready', model: 'fraud' } }).verdict.kind, 'allow')
    t.equal(ask({ call: { protocol: 'v2-http', verb: 'infer', model: 'ocr' } }).verdict.kind, 'allow')
    t.equal(ask({ tenant: { ...acme, name: 'globex' } }).verdict.kind, 'allow')
    t.equal(ask().verdict.kind, 'deny')
  },
)

t.test('a reload of the same limit keeps what was used', async (t) => {
  const stage = createLimitsStage({ clock: manualClock() })
  const quotas = [policy({ limits: [{ unit: 'requests', rate: 1, window: 60_000 }] })]
  const ask = () => stage.request?.(anExchange({ resources: someResources({ quotas }) })) as Verdict
  t.equal(ask().kind, 'allow')
  t.equal(ask().kind, 'deny')
})

t.test('a changed limit counts anew, the others go on', async (t) => {
  const clock = manualClock()
  const stage = createLimitsStage({ clock })
  const limitsOf = (rate: number) => [
    policy({ name: 'a', models: ['fraud'], limits: [{ unit: 'requests', rate, window: 60_000 }] }),
    policy({ name: 'b', models: ['ocr'], limits: [{ unit: 'requests', rate: 1, window: 60_000 }] }),
  ]
  const ask = (epoch: number, rate: number, model: string) => {
    const resources = someResources({ epoch, quotas: limitsOf(rate) })
    return stage.request?.(anExchange({ resources, call: infer(model) })) as Verdict
  }
  for (const model of ['fraud', 'ocr']) {
    t.equal(ask(1, 1, model).kind, 'allow')
    t.equal(ask(1, 1, model).kind, 'deny')
  }
  t.equal(ask(2, 2, 'fraud').kind, 'allow')
  t.equal(ask(2, 2, 'ocr').kind, 'deny')
})

t.test('requests without a tenant count together, and only `*` policies are for them', async (t) => {
  const { ask } = setUp([
    policy({ name: 'everyone', tenants: ['*'], limits: [{ unit: 'requests', rate: 1, window: 60_000 }] }),
    policy({ name: 'acme', limits: [{ unit: 'requests', rate: 1, window: 60_000 }] }),
  ])
  const nobody = { tenant: undefined as never }
  t.equal(ask(nobody).verdict.kind, 'allow')
  t.match(ask(nobody).verdict, { reason: 'rate_limited', detail: 'everyone' })
  t.equal(ask().verdict.kind, 'allow', 'a tenant is not touched by what nobody used up')
})

t.test('a request whose model is not known is charged to the policies of every model', async (t) => {
  const { ask } = setUp([
    policy({ models: ['ocr'], limits: [{ unit: 'requests', rate: 1, window: 60_000 }] }),
  ])
  const unknown = { call: { protocol: 'v2-grpc', verb: 'infer' } as const }
  t.equal(ask(unknown).verdict.kind, 'allow')
  t.equal(ask(unknown).verdict.kind, 'deny')
  t.equal(ask({ call: undefined as never }).verdict.kind, 'deny')
  t.equal(ask().verdict.kind, 'allow', 'fraud is known not to be meant')
})

t.test('made-up model names neither grow the memory nor start afresh', async (t) => {
  const limits = [{ unit: 'requests', rate: 1, window: 60_000 } as const]
  const { ask, clock } = setUp([policy({ scope: 'model', limits })])
  const allowed = (count: number, name: string) =>
    Array.from({ length: count }, (_, i) => ask({ call: infer(`${name}${i}`) }).verdict.kind).filter(
      (kind) => kind === 'allow',
    ).length
  t.equal(allowed(1000, 'm'), 1000)
  t.equal(ask({ call: infer('one-more') }).verdict.kind, 'allow', 'the first on the shared counter')
  t.equal(allowed(100, 'late'), 0)
  clock.advanceMs(60_000)
  t.equal(ask({ call: infer('one-more') }).verdict.kind, 'allow', 'idle counters made room')
  t.equal(ask({ call: infer('late1') }).verdict.kind, 'allow')
  t.equal(ask({ call: infer('one-more') }).verdict.kind, 'deny')
})

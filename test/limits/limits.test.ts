import fc from 'fast-check'
import t from 'tap'
import type { Verdict } from '#decision/verdict.ts'
import { gcra, gcraLimit } from '#limits/gcra.ts'
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

t.test('in no span of time do more than burst plus rate conform', async () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 400_000 }), { minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 10 }),
      gaps,
      (rate, burst, steps) => {
        const limit = gcraLimit({ rate, windowMs: 1000, burst })
        let [nowUs, tatUs] = [0, 0]
        const admitted: number[] = []
        for (const step of steps) {
          nowUs += step
          const answer = gcra(tatUs, limit, nowUs)
          if (answer.kind === 'early') continue
          tatUs = answer.tatUs
          admitted.push(nowUs)
        }
        return admitted.every((from, first) =>
          admitted.slice(first).every((to, more) => more + 1 <= burst + ((to - from) * rate) / 1e6 + 1e-6),
        )
      },
    ),
  )
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

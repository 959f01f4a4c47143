import t from 'tap'
import { createPipeline } from '#decision/pipeline.ts'
import { createLimitsStage } from '../../agent/limits/limits.ts'
import { createMemoryStore } from '../../agent/limits/store/memory.ts'
import type { Charge, QuotaStore, ReserveAnswer } from '../../agent/limits/store/store.ts'
import { anExchange, manualClock, someRequest, someResources } from '../decision/an-exchange.ts'
import { aPolicy, aStage, infer } from './a-quota.ts'

/** A store that says what a test wants, and writes down what it was asked. */
function scripted(answer: (charges: readonly Charge[]) => ReserveAnswer | Promise<ReserveAnswer>) {
  const settled: (readonly [string, readonly number[]])[] = []
  const reserved: (readonly Charge[])[] = []
  const { health } = createMemoryStore()
  const store: QuotaStore = {
    reserve: (_id, charges) => {
      reserved.push(charges)
      return answer(charges)
    },
    topUp: () => ({ kind: 'refused', states: [] }),
    settle: (id, actuals) => {
      settled.push([id, actuals])
      return 'settled'
    },
    peek: () => [],
    adjust: () => ({ isOver: false, remaining: 0, retryUs: 0, resetUs: 0 }),
    health,
    [Symbol.asyncDispose]: async () => {},
  }
  return { store, settled, reserved }
}

const free = { isOver: false, remaining: 9, retryUs: 0, resetUs: 0 }
const granted: ReserveAnswer = { kind: 'granted', states: [free] }
const quotas = [aPolicy()]

t.test('a store that answers at once costs no promise', async (t) => {
  const { ask } = aStage(quotas)
  t.notOk((ask().verdict as unknown) instanceof Promise)
})

t.test('a store that does not answer refuses with a reason of its own', async (t) => {
  for (const [fault, reason] of [
    ['unavailable', 'quota_store_unavailable'],
    ['lost', 'quota_store_lost'],
  ] as const) {
    const { store, settled } = scripted(async () => ({ kind: 'failed', fault, index: 0 }))
    const stage = createLimitsStage({ store, clock: manualClock() })
    const x = anExchange({ resources: someResources({ quotas }) })
    t.match(await stage.request?.(x), { kind: 'error', reason, cause: /q\/requests-1s/ })
    stage.end?.(x)
    t.same(settled, [], 'nothing was taken, nothing is settled')
  }
})

t.test('what a charge says is what its limit says', async (t) => {
  const { store, reserved } = scripted(() => ({ kind: 'granted', states: [free, free, free] }))
  const stage = createLimitsStage({ store, clock: manualClock(), leaseMs: 100 })
  const policy = aPolicy({
    limits: [
      { unit: 'requests', rate: 5, window: '1s', store: 'leased', onStoreFailure: 'share', debtCap: 7 },
      { unit: 'requests', kind: 'sliding', limit: 5, window: '1m', mode: 'shadow', onStoreFailure: 'allow' },
      { unit: 'concurrency', max: 3, mode: 'soft' },
    ],
  })
  stage.request?.(anExchange({ resources: someResources({ quotas: [policy] }) }))
  t.match(reserved, [
    [
      { isLeased: true, onStoreFailure: 'share', debtCap: 7, isEnforced: true, cost: 1 },
      { isLeased: false, onStoreFailure: 'allow', debtCap: Infinity, isEnforced: false },
      { isLeased: false, onStoreFailure: 'deny', debtCap: Infinity, isEnforced: false },
    ],
  ])
})

t.test('a grant that comes after the deadline is given back', async (t) => {
  let answer: (granted: ReserveAnswer) => void = () => {}
  const { store, settled } = scripted(
    () =>
      new Promise((resolve) => {
        answer = resolve
      }),
  )
  const pipeline = createPipeline({
    stages: [
      {
        name: 'call',
        failureReason: 'internal_error',
        request: (x) => {
          x.call = infer('fraud')
          return { kind: 'allow', mutations: {} }
        },
      },
      createLimitsStage({ store, clock: manualClock() }),
    ],
    resources: () => someResources({ quotas: [aPolicy({ tenants: ['*'] })] }),
    deadlineMs: 1,
  })
  const x = pipeline.open(someRequest())
  t.match(await pipeline.request(x), { kind: 'error', reason: 'deadline_exceeded' })
  pipeline.end(x)
  t.same(settled, [])
  answer(granted)
  await new Promise(setImmediate)
  t.same(settled, [[x.id, [0]]])
})

t.test('an exchange that no limit is for asks no store', async (t) => {
  const { store, reserved } = scripted(() => granted)
  const stage = createLimitsStage({ store })
  for (const more of [{ quotas: [] }, { quotas: [aPolicy({ models: ['ocr'] })] }]) {
    const x = anExchange({ resources: someResources(more) })
    t.match(stage.request?.(x), { kind: 'allow', mutations: {} })
    stage.end?.(x)
    stage.revoke?.(x)
  }
  t.same(reserved, [])
})

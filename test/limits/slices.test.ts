import t from 'tap'
import { createLimitsStage } from '../../agent/limits/limits.ts'
import { createMemoryStore } from '../../agent/limits/store/memory.ts'
import type { QuotaStore, ReserveAnswer } from '../../agent/limits/store/store.ts'
import { anExchange, manualClock, someResources } from '../decision/an-exchange.ts'
import fc from '../fast-check.ts'
import { aDemand, aMeter, aPolicy, aStage, chat } from './a-quota.ts'

const perHour = (limit: number) => ({ unit: 'outputTokens', kind: 'sliding', limit, window: '1h' })
const sliced = (limit: number, slice = 100) => aPolicy({ limits: [perHour(limit)], reserve: { slice } })

const probeCharge = {
  key: { partition: 'tenant/acme', id: 'q/output-tokens-1h|tenant=4:acme' },
  rule: { kind: 'sliding', limit: 1000, sliceUs: 60_000_000, sliceCount: 60 },
  cost: 0,
  isEnforced: true,
  debtCap: 0,
  onStoreFailure: 'deny',
  isLeased: false,
} as const

/** What is left of the only limit on output. */
function left({ store }: ReturnType<typeof aStage>): number {
  return store.peek([probeCharge])[0]?.remaining ?? -1
}

t.test('output is reserved by the slice, ahead of need, and never beyond the bound', async (t) => {
  const world = aStage([sliced(1000)])
  const meter = aMeter({})
  const { x } = world.ask({ call: chat, demand: aDemand({ outputTokens: 250 }), meter })
  const at = (outputTokens: number) => {
    meter.set({ outputTokens })
    t.equal(x.hold?.progress(meter.metered()), 'go_on')
    return 1000 - left(world)
  }
  t.equal(at(0), 100)
  t.equal(at(49), 100)
  t.equal(at(50), 200, 'half a slice before the first runs out')
  t.equal(at(149), 200)
  t.equal(at(150), 250, 'what is left of the bound')
  t.equal(at(250), 250)
  t.equal(at(400), 250, 'what goes beyond the bound is settled, not asked for')
  world.stage.end?.(x)
  t.equal(1000 - left(world), 400)
})

t.test('a stream is stopped once more was refused and what was reserved is used up', async (t) => {
  const world = aStage([sliced(250)])
  const meter = aMeter({})
  const { x } = world.ask({ call: chat, demand: aDemand({}, false), meter })
  const says = (outputTokens: number) => {
    meter.set({ outputTokens })
    return x.hold?.progress(meter.metered())
  }
  t.equal(says(60), 'go_on')
  t.equal(says(160), 'go_on', 'the third slice does not fit: it is half of one')
  t.equal(says(249), 'go_on')
  t.equal(says(250), 'stop')
  world.stage.end?.(x)
  const again = world.ask({ call: chat, demand: aDemand({}, false) })
  t.match(again.verdict, { kind: 'deny', reason: 'rate_limited' })
})

t.test('what was refused is asked for again when it may be there', async (t) => {
  const world = aStage([
    aPolicy({
      limits: [{ unit: 'outputTokens', rate: 100, window: '10s', burst: 100 }],
      reserve: { slice: 100 },
    }),
  ])
  const meter = aMeter({})
  const { x } = world.ask({ call: chat, demand: aDemand({}, false), meter })
  const says = (outputTokens: number) => {
    meter.set({ outputTokens })
    return x.hold?.progress(meter.metered())
  }
  t.equal(says(60), 'go_on')
  world.clock.advanceMs(10_000)
  t.equal(says(70), 'go_on')
  t.equal(says(150), 'go_on', 'more has drained meanwhile')
  t.equal(says(200), 'stop')
})

t.test('what is not enforced never stops a stream', async (t) => {
  for (const mode of ['soft', 'shadow']) {
    const world = aStage([aPolicy({ limits: [{ ...perHour(150), mode }], reserve: { slice: 100 } })])
    const meter = aMeter({ outputTokens: 5000 })
    const { x } = world.ask({ call: chat, demand: aDemand({}, false), meter })
    for (let i = 0; i < 5; i++) t.equal(x.hold?.progress(meter.metered()), 'go_on', mode)
  }
})

t.test('more output does not need a second place among the calls that run', async (t) => {
  const world = aStage([
    aPolicy({
      limits: [perHour(1000), { unit: 'concurrency', max: 1 }, { unit: 'requests', rate: 1, window: '1h' }],
      reserve: { slice: 100 },
    }),
  ])
  const meter = aMeter({ outputTokens: 80 })
  const { x } = world.ask({ call: chat, demand: aDemand({}, false), meter })
  t.equal(x.hold?.progress(meter.metered()), 'go_on')
  t.equal(1000 - left(world), 200)
})

t.test(
  'a call without a bound grows by what its policy reserves, one with a bound does not grow',
  async (t) => {
    const policy = aPolicy({ limits: [perHour(1000)], reserve: { outputTokens: 300 } })
    const unbounded = aStage([policy])
    const meter = aMeter({ outputTokens: 200 })
    const { x } = unbounded.ask({ call: chat, demand: aDemand({}, false), meter })
    t.equal(1000 - left(unbounded), 300)
    x.hold?.progress(meter.metered())
    t.equal(1000 - left(unbounded), 600)
    const bounded = aStage([policy])
    const second = bounded.ask({ call: chat, demand: aDemand({ outputTokens: 300 }), meter })
    second.x.hold?.progress(meter.metered())
    t.equal(1000 - left(bounded), 300)
  },
)

/** A store that answers `topUp` when a test says so. */
function slowStore(answer?: ReserveAnswer) {
  const clock = manualClock()
  const memory = createMemoryStore({ clock })
  const waiting: (() => void)[] = []
  const calls: string[] = []
  const store: QuotaStore = {
    reserve: (...all) => Promise.resolve(memory.reserve(...all)),
    topUp: (...all) => {
      calls.push('topUp')
      return new Promise((resolve) => {
        waiting.push(() => resolve(answer ?? memory.topUp(...all)))
      })
    },
    settle: (...all) => {
      calls.push('settle')
      return Promise.resolve(memory.settle(...all))
    },
    peek: (charges) => memory.peek(charges),
    adjust: (...all) => memory.adjust(...all),
    health: memory.health,
    [Symbol.asyncDispose]: async () => {},
  }
  const stage = createLimitsStage({ store, clock })
  const open = async (policy = sliced(1000)) => {
    const meter = aMeter({})
    const resources = someResources({ quotas: [policy] })
    const x = anExchange({ resources, call: chat, demand: aDemand({}, false), meter })
    const verdict = await stage.request?.(x)
    const says = (outputTokens: number) => {
      meter.set({ outputTokens })
      return x.hold?.progress(meter.metered())
    }
    return { x, verdict, says }
  }
  const used = () => 1000 - (memory.peek([probeCharge])[0]?.remaining ?? -1)
  const answerAll = async () => {
    for (const resolve of waiting.splice(0)) resolve()
    await new Promise(setImmediate)
  }
  return { stage, open, calls, used, answerAll, clock }
}

t.test('only one question is on its way, and the stream never waits for it', async (t) => {
  const { open, calls, answerAll, used } = slowStore()
  const { says, verdict } = await open()
  t.match(verdict, { kind: 'allow' })
  for (const outputTokens of [60, 90, 120, 500]) t.equal(says(outputTokens), 'go_on')
  t.same(calls, ['topUp'])
  await answerAll()
  t.equal(used(), 200)
  t.equal(says(500), 'go_on')
  t.same(calls, ['topUp', 'topUp'])
  await answerAll()
  t.equal(used(), 600, 'the next asks for what was used meanwhile')
})

t.test('a call that ends while it asks for more is settled after the answer', async (t) => {
  const { open, stage, calls, answerAll, used } = slowStore()
  const { x, says } = await open()
  says(60)
  stage.end?.(x)
  t.same(calls, ['topUp'])
  await answerAll()
  t.same(calls, ['topUp', 'settle'])
  t.equal(used(), 60)
  says(400)
  t.same(calls, ['topUp', 'settle'], 'nothing is asked for any more')
})

t.test('a store that cannot be asked stops a stream, and is asked again after a while', async (t) => {
  const { open, answerAll, calls, clock } = slowStore({ kind: 'failed', fault: 'unavailable', index: 0 })
  const { says } = await open()
  t.equal(says(60), 'go_on')
  await answerAll()
  t.equal(says(99), 'go_on')
  t.equal(says(100), 'stop')
  t.same(calls, ['topUp'])
  clock.advanceMs(250)
  t.equal(says(100), 'stop')
  t.same(calls, ['topUp', 'topUp'])
})

t.test('whatever streams, no more is given away than was reserved and one slice', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 100, max: 2000 }),
      fc.integer({ min: 1, max: 100 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 100 }),
      (limit, slice, pieces) => {
        const world = aStage([sliced(limit, slice)])
        const meter = aMeter({})
        const { x } = world.ask({ call: chat, demand: aDemand({}, false), meter })
        let outputTokens = 0
        for (const piece of pieces) {
          outputTokens += piece
          meter.set({ outputTokens })
          if (x.hold?.progress(meter.metered()) === 'stop') break
        }
        // The piece that was on its way when the last slice ran out, and no further.
        const isBounded = outputTokens <= limit + 40
        world.stage.end?.(x)
        return isBounded
      },
    ),
  )
})

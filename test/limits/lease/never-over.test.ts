import t from 'tap'
import { createLeasedStore } from '../../../agent/limits/lease/lease.ts'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import type { Charge, CounterRule, QuotaStore } from '../../../agent/limits/store/store.ts'
import fc from '../../fast-check.ts'
import { charge, gcraRule } from '../charges.ts'
import { type VirtualTime, virtualTime } from '../virtual-time.ts'

const leaseMs = 100
const spanMs = 1000

interface Taken {
  readonly atMs: number
  units: number
}

interface Law {
  readonly name: string
  /** As it is charged: it makes up for the life of a lease. */
  readonly rule: CounterRule
  /** The most that may be taken in some span of time, as it is promised. */
  readonly bound: (fromMs: number, toMs: number) => number
}

const [rate, burst] = [2000, 800]
const [limit, windowMs] = [600, 500]
const calendar = {
  spanAt(atMs: number) {
    const startMs = Math.floor(atMs / spanMs) * spanMs
    return { startMs, endMs: startMs + spanMs }
  },
}

const laws: readonly Law[] = [
  {
    name: 'gcra: in any time, burst + time * rate',
    rule: gcraRule(rate, burst - (rate * leaseMs) / 1000),
    bound: (from, to) => burst + ((to - from) * rate) / 1000,
  },
  {
    name: 'sliding: in any window, the limit',
    rule: { kind: 'sliding', limit, sliceUs: windowMs * 100, sliceCount: 10 + (leaseMs * 10) / windowMs },
    bound: (from, to) => (to - from <= windowMs ? limit : Number.POSITIVE_INFINITY),
  },
  {
    name: 'calendar: in each span, the limit',
    rule: { kind: 'calendar', limit, calendar },
    bound: (from, to) =>
      calendar.spanAt(from).startMs === calendar.spanAt(to).startMs ? limit : Number.POSITIVE_INFINITY,
  },
]

/** A store at the other end of a slow network; `charged` is told when a call was written there. */
function farAway(inner: QuotaStore, time: VirtualTime, charged: (id: string) => void): QuotaStore {
  let lag = 0
  const travel = () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    lag = (lag * 7 + 3) % 11
    time.after(lag, resolve)
    return promise
  }
  return {
    ...inner,
    health: { ...inner.health, replicas: () => 3 },
    async reserve(id, charges, ttlMs) {
      await travel()
      const answer = inner.reserve(id, charges, ttlMs)
      charged(id)
      await travel()
      return answer
    },
    async topUp(id, step, charges, ttlMs) {
      await travel()
      const answer = inner.topUp(id, step, charges, ttlMs)
      await travel()
      return answer
    },
    async settle(id, actuals) {
      await travel()
      return inner.settle(id, actuals)
    },
    peek: (charges) => inner.peek(charges),
    adjust: (id, charge, change) => inner.adjust(id, charge, change),
    [Symbol.asyncDispose]: async () => {},
  }
}

interface Step {
  readonly replica: number
  readonly cost: number
  /** What it takes of its cost in the end, in quarters, and how long it runs. */
  readonly quarters: number
  readonly runsMs: number
  /** Until the next one. */
  readonly waitMs: number
}

/** A calm in which leases are drawn, a pause in which they grow old, and a storm that takes all there is. */
const round = fc
  .record({
    calmCalls: fc.integer({ min: 50, max: 300 }),
    calmCost: fc.integer({ min: 1, max: 3 }),
    pauseMs: fc.integer({ min: 0, max: leaseMs }),
    stormCalls: fc.integer({ min: 0, max: 500 }),
    stormCost: fc.integer({ min: 0, max: 4 }),
    quarters: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 8 }),
    runsMs: fc.array(fc.constantFrom(0, 1, 20, 150), { minLength: 1, maxLength: 8 }),
  })
  .map(({ calmCalls, calmCost, pauseMs, stormCalls, stormCost, quarters, runsMs }): readonly Step[] =>
    Array.from({ length: calmCalls + stormCalls }, (_, index) => ({
      replica: index % 3,
      cost: index < calmCalls ? calmCost : stormCost,
      quarters: index < calmCalls ? 4 : (quarters[index % quarters.length] as number),
      runsMs: runsMs[index % runsMs.length] as number,
      waitMs: index < calmCalls - 1 ? 1 : index === calmCalls - 1 ? pauseMs : 0,
    })),
  )
const rounds = fc.array(round, { minLength: 1, maxLength: 3 }).map((rounds) => rounds.flat())

/** Plays the steps on three processes over one store. */
async function play(
  rule: CounterRule,
  steps: readonly Step[],
): Promise<{ readonly taken: readonly Taken[]; readonly leased: number; readonly used: number }> {
  const time = virtualTime()
  const memory = createMemoryStore({ clock: time.clock })
  const chargedAt = new Map<string, number>()
  const far = farAway(memory, time, (id) => chargedAt.set(id, time.clock.nowMs()))
  const stores = [0, 1, 2].map(() => createLeasedStore(far, { ...time, leaseMs }))
  const taken: Taken[] = []
  const one = charge(rule, { isLeased: true })
  for (const [index, { waitMs, replica, cost, quarters, runsMs }] of steps.entries()) {
    const store = stores[replica] as QuotaStore
    const id = `${replica}-${index}`
    const asked: Charge = { ...one, cost }
    const atMs = time.clock.nowMs()
    const answer = store.reserve(id, [asked], 10_000)
    const granted = () => {
      const call = { atMs: chargedAt.get(id) ?? atMs, units: cost }
      taken.push(call)
      time.after(runsMs, () => {
        call.units = Math.floor((cost * quarters) / 4)
        void store.settle(id, [call.units])
      })
    }
    if (!(answer instanceof Promise)) {
      if (answer.kind === 'granted') granted()
    } else void answer.then(({ kind }) => kind === 'granted' && granted())
    if (waitMs > 0) await time.advance(waitMs)
  }
  const leased = stores.reduce((sum, store) => sum + store.health.counts.leased, 0)
  await time.advance(1000)
  const ends = stores.map((store) => store[Symbol.asyncDispose]())
  await time.advance(1000)
  await Promise.all(ends)
  const [state] = memory.peek([one])
  return { taken, leased, used: rule.kind === 'calendar' ? rule.limit - (state?.remaining ?? 0) : 0 }
}

/** The first span of time in which more was taken than may be. */
function excess(taken: readonly Taken[], bound: Law['bound']): string | undefined {
  const sorted = [...taken].sort((a, b) => a.atMs - b.atMs)
  for (let from = 0; from < sorted.length; from++) {
    let sum = 0
    const start = (sorted[from] as Taken).atMs
    for (let to = from; to < sorted.length; to++) {
      const { atMs, units } = sorted[to] as Taken
      sum += units
      const most = bound(start, atMs)
      if (sum > most + 1e-6) return `${sum} of ${most} in ${atMs - start} ms from ${start}`
    }
  }
  return undefined
}

for (const { name, rule, bound } of laws)
  t.test(`however calls fall on three processes with leases, ${name}`, async (t) => {
    let leased = 0
    await fc.assert(
      fc.asyncProperty(rounds, async (steps) => {
        const played = await play(rule, steps)
        leased += played.leased
        t.equal(excess(played.taken, bound), undefined)
        return excess(played.taken, bound) === undefined
      }),
      { numRuns: 25 },
    )
    t.ok(leased > 500, `${leased} calls were granted from leases`)
  })

t.test('whatever was drawn, in the end the store has charged what the calls took', async (t) => {
  const hour = { spanAt: () => ({ startMs: 0, endMs: 4e12 }) }
  await fc.assert(
    fc.asyncProperty(rounds, async (steps) => {
      const { taken, used } = await play({ kind: 'calendar', limit: 4000, calendar: hour }, steps)
      const sum = taken.reduce((all, { units }) => all + units, 0)
      t.equal(used, sum)
      return used === sum
    }),
    { numRuns: 15 },
  )
})

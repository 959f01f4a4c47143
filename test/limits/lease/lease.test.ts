import t from 'tap'
import { createLeasedStore } from '../../../agent/limits/lease/lease.ts'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import type { Charge, ReserveAnswer } from '../../../agent/limits/store/store.ts'
import { charge, gcraRule, hourRule, statesOf } from '../charges.ts'
import { type ScriptedStore, scriptedStore } from '../scripted-store.ts'
import { settled, virtualTime } from '../virtual-time.ts'

const leaseMs = 400
const ttlMs = 60_000

function world(options: { readonly replicas?: number; readonly maxBanks?: number } = {}) {
  const time = virtualTime()
  const memory = createMemoryStore({ clock: time.clock })
  const inner: ScriptedStore = scriptedStore(memory)
  inner.replicaCount = options.replicas ?? 2
  const store = createLeasedStore(inner, { ...time, leaseMs, maxBanks: options.maxBanks ?? 100 })
  let made = 0
  const call = async (charges: readonly Charge[]) => {
    const id = `call-${made++}`
    return { id, answer: await store.reserve(id, charges, ttlMs) }
  }
  /** One call a millisecond, each settled at once at what it reserved: enough for a lease to be worth it. */
  const traffic = async (one: Charge, count = 200) => {
    for (let index = 0; index < count; index++) {
      const { id, answer } = await call([one])
      if (answer.kind === 'granted') await store.settle(id, [one.cost])
      await time.advance(1)
    }
  }
  const used = (one: Charge) => {
    const [state] = memory.peek([one]) as ReturnType<typeof statesOf>
    return one.rule.kind === 'calendar' ? one.rule.limit - (state?.remaining ?? 0) : Number.NaN
  }
  return { time, memory, inner, store, call, traffic, used }
}

const leased = charge(hourRule(100_000), { isLeased: true })

/** A decision that did not wait for anybody. */
function now(answer: ReserveAnswer | Promise<ReserveAnswer>): ReserveAnswer {
  if (answer instanceof Promise) throw new Error('the store was asked')
  return answer
}

t.test('a busy limit is granted from leases, with less than a tenth of a store call a request', async (t) => {
  const { store, inner, traffic } = world()
  await traffic(leased, 100)
  const before = inner.health.counts.calls
  await traffic(leased, 1000)
  const calls = inner.health.counts.calls - before
  t.ok(calls <= 100, `${calls} calls for 1,000 requests`)
  t.ok(store.health.counts.leased > 1000)
})

t.test('a limit that is seldom asked for is never drawn beforehand', async (t) => {
  const { inner, call, time } = world()
  for (let index = 0; index < 20; index++) {
    await call([leased])
    await time.advance(leaseMs)
  }
  t.equal(inner.asked.length, 20)
})

t.test('what was drawn and not spent is given back when the life of the lease is over', async (t) => {
  const { store, traffic, time, used } = world()
  await traffic(leased, 300)
  t.ok(used(leased) > 300, `${used(leased)} are charged while a lease lives`)
  await time.advance(2 * leaseMs)
  t.equal(used(leased), 300)
  await store[Symbol.asyncDispose]()
})

t.test('what is over at once is spent from a lease, or charged in one call to the store', async (t) => {
  const { store, inner, traffic, time, used } = world()
  t.equal((await store.reserve('quiet', [leased], 0)).kind, 'granted')
  t.equal(inner.asked.length, 1, 'it is not settled')
  await traffic(leased, 300)
  t.equal(now(store.reserve('busy', [{ ...leased, cost: 7 }], 0)).kind, 'granted')
  await time.advance(2 * leaseMs)
  t.equal(used(leased), 308)
  await store[Symbol.asyncDispose]()
})

t.test('what is over at once puts back what it drew where the store refuses the rest', async (t) => {
  const { store, traffic, time, used } = world()
  await traffic(leased, 300)
  const strict = charge(hourRule(1), { id: 'strict' })
  t.equal((await store.reserve('one', [{ ...leased, cost: 3 }, strict], 0)).kind, 'granted')
  t.equal((await store.reserve('two', [{ ...leased, cost: 3 }, strict], 0)).kind, 'refused')
  await time.advance(2 * leaseMs)
  t.equal(used(leased), 303)
  await store[Symbol.asyncDispose]()
})

t.test('what was drawn and not spent is given back at the end', async (t) => {
  const { store, traffic, used } = world()
  await traffic(leased, 300)
  await store[Symbol.asyncDispose]()
  t.equal(used(leased), 300)
})

t.test('a call that runs at the end is charged what it reserved', async (t) => {
  const { store, traffic, used } = world()
  await traffic(leased, 300)
  t.equal(now(store.reserve('long', [{ ...leased, cost: 7 }], ttlMs)).kind, 'granted')
  await store[Symbol.asyncDispose]()
  t.equal(used(leased), 307)
})

t.test('a call settles at what it took, whatever it reserved', async (t) => {
  for (const actual of [0, 3, 10, 25]) {
    const { store, traffic, used, time } = world()
    await traffic(leased, 300)
    t.equal(now(store.reserve('one', [{ ...leased, cost: 10 }], ttlMs)).kind, 'granted')
    await time.advance(50)
    t.equal(await store.settle('one', [actual]), 'settled')
    t.equal(await store.settle('one', [actual]), 'already')
    await time.advance(3 * leaseMs)
    t.equal(used(leased), 300 + actual, `settled at ${actual}`)
    await store[Symbol.asyncDispose]()
  }
})

t.test('a call that outlives its lease gives back through the settlement of the lease', async (t) => {
  const { store, traffic, used, time } = world()
  await traffic(leased, 300)
  t.equal(now(store.reserve('long', [{ ...leased, cost: 10 }], ttlMs)).kind, 'granted')
  await time.advance(10 * leaseMs)
  t.ok(used(leased) >= 310, 'its lease stays charged until then')
  await store.settle('long', [4])
  await settled()
  t.equal(used(leased), 304)
})

t.test('a debt beyond what every lease has is charged at the store at once', async (t) => {
  const { store, traffic, used, time } = world()
  await traffic(leased, 300)
  t.equal(now(store.reserve('greedy', [{ ...leased, cost: 1 }], ttlMs)).kind, 'granted')
  await store.settle('greedy', [5000])
  await time.advance(1)
  t.ok(used(leased) >= 5300, `${used(leased)} are charged`)
  await time.advance(3 * leaseMs)
  t.equal(used(leased), 5300)
})

t.test('leased and strict limits are charged together or not at all', async (t) => {
  const { store, inner, traffic, call, used, time } = world()
  await traffic(leased, 300)
  const strict = charge(hourRule(5), { id: 'strict' })
  const from = inner.asked.length
  for (let index = 0; index < 5; index++) {
    const { id, answer } = await call([{ ...leased, cost: 2 }, strict])
    t.equal(answer.kind, 'granted')
    await store.settle(id, [2, 1])
  }
  t.notOk(
    inner.asked.slice(from).some((asked) => asked.startsWith('reserve call') && asked.includes(',')),
    'only the strict limit was asked for',
  )
  const { answer } = await call([{ ...leased, cost: 2 }, strict])
  t.equal(answer.kind, 'refused')
  t.match(statesOf(answer), [{ isOver: false }, { isOver: true, remaining: 0 }])
  await time.advance(3 * leaseMs)
  t.equal(used(leased), 310, 'the refused call has put its part back')
  t.equal(used(strict), 5)
})

t.test('a mixed call that is settled before the store has answered is settled once', async (t) => {
  const { store, traffic, used, time } = world()
  await traffic(leased, 300)
  const strict = charge(hourRule(5), { id: 'strict' })
  const pending = store.reserve('gone', [leased, strict], ttlMs)
  const settlement = store.settle('gone', [0, 0])
  await Promise.all([pending, settlement])
  await time.advance(3 * leaseMs)
  t.equal(used(leased), 300)
  t.equal(used(strict), 0)
})

t.test('an id that comes again changes nothing', async (t) => {
  const { store, traffic, used, time } = world()
  await traffic(leased, 300)
  const first = now(store.reserve('twice', [{ ...leased, cost: 9 }], ttlMs))
  t.same(now(store.reserve('twice', [{ ...leased, cost: 9 }], ttlMs)), first)
  await store.settle('twice', [9])
  t.equal(now(store.reserve('twice', [{ ...leased, cost: 9 }], ttlMs)).kind, 'refused')
  await time.advance(3 * leaseMs)
  t.equal(used(leased), 309)
})

t.test('a step that comes again is granted once, from a lease as from the store', async (t) => {
  const { store, traffic, used, time } = world()
  await traffic(leased, 300)
  const charges = [{ ...leased, cost: 9 }, charge(hourRule(100), { id: 'strict', cost: 9 })]
  t.equal((await store.reserve('grows', charges, ttlMs)).kind, 'granted')
  const first = await store.topUp('grows', 1, charges, ttlMs)
  t.equal(first.kind, 'granted')
  t.same(await store.topUp('grows', 1, charges, ttlMs), first)
  // Nobody settles it: it is charged all that it holds.
  await time.advance(2 * ttlMs)
  t.same(charges.map(used), [318, 18])
})

t.test('a lease lives from when it was asked for, however late the answer is', async (t) => {
  const { store, inner, traffic, time } = world()
  const reserve = inner.reserve.bind(inner)
  const drawn: number[] = []
  inner.reserve = async (id, charges, lifeMs) => {
    const answer = await reserve(id, charges, lifeMs)
    if (lifeMs === ttlMs) return answer
    drawn.push(time.clock.nowMs())
    await new Promise<void>((resolve) => void time.after(leaseMs / 2, resolve))
    return answer
  }
  while (drawn.length === 0) await traffic(leased, 1)
  const ageMs = () => time.clock.nowMs() - (drawn[0] as number)
  await time.advance(leaseMs - 1 - ageMs())
  t.equal(now(store.reserve('young', [leased], ttlMs)).kind, 'granted')
  await time.advance(1)
  t.type(store.reserve('old', [leased], ttlMs), Promise)
})

t.test('an id that was settled before it is reserved is refused', async (t) => {
  const { store, traffic } = world()
  await traffic(leased, 300)
  await store.settle('late', [0])
  t.equal(now(store.reserve('late', [leased], ttlMs)).kind, 'refused')
})

t.test('a hold that nobody settles is charged what it reserved', async (t) => {
  const { store, traffic, used, time } = world()
  await traffic(leased, 300)
  t.equal(now(store.reserve('forgotten', [{ ...leased, cost: 8 }], 1000)).kind, 'granted')
  await time.advance(5000)
  t.equal(used(leased), 308)
  t.equal(await store.settle('forgotten', [0]), 'unknown')
  t.equal(used(leased), 308)
})

t.test('a stream gets more from leases, and from the store where they have none', async (t) => {
  const { store, traffic, used, time } = world()
  await traffic(leased, 300)
  t.equal(now(store.reserve('stream', [{ ...leased, cost: 5 }], ttlMs)).kind, 'granted')
  t.equal(now(store.topUp('stream', 1, [{ ...leased, cost: 6 }], ttlMs)).kind, 'granted')
  t.equal(now(store.topUp('stream', 1, [{ ...leased, cost: 6 }], ttlMs)).kind, 'granted', 'the same step')
  await time.advance(2 * leaseMs)
  t.equal((await store.topUp('stream', 2, [{ ...leased, cost: 7 }], ttlMs)).kind, 'granted')
  t.equal((await store.topUp('stream', 3, [{ ...leased, cost: 1e6 }], ttlMs)).kind, 'refused')
  await store.settle('stream', [15])
  await time.advance(3 * leaseMs)
  t.equal(used(leased), 315)
})

t.test('a stream with leased and strict limits gets more of both or of neither', async (t) => {
  const { store, traffic, used, time } = world()
  await traffic(leased, 300)
  const strict = charge(hourRule(10), { id: 'strict' })
  t.equal((await store.reserve('stream', [leased, strict], ttlMs)).kind, 'granted')
  t.equal((await store.topUp('stream', 1, [leased, { ...strict, cost: 4 }], ttlMs)).kind, 'granted')
  t.equal((await store.topUp('stream', 2, [leased, { ...strict, cost: 6 }], ttlMs)).kind, 'refused')
  await store.settle('stream', [2, 5])
  await time.advance(3 * leaseMs)
  t.equal(used(leased), 302)
  t.equal(used(strict), 5)
})

t.test('near the limit each call asks the store, and the last unit is granted', async (t) => {
  const one = charge(hourRule(500), { isLeased: true })
  const { store, call, traffic, used, time } = world({ replicas: 4 })
  await traffic(one, 480)
  let granted = 0
  for (let index = 0; index < 40; index++) {
    const { id, answer } = await call([one])
    if (answer.kind !== 'granted') continue
    granted++
    await store.settle(id, [1])
  }
  t.equal(granted, 20)
  await time.advance(3 * leaseMs)
  t.equal(used(one), 500)
})

t.test('all that is out is at most our part of half of what was left', async (t) => {
  const one = charge(hourRule(2000), { isLeased: true })
  const { traffic, used } = world({ replicas: 4 })
  for (let round = 1; round <= 10; round++) {
    await traffic(one, 100)
    const unspent = used(one) - 100 * round
    t.ok(unspent <= 2000 / 8, `${unspent} are drawn and not spent`)
  }
})

t.test('long calls do not pile up what is drawn and not spent', async (t) => {
  const one = charge(hourRule(10_000), { isLeased: true })
  const { store, used, time } = world({ replicas: 2 })
  for (let index = 0; index < 3000; index++) {
    await store.reserve(`long-${index}`, [one], ttlMs)
    await time.advance(1)
  }
  t.ok(used(one) - 3000 <= 10_000 / 4, `${used(one) - 3000} are drawn and not spent`)
})

t.test('a calendar lease ends with its span', async (t) => {
  const calendar = {
    spanAt: (atMs: number) => ({
      startMs: Math.floor(atMs / 1000) * 1000,
      endMs: Math.floor(atMs / 1000) * 1000 + 1000,
    }),
  }
  const one = charge({ kind: 'calendar', limit: 10_000, calendar }, { isLeased: true })
  const { store, traffic, time } = world()
  await traffic(one, 950)
  t.equal(now(store.reserve('inside', [one], ttlMs)).kind, 'granted')
  await time.advance(51)
  const after = store.reserve('outside', [one], ttlMs)
  t.type(after, Promise, 'what was drawn in one span is not granted in the next')
  await after
})

t.test('a lease ends by the time it was asked for, not by the time it came', async (t) => {
  const time = virtualTime()
  const memory = createMemoryStore({ clock: time.clock })
  const inner = scriptedStore(memory)
  let lagMs = 0
  const slow = {
    ...inner,
    reserve: async (id: string, charges: readonly Charge[], ttl: number) => {
      const answer = await inner.reserve(id, charges, ttl)
      const { promise, resolve } = Promise.withResolvers<void>()
      time.after(lagMs, resolve)
      await promise
      return answer
    },
  }
  const store = createLeasedStore(slow, { ...time, leaseMs })
  for (let index = 0; index < 50; index++) {
    void store.reserve(`a${index}`, [leased], ttlMs)
    await time.advance(1)
  }
  await time.advance(2 * leaseMs)
  for (let index = 0; index < 100; index++) {
    void store.reserve(`b${index}`, [leased], ttlMs)
    await time.advance(1)
  }
  // All that is out now came at once. The next one travels for three quarters of its life.
  lagMs = 300
  for (let index = 0; index < 350; index++) {
    void store.reserve(`c${index}`, [leased], ttlMs)
    await time.advance(1)
  }
  // One serves for the quarter of its life that is left, while the next one is on its way; then calls ask the store.
  let longest = 0
  let run = 0
  for (let index = 0; index < 1000; index++) {
    run = store.reserve(`d${index}`, [leased], ttlMs) instanceof Promise ? 0 : run + 1
    longest = Math.max(longest, run)
    await time.advance(1)
  }
  t.ok(longest > 0, 'leases serve')
  t.ok(longest <= 2 * (leaseMs - lagMs), `${longest} ms in a row without asking`)
})

t.test('beyond the bound of banks calls ask the store; idle banks make room', async (t) => {
  const { store, time, traffic } = world({ maxBanks: 2 })
  const of = (id: string) => charge(hourRule(100_000), { id, isLeased: true })
  await traffic(of('a'), 100)
  await traffic(of('b'), 100)
  const leasedBefore = store.health.counts.leased
  await traffic(of('c'), 100)
  t.equal(store.health.counts.leased, leasedBefore)
  await time.advance(10 * leaseMs)
  await traffic(of('c'), 100)
  t.ok(store.health.counts.leased > leasedBefore)
})

t.test('other numbers for a limit begin with a bank of their own', async (t) => {
  const { store, traffic, time } = world()
  await traffic(leased, 300)
  const other = charge(hourRule(50_000), { isLeased: true })
  t.type(store.reserve('changed', [other], ttlMs), Promise)
  await time.advance(10 * leaseMs)
  await traffic(other, 200)
  t.equal(now(store.reserve('changed again', [other], ttlMs)).kind, 'granted')
})

t.test('rules that count alike are one rule, in whatever object', async (t) => {
  const { store, traffic } = world()
  await traffic(charge(gcraRule(10_000, 5000), { isLeased: true }), 100)
  const again = charge(gcraRule(10_000, 5000), { isLeased: true })
  t.equal(now(store.reserve('x', [again], ttlMs)).kind, 'granted')
})

t.test('a grant of people takes effect although some was drawn before', async (t) => {
  const { store, traffic, used } = world()
  await traffic(leased, 300)
  await store.adjust('reset', leased, 'reset')
  await settled()
  t.equal(used(leased), 0)
  t.type(store.reserve('after', [leased], ttlMs), Promise, 'what was drawn before is not granted any more')
})

t.test('a cost of 0 needs what a cost of 1 needs', async (t) => {
  const { store, traffic, used, time } = world()
  await traffic(leased, 300)
  t.equal(now(store.reserve('probe', [{ ...leased, cost: 0 }], ttlMs)).kind, 'granted')
  await store.settle('probe', [2])
  await time.advance(3 * leaseMs)
  t.equal(used(leased), 302)
})

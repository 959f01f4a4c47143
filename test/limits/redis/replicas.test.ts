import t from 'tap'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import fc from '../../fast-check.ts'
import { eventually } from '../../harness/temp.ts'
import { startValkey } from '../../harness/valkey.ts'
import { evenSpans } from '../store/sequences.ts'
import {
  charge,
  concurrency,
  hourSliding,
  longCalendar,
  openAt,
  remainingOf,
  slowGcra,
  ttlMs,
} from './rules.ts'

t.test('of many replicas at once no more than the limit is granted', async (t) => {
  await using valkey = await startValkey()
  const stores = await Promise.all(Array.from({ length: 3 }, () => openAt(valkey.port)))
  try {
    for (const rule of [longCalendar(50), slowGcra(50), hourSliding(50), concurrency(50)]) {
      const each = charge(rule.kind, { rule })
      const answers = await Promise.all(
        Array.from({ length: 120 }, async (_, i) => {
          const { kind } = await stores[i % 3]!.reserve(`${rule.kind}-${i}`, [each], ttlMs)
          return { kind, i }
        }),
      )
      const granted = answers.filter(({ kind }) => kind === 'granted')
      t.equal(granted.length, 50, rule.kind)
      // Whoever reserved settles, all at once, some of it twice.
      const settled = await Promise.all(
        granted.flatMap(({ i }) => [0, 1].map(() => stores[i % 3]!.settle(`${rule.kind}-${i}`, [0]))),
      )
      t.equal(settled.filter((said) => said === 'settled').length, 50)
      const wanted = rule.kind === 'gcra' ? 49 : 50
      t.ok((await remainingOf(stores[0]!, each)) >= wanted, `${rule.kind}: everything came back`)
    }
    await eventually('they know of each other', () => stores.every(({ health }) => health.replicas() >= 1))
  } finally {
    for (const store of stores) await store[Symbol.asyncDispose]()
  }
})

t.test('memory and Redis answer the same', async (t) => {
  await using valkey = await startValkey()
  await using redis = await openAt(valkey.port)
  const memory = createMemoryStore()
  let count = 0
  const limits = [longCalendar(20), concurrency(5), hourSliding(15)]
  const step = fc.oneof(
    fc.record({ do: fc.constant('reserve' as const), cost: fc.integer({ min: 0, max: 4 }) }),
    fc.record({ do: fc.constant('topUp' as const), hold: fc.nat(9), cost: fc.integer({ min: 0, max: 4 }) }),
    fc.record({
      do: fc.constant('settle' as const),
      hold: fc.nat(9),
      actual: fc.integer({ min: 0, max: 6 }),
    }),
    fc.record({ do: fc.constant('adjust' as const), back: fc.integer({ min: -4, max: 9 }) }),
  )
  const still = (answer: unknown) =>
    JSON.stringify(answer, (key, value) => (key === 'retryUs' || key === 'resetUs' ? value > 0 : value))
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const run = `run-${++count}`
      const charges = (cost: number) =>
        limits.map((rule, i) => charge(`${run}-${i}`, { rule, cost, isEnforced: i < 2, debtCap: 3 }))
      const tops = new Map<number, number>()
      let holds = 0
      for (const [place, each] of steps.entries()) {
        const hold = 'hold' in each ? each.hold % Math.max(1, holds) : holds
        const id = `${run}-${hold}`
        const top = (tops.get(hold) ?? 0) + 1
        const [one, other] = await Promise.all(
          [memory, redis].map((store) => {
            if (each.do === 'reserve') return store.reserve(id, charges(each.cost), ttlMs)
            if (each.do === 'topUp') return store.topUp(id, top, charges(each.cost), ttlMs)
            if (each.do === 'settle') return store.settle(id, [each.actual, 1, each.actual])
            return store.adjust(`${id}-${place}`, charges(1)[0]!, { back: each.back })
          }),
        )
        if (still(one) !== still(other))
          throw new Error(`${still(each)}: ${still(one)}, Redis ${still(other)}`)
        if (each.do === 'reserve') holds++
        if (each.do === 'topUp' && (one as { kind: string }).kind === 'granted') tops.set(hold, top)
      }
    }),
    { numRuns: 60 },
  )
  t.pass()
})

t.test('a process whose clock is wrong counts by the time of the server', async (t) => {
  await using valkey = await startValkey()
  const dayMs = 86_400_000
  const rule = { kind: 'calendar' as const, limit: 10, calendar: evenSpans(1000 * dayMs) }
  for (const wrongMs of [0, -4000 * dayMs, 4000 * dayMs]) {
    const clock = { nowMs: () => Date.now() + wrongMs, monotonicUs: () => performance.now() * 1000 }
    await using store = await openAt(valkey.port, { clock })
    const each = charge(`span ${wrongMs}`, { rule })
    const answer = await store.reserve(`at ${wrongMs}`, [each], ttlMs)
    const { endMs } = rule.calendar.spanAt(Date.now())
    t.match(answer, { kind: 'granted', states: [{ remaining: 9 }] })
    const resetUs = answer.kind === 'granted' ? answer.states[0]?.resetUs : undefined
    t.ok(Math.abs((resetUs as number) / 1000 - (endMs - Date.now())) < 60_000, `${resetUs}`)
    t.equal(await store.settle(`at ${wrongMs}`, [3]), 'settled')
    t.equal(await remainingOf(store, each), 7)
  }
})

t.test('what runs at a replica that gives no sign is not counted, until it does', async (t) => {
  await using valkey = await startValkey()
  const slot = charge('slots', { rule: concurrency(2) })
  await using one = await openAt(valkey.port, { slotLifeMs: 600_000, replica: 'one' })
  await using other = await openAt(valkey.port, { slotLifeMs: 600_000, replica: 'other' })
  t.match(await one.reserve('a', [slot], ttlMs), { kind: 'granted' })
  t.match(await other.reserve('b', [slot], ttlMs), { kind: 'granted' })
  t.equal(await remainingOf(other, slot), 0)
  // As if it had been stopped for longer than its life.
  await valkey.client.hset('sluice:e:{%}', 'a:one', 1)
  t.equal(await remainingOf(other, slot), 1)
  t.match(await other.reserve('c', [slot], ttlMs), { kind: 'granted' })
  // It comes back: what it runs is counted at once, though that is more than may.
  t.match(await one.reserve('d', [slot], ttlMs), { kind: 'refused', states: [{ remaining: 0 }] })
  t.equal(await one.settle('a', [1]), 'settled')
  t.equal(await other.settle('b', [1]), 'settled')
  t.equal(await remainingOf(other, slot), 1)
})

t.test('what begins at a replica counts for the others at once, however long it gave no sign', async (t) => {
  await using valkey = await startValkey()
  const slot = charge('slots', { rule: concurrency(2) })
  await using one = await openAt(valkey.port, { slotLifeMs: 600_000, replica: 'one' })
  await using other = await openAt(valkey.port, { slotLifeMs: 600_000, replica: 'other' })
  await eventually('its first heartbeat', () => valkey.client.hget('sluice:e:{%}', 'a:one'))
  await valkey.client.hset('sluice:e:{%}', 'a:one', 1)
  t.match(await one.reserve('a', [slot], ttlMs), { kind: 'granted' })
  t.equal(await remainingOf(other, slot), 1)
})

t.test('heartbeats keep what runs counted beyond one life', async (t) => {
  await using valkey = await startValkey()
  const slot = charge('slots', { rule: concurrency(1) })
  await using one = await openAt(valkey.port, { slotLifeMs: 1500, replica: 'one' })
  await using other = await openAt(valkey.port, { slotLifeMs: 1500, replica: 'other' })
  await one.reserve('a', [slot], ttlMs)
  const until = async () => Number(await valkey.client.hget('sluice:e:{%}', 'a:one'))
  const first = await until()
  await eventually('a heartbeat', async () => (await until()) > first)
  // Where all stood still for longer than a life, the next heartbeat says so again.
  t.ok(await eventually('it is counted', async () => (await remainingOf(other, slot)) === 0))
  await eventually('each knows of two', () => one.health.replicas() === 2 && other.health.replicas() === 2)
})

t.test('idle counters, holds and marks end by themselves', async (t) => {
  await using valkey = await startValkey()
  await using store = await openAt(valkey.port)
  const rules = [longCalendar(10), slowGcra(10), hourSliding(10), concurrency(10)]
  const charges = rules.map((rule) => charge(rule.kind, { rule }))
  await store.reserve('a', charges, 60_000)
  await store.topUp('a', 1, charges, 60_000)
  await store.reserve('b', charges, 60_000)
  await store.settle('b', [0, 0, 0, 0])
  await store.settle('never seen', [0])
  for (const each of charges) await store.adjust(`by hand ${each.rule.kind}`, each, { back: 1 })
  await store.adjust('reset', charges[0]!, 'reset')
  const names = await valkey.client.keys('*')
  t.ok(names.length > 8)
  for (const name of names) t.ok((await valkey.client.pttl(name)) > 0, name)
})

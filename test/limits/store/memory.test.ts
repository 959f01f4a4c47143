import t from 'tap'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import type { Charge } from '../../../agent/limits/store/store.ts'
import fc from '../../fast-check.ts'
import { breachOf } from './history.ts'
import { storeLaws } from './laws.ts'
import { Run } from './run.ts'
import { evenSpans, gcraRule, sequences } from './sequences.ts'
import { chargeOn } from './trial.ts'

storeLaws(t, {
  name: 'memory',
  // As many as a law with spans that end while a call runs needs to be sure to be broken by who breaks it.
  numRuns: 1000,
  open: async (clock) => ({ store: createMemoryStore({ clock }), advance: () => {} }),
})

const ttlMs = 60_000
/** One every 100 ms, and one at once. */
const oneEach100ms = gcraRule(10, 1000, 1)

/** A store of few counters, with a clock that is set by hand. */
function small(maxCounters: number) {
  let timeUs = 1e12
  const clock = { monotonicUs: () => timeUs, nowMs: () => Math.floor(timeUs / 1000) }
  const store = createMemoryStore({ clock, maxCounters })
  let holds = 0
  return {
    store,
    wait: (us: number) => {
      timeUs += us
    },
    /** What a client of a name is told when it asks for one. */
    ask: (name: string, other: Partial<Charge> = {}) => {
      const key = { partition: 'acme', id: name, family: 'per-model' }
      const charge = { ...chargeOn(name, oneEach100ms, 1), key, ...other }
      return store.reserve(`hold-${++holds}`, [charge], ttlMs).kind
    },
  }
}

t.test('when memory is full new keys share one counter, and nobody is let off', async (t) => {
  const { ask, store } = small(3)
  t.same(
    ['a', 'b', 'c'].map((name) => ask(name)),
    ['granted', 'granted', 'granted'],
  )
  t.same(
    ['d', 'e', 'f', 'a'].map((name) => ask(name)),
    ['granted', 'refused', 'refused', 'refused'],
  )
  t.equal(store.size, 4)
})

t.test('nobody gets a counter of their own while the shared one is in use', async (t) => {
  const { ask, store, wait } = small(1)
  ask('a')
  wait(50_000)
  ask('b')
  wait(60_000)
  // The first is idle by now and makes room, but what was asked of the shared one still counts.
  t.equal(ask('b'), 'refused')
  t.equal(ask('c'), 'refused')
  wait(40_000)
  t.same(
    ['b', 'a'].map((name) => ask(name)),
    ['granted', 'granted'],
  )
  t.ok(store.size <= 2)
})

t.test('limits do not share with others, nor tenants', async (t) => {
  const { ask } = small(1)
  ask('a')
  ask('b')
  t.equal(ask('c'), 'refused')
  t.equal(ask('c', { key: { partition: 'acme', id: 'x', family: 'other' } }), 'granted')
  t.equal(ask('c', { key: { partition: 'umbrella', id: 'x', family: 'per-model' } }), 'granted')
})

t.test('a key without a limit is refused when memory is full, or let through uncounted', async (t) => {
  const { ask, store } = small(1)
  ask('a')
  const key = { partition: 'acme', id: 'x' }
  t.equal(ask('x', { key }), 'refused')
  t.equal(ask('x', { key, isEnforced: false }), 'granted')
  t.equal(store.size, 1)
})

t.test('a hold is topped up where its key counts now, wherever it counted before', async (t) => {
  const { ask, store, wait } = small(1)
  const key = { partition: 'acme', id: 'b', family: 'per-model' }
  const charge = (cost: number) => ({ ...chargeOn('b', oneEach100ms, cost), key })
  ask('a')
  store.reserve('hold', [charge(1)], ttlMs)
  // What is shared is idle by now, and there is room: the key has a counter of its own.
  wait(100_000)
  t.equal(ask('b'), 'granted')
  t.equal(store.topUp('hold', 1, [charge(1)], ttlMs).kind, 'refused')
})

t.test('in no window is more let through while memory is full', async (t) => {
  let timeUs = 1e15
  const clock = { monotonicUs: () => timeUs, nowMs: () => Math.floor(timeUs / 1000) }
  const store = createMemoryStore({ clock, maxCounters: 3 })
  let runs = 0
  fc.assert(
    fc.property(sequences({ hasDebts: false, hasFinal: true }), (sequence) => {
      const run = new Run(sequence, `run-${++runs}`, () => timeUs)
      for (const step of sequence.steps) {
        if (step.do === 'wait') timeUs += step.us
        else run.note(step, run.callOf(step)?.(store))
      }
      const breaches = sequence.limits.map(({ rule, isEnforced }, index) =>
        isEnforced ? breachOf(rule, run.admitted(index)) : undefined,
      )
      if (breaches.some((breach) => breach !== undefined)) throw new Error(breaches.join('\n'))
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('counters that say what new ones say are forgotten as others come', async (t) => {
  const { ask, store, wait } = small(1000)
  for (let turn = 0; turn < 50; turn++) {
    for (let client = 0; client < 100; client++) ask(`${turn}-${client}`)
    wait(100_000)
  }
  t.ok(store.size <= 200, String(store.size))
})

t.test('a refused call leaves nothing behind', async (t) => {
  const { ask, store } = small(10)
  const huge = { cost: 2 }
  t.same(
    ['a', 'b', 'c'].map((name) => ask(name, huge)),
    ['refused', 'refused', 'refused'],
  )
  t.equal(store.size, 0)
})

t.test('what runs is never forgotten', async (t) => {
  const { ask, store } = small(2)
  const runs = { rule: { kind: 'concurrency' as const, limit: 1 } }
  t.same(
    ['a', 'b', 'c', 'd', 'a'].map((name) => ask(name, runs)),
    ['granted', 'granted', 'granted', 'refused', 'refused'],
  )
  t.equal(store.size, 3)
})

t.test('a debt outlives the counter it was made under', async (t) => {
  const { store, wait } = small(10)
  const charge = chargeOn('a', oneEach100ms, 1)
  store.reserve('hold', [charge], ttlMs)
  wait(100_000)
  for (let other = 0; other < 5; other++)
    store.reserve(`other-${other}`, [chargeOn(`b${other}`, oneEach100ms, 1)], ttlMs)
  t.equal(store.settle('hold', [4]), 'settled')
  t.match(store.peek([charge]), [{ isOver: true, retryUs: 300_000 }])
})

t.test('parts of a microsecond are left out, and a clock that goes back stands still', async (t) => {
  const times = [1000.9, 100_999.9, 101_000.1, 5, 200_999]
  const clock = { monotonicUs: () => times[0] as number, nowMs: () => 0 }
  const store = createMemoryStore({ clock })
  const kinds = times.slice().map((_, index) => {
    const { kind } = store.reserve(`hold-${index}`, [chargeOn('a', oneEach100ms, 1)], ttlMs)
    times.shift()
    return kind
  })
  t.same(kinds, ['granted', 'refused', 'granted', 'refused', 'refused'])
})

t.test('a wall clock that is set forward begins a new day, and back again does not end it', async (t) => {
  let wallMs = 1.7e12
  const clock = { monotonicUs: () => 1, nowMs: () => wallMs }
  const store = createMemoryStore({ clock })
  const charge = chargeOn('a', { kind: 'calendar', limit: 1, calendar: evenSpans(86_400_000) }, 1)
  const kinds = [0, 86_400_000, -86_400_000, 0].map((stepMs, index) => {
    wallMs += stepMs
    return store.reserve(`hold-${index}`, [charge], ttlMs).kind
  })
  t.same(kinds, ['granted', 'granted', 'refused', 'refused'])
})

t.test('it is never at a loss, and counts nothing that only shared stores know', async (t) => {
  const { health } = createMemoryStore()
  t.same(
    [health.kind, health.problem(), health.lostAtMs(), health.replicas()],
    ['memory', undefined, undefined, 1],
  )
  t.ok(Object.values(health.counts).every((count) => count === 0))
})

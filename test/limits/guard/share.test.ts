import t from 'tap'
import { partOfRule } from '../../../agent/limits/guard/part-of-rule.ts'
import { LocalShare } from '../../../agent/limits/guard/share.ts'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import { mostAtOnce } from '../../../agent/limits/store/most-at-once.ts'
import fc from '../../fast-check.ts'
import { charge, gcraRule, hourRule, slidingRule } from '../charges.ts'
import { virtualTime } from '../virtual-time.ts'

t.test('the parts of all replicas are never more than the limit', async (t) => {
  const rule = fc.oneof(
    fc
      .tuple(fc.constantFrom(1, 2, 5, 10, 1000), fc.integer({ min: 1, max: 10_000 }))
      .map(([rate, burst]) => gcraRule(rate, burst)),
    fc.integer({ min: 0, max: 1e9 }).map(hourRule),
    fc.integer({ min: 0, max: 1e9 }).map((limit) => slidingRule(limit, 1000)),
    fc.integer({ min: 1, max: 1000 }).map((limit) => ({ kind: 'concurrency' as const, limit })),
  )
  fc.assert(
    fc.property(rule, fc.integer({ min: 1, max: 200 }), (whole, replicas) => {
      const part = partOfRule(whole, replicas)
      const isBounded = mostAtOnce(part) * replicas <= mostAtOnce(whole) && mostAtOnce(part) >= 0
      if (whole.kind !== 'gcra' || part.kind !== 'gcra') return isBounded
      // Units that drain in a tick, of all parts together: cross-multiplied, so that nothing is rounded.
      const isSameRate = part.rate.drain * replicas * whole.rate.weight <= whole.rate.drain * part.rate.weight
      return isBounded && isSameRate && part.rate.capacity <= whole.rate.capacity
    }),
  )
  t.equal(mostAtOnce(partOfRule(gcraRule(10, 3), 4)), 0, 'what cannot be divided is nobody’s')
  t.equal(mostAtOnce(partOfRule(hourRule(10), 4)), 2)
})

t.test('a share keeps so many counters, and does not forget what was spent of them', async (t) => {
  const time = virtualTime()
  const store = createMemoryStore({ clock: time.clock })
  const share = new LocalShare({ store, clock: time.clock, replicas: () => 1, maxCounters: 2 })
  const of = (id: string) => charge(hourRule(5), { id, onStoreFailure: 'share' })
  const full = { isOver: false, remaining: 5, retryUs: 0, resetUs: 0 }
  share.see([of('a'), of('b')], [full, full])
  const kinds: string[] = []
  for (const [index, id] of ['a', 'b', 'c', 'a', 'a', 'a', 'a', 'a'].entries())
    kinds.push((await share.reserve(`x${index}`, [of(id)], 1000)).kind)
  t.same(kinds, ['granted', 'granted', 'failed', 'granted', 'granted', 'granted', 'granted', 'refused'])
})

t.test('other numbers meanwhile keep what was spent', async (t) => {
  const time = virtualTime()
  const store = createMemoryStore({ clock: time.clock })
  const share = new LocalShare({ store, clock: time.clock, replicas: () => 2 })
  const of = (limit: number, cost: number) => charge(hourRule(limit), { cost, onStoreFailure: 'share' })
  share.see([of(100, 1)], [{ isOver: false, remaining: 100, retryUs: 0, resetUs: 0 }])
  t.equal((await share.reserve('a', [of(100, 40)], 1000)).kind, 'granted')
  t.equal((await share.reserve('b', [of(80, 1)], 1000)).kind, 'refused', '40 of 40 are spent')
  t.equal((await share.reserve('c', [of(200, 60)], 1000)).kind, 'granted')
  t.equal((await share.reserve('d', [of(200, 1)], 1000)).kind, 'refused')
})

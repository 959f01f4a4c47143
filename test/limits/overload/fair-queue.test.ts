import t from 'tap'
import { bands, FairQueue, type Queued } from '#limits/overload/queue/fair-queue.ts'
import fc from '../../fast-check.ts'

interface Item extends Queued {
  readonly name: string
}

let made = 0
const item = (tenant: string, more: Partial<Item> = {}): Item => ({
  name: `${tenant}${++made}`,
  tenant,
  band: 1,
  cost: 1,
  weight: 1,
  ...more,
})
const premium = bands.indexOf('premium')
const standard = bands.indexOf('standard')
const batch = bands.indexOf('batch')

function taken(queue: FairQueue<Item>, count = Number.POSITIVE_INFINITY): Item[] {
  const all: Item[] = []
  for (let next = queue.next(); next !== undefined; next = queue.next()) {
    all.push(next)
    if (all.length >= count) break
  }
  return all
}
const tenants = (items: readonly Item[]) => items.map(({ tenant }) => tenant).join('')

const aShare = fc.record({
  weight: fc.double({ min: 0.1, max: 10, noNaN: true }),
  costs: fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 150, maxLength: 150 }),
})

t.test('two tenants with calls waiting get service by their weights, but for one call of each', async (t) => {
  fc.assert(
    fc.property(aShare, aShare, fc.array(fc.boolean(), { minLength: 100, maxLength: 100 }), (a, b, order) => {
      const queue = new FairQueue<Item>(16)
      const shares = { a, b }
      const left = { a: [...a.costs], b: [...b.costs] }
      const add = (tenant: 'a' | 'b') => {
        const cost = left[tenant].shift()
        if (cost !== undefined) queue.add(item(tenant, { cost, weight: shares[tenant].weight }))
      }
      // Both have calls waiting all the time; how they arrive changes nothing.
      for (let i = 0; i < 2; i++) for (const tenant of ['a', 'b'] as const) add(tenant)
      const given = { a: 0, b: 0 }
      const bound = 50 / a.weight + 50 / b.weight
      for (const isFirst of order) {
        const next = queue.next()
        if (next === undefined) return false
        given[next.tenant as 'a' | 'b'] += next.cost / next.weight
        if (Math.abs(given.a - given.b) > bound + 1e-6) return false
        for (const tenant of isFirst ? (['a', 'b'] as const) : (['b', 'a'] as const)) {
          while (queue.waitingOf({ tenant, band: 1 }) < 2 && left[tenant].length > 0) add(tenant)
        }
      }
      return true
    }),
    { numRuns: 200 },
  )
  t.pass()
})

t.test('a tenant that comes late waits for no more than one call of each other', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 200 }),
      fc.nat(100),
      (burst, done) => {
        const queue = new FairQueue<Item>(16)
        for (const tenant of burst) queue.add(item(tenant))
        taken(queue, done + 1)
        queue.add(item('late'))
        const before = taken(queue).findIndex(({ tenant }) => tenant === 'late')
        return before <= 3
      },
    ),
  )
  t.pass()
})

t.test('who was away has nothing saved up', async (t) => {
  const queue = new FairQueue<Item>(16)
  for (let i = 0; i < 50; i++) queue.pass(item('busy'))
  for (let i = 0; i < 6; i++) queue.add(item('busy'))
  for (let i = 0; i < 6; i++) queue.add(item('away'))
  const order = tenants(taken(queue, 6))
  t.equal([...order.matchAll(/away/g)].length, 3, order)
})

t.test('calls of one tenant keep their order', async (t) => {
  const queue = new FairQueue<Item>(16)
  const items = Array.from({ length: 5 }, () => item('a'))
  for (const each of items) queue.add(each)
  t.same(taken(queue), items)
})

t.test('what a call took more than was thought is taken into account', async (t) => {
  const queue = new FairQueue<Item>(16)
  const first = item('a')
  queue.pass(first)
  for (let i = 0; i < 4; i++) queue.add(item('a'))
  for (let i = 0; i < 4; i++) queue.add(item('b'))
  queue.correct(first, 3)
  t.equal(tenants(taken(queue, 4)), 'bbbb')
})

t.test('what a call took more counts by the weight of its tenant', async (t) => {
  const queue = new FairQueue<Item>(16)
  const heavy = { cost: 4, weight: 4 }
  const first = item('a', heavy)
  queue.pass(first)
  for (let i = 0; i < 4; i++) queue.add(item('a', heavy))
  for (let i = 0; i < 4; i++) queue.add(item('b'))
  queue.correct(first, 4)
  t.equal(tenants(taken(queue, 4)), 'bbab')
})

t.test('a higher band goes first, and a lower one has its turn now and then', async (t) => {
  const queue = new FairQueue<Item>(4)
  for (let i = 0; i < 20; i++) {
    queue.add(item('p', { band: premium }))
    queue.add(item('s', { band: standard }))
    queue.add(item('b', { band: batch }))
  }
  const order = tenants(taken(queue, 24))
  t.match(order, /^pppp/)
  t.ok(order.split('p').length - 1 > 12, order)
  // No wait is longer than four turns of others, and one of each band that is due as well.
  for (const band of ['s', 'b'])
    t.ok(
      order.split(band).every((between) => between.length <= 6),
      order,
    )
})

t.test('whoever makes room has less of a right to it', async (t) => {
  const rows: readonly {
    readonly rule: string
    readonly waiting: readonly (readonly [string, number])[]
    readonly comes: readonly [string, number]
    readonly yields: string | undefined
  }[] = [
    { rule: 'a lower band', waiting: [['a', batch]], comes: ['b', standard], yields: 'a' },
    {
      rule: 'the lowest band first',
      waiting: [
        ['a', standard],
        ['b', batch],
      ],
      comes: ['c', premium],
      yields: 'b',
    },
    { rule: 'never a higher one', waiting: [['a', premium]], comes: ['b', batch], yields: undefined },
    {
      rule: 'in the same band who has most',
      waiting: [
        ['a', standard],
        ['b', standard],
        ['b', standard],
      ],
      comes: ['c', standard],
      yields: 'b',
    },
    {
      rule: 'but only who has more than the newcomer would',
      waiting: [
        ['a', standard],
        ['b', standard],
      ],
      comes: ['b', standard],
      yields: undefined,
    },
  ]
  for (const { rule, waiting, comes, yields } of rows) {
    const queue = new FairQueue<Item>(16)
    for (const [tenant, band] of waiting) queue.add(item(tenant, { band }))
    t.equal(queue.yieldTo({ tenant: comes[0], band: comes[1] })?.tenant, yields, rule)
    t.equal(queue.length, waiting.length - (yields === undefined ? 0 : 1), rule)
  }
})

t.test('every call that is added comes out once, one way or another', async (t) => {
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom('add', 'add', 'add', 'next', 'remove', 'yield'),
      tenant: fc.constantFrom('a', 'b', 'c'),
      band: fc.nat(2),
      at: fc.nat(50),
    }),
    { maxLength: 120 },
  )
  fc.assert(
    fc.property(steps, (all) => {
      const queue = new FairQueue<Item>(3)
      const inside: Item[] = []
      const out = (call: Item | undefined) => {
        if (call === undefined) return true
        const at = inside.indexOf(call)
        inside.splice(at, 1)
        return at !== -1
      }
      for (const { kind, tenant, band, at } of all) {
        const some = inside[at % Math.max(1, inside.length)]
        if (kind === 'add') {
          const call = item(tenant, { band, cost: 1 + (at % 7) })
          inside.push(call)
          queue.add(call)
        } else if (kind === 'next' && !out(queue.next())) return false
        else if (kind === 'yield' && !out(queue.yieldTo({ tenant, band }))) return false
        else if (kind === 'remove' && some !== undefined && !(queue.remove(some) && out(some))) return false
        const counted = bands.reduce((sum, _, each) => sum + queue.waitingIn(each), 0)
        if (queue.length !== inside.length || counted !== inside.length) return false
      }
      return queue.drain().every(out) && inside.length === 0 && queue.next() === undefined
    }),
  )
  t.pass()
})

t.test('tenants without calls are forgotten once there are thousands of them', async (t) => {
  const queue = new FairQueue<Item>(16)
  const heavy = item('heavy', { cost: 100_000 })
  queue.pass(heavy)
  for (let i = 0; i < 20_000; i++) queue.pass(item(`t${i}`))
  queue.add(item('heavy'))
  queue.add(item('new'))
  t.equal(tenants(taken(queue, 1)), 'new', 'one that owes is not')
})

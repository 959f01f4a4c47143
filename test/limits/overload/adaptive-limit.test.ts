import t from 'tap'
import { AdaptiveLimit, type LimitSettings } from '#limits/overload/adaptive-limit.ts'
import fc from '../../fast-check.ts'
import { simulate, type World } from './simulated-server.ts'

const settings: LimitSettings = { floor: 4, initial: 16, ceiling: 64, queueTargetMs: 50 }
const second = 1e6

t.test('each rule of the limit', async (t) => {
  const rows: readonly {
    readonly rule: string
    readonly queueMs: number
    readonly serviceMs?: number
    readonly most: number
    readonly calls: number
  }[] = [
    {
      rule: 'too long a wait: what leaves a wait of the target',
      queueMs: 150,
      serviceMs: 50,
      most: 16,
      calls: 8,
    },
    { rule: 'of the calls that ran, not of the limit', queueMs: 150, serviceMs: 50, most: 12, calls: 6 },
    { rule: 'to half at most', queueMs: 5000, serviceMs: 50, most: 16, calls: 8 },
    { rule: 'never below the floor', queueMs: 5000, serviceMs: 50, most: 4, calls: 4 },
    { rule: 'without the service it counts as none', queueMs: 80, most: 16, calls: 10 },
    {
      rule: 'no wait, and the limit was reached: by its root',
      queueMs: 0,
      serviceMs: 5,
      most: 16,
      calls: 20,
    },
    { rule: 'near the target by less', queueMs: 25, serviceMs: 5, most: 16, calls: 18 },
    { rule: 'the limit was not reached: as it was', queueMs: 0, serviceMs: 5, most: 15, calls: 16 },
    { rule: 'nothing ran: as it was', queueMs: 5000, serviceMs: 5, most: 0, calls: 16 },
  ]
  for (const { rule, queueMs, serviceMs, most, calls } of rows) {
    const limit = new AdaptiveLimit(settings)
    limit.learn({ completed: 99, queueMs, serviceMs }, most, second)
    t.equal(limit.calls, calls, rule)
  }
})

t.test('it never goes beyond the ceiling', async (t) => {
  const limit = new AdaptiveLimit(settings)
  for (let i = 1; i <= 100; i++)
    limit.learn({ completed: 99, queueMs: 0, serviceMs: 1 }, limit.calls, i * second)
  t.equal(limit.calls, 64)
})

t.test('it is judged by as many calls as may run at once', async (t) => {
  const limit = new AdaptiveLimit(settings)
  const few = { completed: 6, serviceMs: 50 }
  limit.learn({ ...few, queueMs: 450 }, 16, second)
  limit.learn({ ...few, queueMs: 0 }, 16, 2 * second)
  t.equal(limit.calls, 16)
  limit.learn({ ...few, queueMs: 0 }, 16, 3 * second)
  t.equal(limit.calls, 8, 'by their mean, 150 ms')
})

t.test('what ends too early to tell of the new limit teaches nothing', async (t) => {
  const limit = new AdaptiveLimit(settings)
  limit.learn({ completed: 99, queueMs: 900, serviceMs: 1100 }, 16, second)
  t.equal(limit.calls, 9)
  limit.learn({ completed: 99, queueMs: 900, serviceMs: 1100 }, 9, 2 * second)
  limit.learn({ completed: 99, queueMs: 900, serviceMs: 1100 }, 9, 3 * second)
  t.equal(limit.calls, 9, 'calls of before are still among them')
  limit.learn({ completed: 99, queueMs: 900, serviceMs: 1100 }, 9, 4 * second)
  t.equal(limit.calls, 5)
})

t.test('what was too much is approached in small steps', async (t) => {
  const limit = new AdaptiveLimit({ ...settings, initial: 36 })
  limit.learn({ completed: 99, queueMs: 100, serviceMs: 100 }, 36, second)
  const course = [2, 3, 4, 5].map((at) => {
    limit.learn({ completed: 99, queueMs: 0, serviceMs: 1 }, limit.calls, at * second)
    return limit.calls
  })
  t.same(course, [28, 30, 34, 39])
})

t.test('while nothing is measured it goes back to what it began with, from both sides', async (t) => {
  for (const [queueMs, turns] of [
    [0, 30],
    [5000, 30],
  ] as const) {
    const limit = new AdaptiveLimit(settings)
    for (let i = 1; i <= turns; i++)
      limit.learn({ completed: 99, queueMs, serviceMs: 1 }, limit.calls, i * 10 * second)
    t.not(limit.calls, 16)
    for (let i = 0; i < 30; i++) limit.forget()
    t.equal(limit.calls, 16)
  }
})

const world: fc.Arbitrary<World> = fc.record({
  servers: fc.integer({ min: 1, max: 12 }),
  serviceMs: fc.constantFrom(20, 50, 200, 1000, 4000),
  queueTargetMs: fc.constantFrom(5, 50, 200),
  load: fc.constantFrom(0.5, 1.2, 2, 5),
  floor: fc.constant(1),
  initial: fc.integer({ min: 1, max: 64 }),
  ceiling: fc.constant(1024),
  periodMs: fc.constantFrom(250, 500, 1000),
  periods: fc.constant(0),
  seed: fc.nat(),
})
/** Long enough for a few hundred calls, one after the other. */
const lasting = (each: World): World => ({ ...each, periods: 1000 + (200 * each.serviceMs) / each.periodMs })

t.test('behind any servers the limit comes near to what they can do, and leaves no long queue', async (t) => {
  fc.assert(
    fc.property(world, (each) => {
      const { limits, throughput, queueMs } = simulate(lasting(each))
      const { load, queueTargetMs, serviceMs, servers, floor, ceiling } = each
      const isBounded = limits.every((limit) => limit >= floor && limit <= ceiling)
      // With fewer servers one call more or less is a larger part of the queue.
      const allowedMs = 2 * queueTargetMs + (1.5 * serviceMs) / servers
      return isBounded && throughput >= 0.85 * Math.min(1, load) && queueMs <= allowedMs
    }),
    { numRuns: 40, seed: 9 },
  )
  t.pass()
})

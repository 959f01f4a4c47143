import t from 'tap'
import type { After } from '#base/timers.ts'
import { Renewals } from '../../agent/limits/renewals.ts'
import { manualClock } from '../decision/an-exchange.ts'
import { aDemand, aMeter, aPolicy, aStage, chat, end } from './a-quota.ts'

/** Timers that go off when a test has time pass, by the clock of what they are for. */
function handTimers() {
  const waiting: { ms: number; work: () => void }[] = []
  const after: After = (ms, work) => {
    const timer = { ms, work }
    waiting.push(timer)
    return () => void waiting.splice(waiting.indexOf(timer), 1)
  }
  return {
    after,
    waiting,
    pass: (clock: ReturnType<typeof manualClock>, ms: number) => {
      clock.advanceMs(ms)
      for (const timer of waiting.splice(0)) {
        timer.ms -= ms
        if (timer.ms <= 0) timer.work()
        else waiting.push(timer)
      }
    },
  }
}

t.test(
  'a call that runs longer than a hold lives keeps its place, and is charged all that it took',
  async (t) => {
    const timers = handTimers()
    const limits = [
      { unit: 'concurrency', max: 1 },
      { unit: 'responseBytes', limit: 1000, period: { unit: 'year' } },
      { unit: 'requests', limit: 10, period: { unit: 'year' } },
    ]
    const world = aStage([aPolicy({ limits })], { holdMs: 60_000, after: timers.after })
    const meter = aMeter({})
    const { x } = world.ask({ call: chat, demand: aDemand({}, false), meter })
    for (let i = 0; i < 30; i++) {
      timers.pass(world.clock, 20_000)
      t.match(world.ask({ call: chat }).verdict, { kind: 'deny', reason: 'concurrency_limited' })
    }
    meter.set({ responseBytes: 900 })
    end(world.stage, x)
    const states = world.store.peek(chargesOf())
    t.match(states, [{ remaining: 1 }, { remaining: 100 }, { remaining: 9 }])
  },
)

t.test('what nobody renews has its place no longer than a hold lives', async (t) => {
  const world = aStage([aPolicy({ limits: [{ unit: 'concurrency', max: 1 }] })], {
    holdMs: 60_000,
    // As if the process had been killed: its timers go off no more.
    after: () => () => {},
  })
  t.equal(world.ask().verdict.kind, 'allow')
  world.clock.advanceMs(59_999)
  t.match(world.ask().verdict, { kind: 'deny', reason: 'concurrency_limited' })
  world.clock.advanceMs(1)
  t.equal(world.ask().verdict.kind, 'allow')
})

/** What the only call of a world is charged on. */
function chargesOf() {
  const partition = 'tenant/acme'
  const year = { spanAt: () => ({ startMs: 0, endMs: 8.64e15 }) }
  const rest = { cost: 0, isEnforced: false, debtCap: 0, onStoreFailure: 'deny', isLeased: false } as const
  const keyOf = (name: string) => ({ partition, id: `q/${name}|tenant=4:acme` })
  return [
    { ...rest, key: keyOf('concurrency'), rule: { kind: 'concurrency', limit: 1 } },
    { ...rest, key: keyOf('response-bytes-year'), rule: { kind: 'calendar', limit: 1000, calendar: year } },
    { ...rest, key: keyOf('requests-year'), rule: { kind: 'calendar', limit: 10, calendar: year } },
  ] as const
}

t.test('a stream that was refused more is not let go on because it was renewed', async (t) => {
  const timers = handTimers()
  const limits = [{ unit: 'outputTokens', limit: 100, period: { unit: 'year' } }]
  const policy = aPolicy({ limits, reserve: { slice: 100 } })
  const world = aStage([policy], { holdMs: 60_000, after: timers.after })
  const meter = aMeter({ outputTokens: 100 })
  const { x } = world.ask({ call: chat, demand: aDemand({}, false), meter })
  t.equal(x.hold?.progress(meter.metered()), 'stop')
  timers.pass(world.clock, 20_000)
  t.equal(x.hold?.progress(meter.metered()), 'stop')
  end(world.stage, x)
})

t.test('what began at the same time is renewed in turns, what ended not at all', async (t) => {
  const timers = handTimers()
  const clock = manualClock()
  const renewals = new Renewals({ everyMs: 1000, clock, after: timers.after })
  const renewed: number[] = []
  const all = Array.from({ length: 200 }, (_, index) => ({
    renewAtUs: 0,
    renew: () => void renewed.push(index),
  }))
  for (const each of all) renewals.add(each)
  t.equal(timers.waiting.length, 1, 'one timer for all')
  for (const each of all.slice(100)) renewals.delete(each)
  timers.pass(clock, 999)
  t.equal(renewed.length, 0)
  timers.pass(clock, 1)
  t.equal(renewed.length, 16)
  for (let i = 0; i < 6; i++) timers.pass(clock, 20)
  t.same(
    renewed,
    all.slice(0, 100).map((_, index) => index),
  )
  for (const each of all) renewals.delete(each)
  timers.pass(clock, 1000)
  t.equal(timers.waiting.length, 0, 'nothing runs')
  renewals.add(all[0] as (typeof all)[number])
  t.equal(timers.waiting.length, 1)
})

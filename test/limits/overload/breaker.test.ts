import t from 'tap'
import { Breaker, type BreakerSettings, type BreakerState } from '#limits/overload/breaker.ts'

const settings: BreakerSettings = {
  failures: 20,
  errorPercent: 50,
  minCalls: 50,
  windowSeconds: 10,
  openSeconds: 5,
  maxOpenSeconds: 20,
}
const second = 1e6
const ms = 1000

function aBreaker(more: Partial<BreakerSettings> = {}) {
  const states: BreakerState[] = []
  const breaker = new Breaker({ ...settings, ...more }, (state) => states.push(state))
  const fail = (times: number, nowUs: number) => {
    for (let i = 0; i < times; i++) breaker.learn('pass', true, nowUs)
  }
  return { breaker, states, fail }
}

t.test('the default opens where chance alone would once in a million', async (t) => {
  t.equal(Math.ceil(Math.log(1e-6) / Math.log(0.5)), settings.failures)
})

t.test('it opens at the last of so many failures in a row', async (t) => {
  const { breaker, fail } = aBreaker()
  fail(19, 0)
  t.equal(breaker.passage(0), 'pass')
  breaker.learn('pass', false, 0)
  fail(19, 0)
  t.equal(breaker.passage(0), 'pass', 'a good answer ends the row')
  fail(1, 0)
  t.equal(breaker.passage(1), 'refuse')
  t.equal(breaker.retryAfterSeconds(1), 5)
})

t.test('it opens by the share of failures, once there are enough calls within the window', async (t) => {
  const rows = [
    { every: 2, stepMs: 10, opens: true },
    { every: 3, stepMs: 10, opens: false },
    // 50 calls take longer than the window.
    { every: 2, stepMs: 400, opens: false },
  ]
  for (const { every, stepMs, opens } of rows) {
    const { breaker, states } = aBreaker()
    for (let i = 0; i < 200; i++) breaker.learn('pass', i % every === 0, i * stepMs * ms)
    t.equal(states.length > 0, opens, `every ${every}th fails, one call in ${stepMs} ms`)
  }
})

t.test('one call tries at a time, and its answer decides', async (t) => {
  const { breaker, states, fail } = aBreaker()
  fail(20, 0)
  t.equal(breaker.passage(5 * second - 1), 'refuse')
  t.equal(breaker.passage(5 * second), 'probe')
  t.equal(breaker.passage(5 * second), 'refuse', 'while it runs')
  breaker.learn('probe', false, 6 * second)
  t.equal(breaker.passage(6 * second), 'pass')
  t.same(states, ['open', 'half_open', 'closed'])
  fail(19, 6 * second)
  t.equal(breaker.passage(6 * second), 'pass', 'nothing is remembered of before')
})

t.test('each try that fails doubles the time, up to the longest', async (t) => {
  const { breaker, fail } = aBreaker()
  fail(20, 0)
  let atUs = 0
  for (const seconds of [5, 10, 20, 20]) {
    t.equal(breaker.retryAfterSeconds(atUs), seconds)
    atUs += seconds * second
    t.equal(breaker.passage(atUs - 1), 'refuse')
    t.equal(breaker.passage(atUs), 'probe')
    breaker.learn('probe', true, atUs)
  }
  atUs += 20 * second
  breaker.passage(atUs)
  breaker.learn('probe', false, atUs)
  fail(20, atUs)
  t.equal(breaker.retryAfterSeconds(atUs), 5, 'well again, it begins anew')
})

t.test('a try that was never answered lets another one try', async (t) => {
  const { breaker, fail } = aBreaker()
  fail(20, 0)
  t.equal(breaker.passage(5 * second), 'probe')
  breaker.untold('probe')
  t.equal(breaker.passage(5 * second), 'probe')
})

t.test('what was let through before it opened changes nothing any more', async (t) => {
  const { breaker, fail, states } = aBreaker()
  fail(20, 0)
  fail(100, 1)
  breaker.learn('pass', false, 1)
  t.equal(breaker.passage(1), 'refuse')
  breaker.passage(5 * second)
  fail(100, 5 * second)
  breaker.learn('probe', false, 5 * second)
  t.same(states, ['open', 'half_open', 'closed'])
})

import t from 'tap'
import { thresholdFor, UsageHistory, type UsageSettings } from '#limits/overload/usage/usage-history.ts'
import { UsageWatch } from '#limits/overload/usage/usage-watch.ts'
import { Random } from '../../harness/random.ts'

const settings: UsageSettings = {
  intervalSeconds: 60,
  warmUpIntervals: 120,
  falseAlarmIntervals: 100_000,
  atLeast: 60,
}
const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const midnight = Date.UTC(2026, 0, 5)

/** Numbers of a normal distribution, by Box and Muller. */
function normal(seed: number): () => number {
  const random = new Random(seed)
  const uniform = () => (1 + random.below(2 ** 32)) / 2 ** 32
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

/** Days of use between nine and ten, of about so much a minute. */
function taught(days: number, perMinute = 1000, spread = 0.5, more: Partial<UsageSettings> = {}) {
  const history = new UsageHistory({ ...settings, ...more }, midnight)
  const noise = normal(1)
  for (let each = 0; each < days; each++)
    for (let i = 0; i < 60; i++)
      history.take(perMinute * Math.exp(spread * noise()), midnight + each * day + 9 * hour + i * minute)
  return { history, nextMs: midnight + days * day + 9 * hour }
}

t.test('the mean time between false alarms grows with the threshold as it should', async (t) => {
  // Of Siegmund's formula: (e^2b - 2b - 1) / 2 with b = h + 1.166.
  for (const intervals of [100, 10_000, 100_000, 1e9]) {
    const b = thresholdFor(intervals) + 1.166
    t.ok(Math.abs((Math.exp(2 * b) - 2 * b - 1) / 2 / intervals - 1) < 1e-6, String(intervals))
  }
})

t.test('usual usage is taken for unusual no more often than is stated', async (t) => {
  const falseAlarmIntervals = 1000
  let [alarms, intervals] = [0, 0]
  for (let seed = 1; seed <= 40; seed++) {
    const history = new UsageHistory({ ...settings, falseAlarmIntervals, warmUpIntervals: 60 }, midnight)
    const noise = normal(seed)
    let wasUnusual = false
    for (let i = 0; i < 40 * 60; i++) {
      const nowMs = midnight + Math.floor(i / 60) * day + (i % 60) * minute
      const isUnusual = history.take(2000 * Math.exp(0.6 * noise()), nowMs) !== 'usual'
      if (isUnusual && !wasUnusual) alarms++
      wasUnusual = isUnusual
      if (i >= 60) intervals++
    }
  }
  t.ok(alarms <= intervals / falseAlarmIntervals, `${alarms} in ${intervals}`)
  t.ok(intervals > 90_000)
})

t.test(
  'much more than ever before is found at once, and less much more in the second interval',
  async (t) => {
    const rows = [
      { times: 100, found: 1 },
      { times: 10, found: 2 },
      { times: 2, found: undefined },
    ]
    for (const { times, found } of rows) {
      const { history, nextMs } = taught(5)
      let at: number | undefined
      for (let i = 1; i <= 5 && at === undefined; i++)
        if (history.take(1000 * times, nextMs + i * minute) !== 'usual') at = i
      t.equal(at, found, `${times} times the usual`)
    }
  },
)

t.test('nothing is said before the hour is known', async (t) => {
  const { history, nextMs } = taught(1)
  t.equal(history.take(1e9, nextMs), 'usual', 'one day is 60 intervals')
  const other = taught(5)
  t.equal(other.history.take(1e9, other.nextMs + 3 * hour), 'usual', 'another hour of the day')
})

t.test('less than what is worth a look is never unusual', async (t) => {
  const { history, nextMs } = taught(5, 1, 0.1, { atLeast: 60 })
  t.equal(history.take(60, nextMs), 'usual')
  t.not(history.take(1, nextMs), 'usual')
})

t.test('what is unusual is beyond once it is more than usual at most, until the next interval', async (t) => {
  const { history, nextMs } = taught(5)
  history.take(1e6, nextMs)
  t.equal(history.take(1, nextMs), 'beyond')
  t.equal(history.secondsLeft(nextMs + 20_000), 40)
  t.equal(history.take(1000, nextMs + minute), 'unusual')
  t.equal(history.take(1e5, nextMs + minute), 'beyond')
})

t.test('it is over after some usual intervals, or after silence', async (t) => {
  const usual = taught(5)
  usual.history.take(1e6, usual.nextMs)
  let over = 0
  for (let i = 1; i <= 30; i++)
    if (usual.history.take(1000, usual.nextMs + i * minute) === 'usual' && over === 0) over = i
  t.ok(over > 1 && over <= 15, String(over))
  const silent = taught(5)
  silent.history.take(1e6, silent.nextMs)
  t.equal(silent.history.isUnusual(silent.nextMs + minute), true)
  t.equal(silent.history.isUnusual(silent.nextMs + 20 * minute), false)
})

t.test('a flood teaches little', async (t) => {
  const { history, nextMs } = taught(5)
  for (let i = 0; i < 60; i++) history.take(1e6, nextMs + i * minute)
  t.not(history.take(1e6, nextMs + day), 'usual')
})

t.test('a clock that is set back changes nothing', async (t) => {
  const { history, nextMs } = taught(5)
  history.take(1e6, nextMs)
  t.equal(history.take(1, nextMs - day), 'beyond')
})

t.test('each change of a tenant is told once, and thousands of tenants are bounded', async (t) => {
  const told: string[] = []
  const watch = new UsageWatch({ ...settings, warmUpIntervals: 10 }, (tenant, isUnusual) =>
    told.push(`${tenant} ${isUnusual}`),
  )
  for (let i = 0; i < 20; i++) watch.take('acme', 100, midnight + i * minute)
  for (let i = 0; i < 5; i++) watch.take('acme', 1e6, midnight + 20 * minute)
  t.same(told, ['acme true'])
  t.same(watch.unusual(midnight + 20 * minute), ['acme'])
  t.same(watch.unusual(midnight + 40 * minute), [])
  t.same(told, ['acme true', 'acme false'])
  for (let i = 0; i < 20; i++) watch.take('acme', 100, midnight + i * minute + day)
  watch.take('acme', 1e6, midnight + 20 * minute + day)
  for (let i = 0; i < 3000; i++) watch.take(`t${i}`, 1, midnight + 21 * minute + day)
  t.equal(told.at(-1), 'acme false', 'whose history is forgotten is not unusual')
})

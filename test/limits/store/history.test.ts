import t from 'tap'
import type { CounterRule } from '../../../agent/limits/store/store.ts'
import { type Admitted, admittedUnits, breachOf } from './history.ts'
import { evenSpans, gcraRule } from './sequences.ts'

const at = (atUs: number, units: number, endUs = atUs + 1): Admitted => ({ atUs, units, endUs })

const tenASecond = gcraRule(10, 1000, 3)
const sliding = { kind: 'sliding' as const, limit: 3, sliceUs: 100, sliceCount: 10 }
const calendar = { kind: 'calendar' as const, limit: 3, calendar: evenSpans(1000) }
const concurrency = { kind: 'concurrency' as const, limit: 3 }

const kept: readonly (readonly [string, CounterRule, readonly Admitted[]])[] = [
  ['the burst, and one each 100 ms', tenASecond, [at(0, 3), at(100_000, 1), at(200_000, 1), at(500_000, 3)]],
  ['the limit, and again after the window', sliding, [at(0, 3), at(1001, 3)]],
  ['the limit on both sides of midnight', calendar, [at(136_999, 3), at(137_000, 3)]],
  ['one after the other', concurrency, [at(0, 2, 10), at(5, 1, 20), at(10, 2, 11), at(20, 1, 21)]],
]
for (const [name, rule, history] of kept)
  t.test(`${name} is within ${rule.kind}`, async (t) => {
    t.equal(breachOf(rule, history), undefined)
  })

const broken: readonly (readonly [string, CounterRule, readonly Admitted[]])[] = [
  ['one more than the burst', tenASecond, [at(0, 3), at(0, 1)]],
  ['one a microsecond early', tenASecond, [at(0, 3), at(99_999, 1)]],
  ['one too many long after the first', tenASecond, [at(0, 1), at(900_000, 3), at(950_000, 1)]],
  ['one more at the end of the window', sliding, [at(0, 3), at(1000, 1)]],
  ['windows that begin later', sliding, [at(0, 1), at(1500, 2), at(2400, 2)]],
  ['one more before midnight', calendar, [at(137_000, 2), at(1_136_999, 2)]],
  ['one more while the others run', concurrency, [at(0, 2, 10), at(5, 1, 20), at(9, 1, 11)]],
]
for (const [name, rule, history] of broken)
  t.test(`${name} is more than ${rule.kind} allows`, async (t) => {
    t.type(breachOf(rule, history), 'string')
  })

t.test('what was settled fills what was granted from the first on', async (t) => {
  const granted = [at(0, 4), at(5, 3), at(9, 2)].map(({ atUs, units }) => ({ atUs, units }))
  t.same(
    admittedUnits(granted, 6).map(({ units }) => units),
    [4, 2, 0],
  )
})

import t from 'tap'
import { excessOf, ledgersOf, takenOf } from '../../bench/quota-chaos/check.ts'
import type { Line } from '../../bench/quota-chaos/journal.ts'
import type { ChaosLimit } from '../../bench/quota-chaos/limits.ts'

const base = { isLeased: false, onStoreFailure: 'deny' } as const
const rate: ChaosLimit = { ...base, name: 'rate', promise: { kind: 'rate', perSecond: 100, burst: 10 } }
const window: ChaosLimit = { ...base, name: 'window', promise: { kind: 'window', limit: 10, windowMs: 100 } }
const span: ChaosLimit = { ...base, name: 'span', promise: { kind: 'span', limit: 10, spanMs: 1000 } }
const spanStartMs = 1_800_000_000_000

/** One call of 1 unit that was granted at a time, give or take nothing. */
function at(ms: number, units = 1, lastsMs = 0) {
  return { beforeUs: ms * 1000, afterUs: (ms + lastsMs) * 1000, wallMs: spanStartMs + ms, units }
}
const many = (count: number, ms: number) => Array.from({ length: count }, () => at(ms))

t.test('a promise that is kept to the unit is no breach', async (t) => {
  const cases: readonly (readonly [ChaosLimit, ReturnType<typeof at>[]])[] = [
    [rate, [...many(10, 0), ...many(1, 10), ...many(9, 100)]],
    [window, [...many(10, 0), ...many(10, 101)]],
    [span, [...many(10, 500), ...many(10, 1500)]],
    [rate, []],
  ]
  for (const [limit, taken] of cases) t.equal(excessOf(limit, taken), undefined, limit.name)
})

t.test('one unit too many is found, wherever it is', async (t) => {
  const cases: readonly (readonly [ChaosLimit, ReturnType<typeof at>[], units: number])[] = [
    [rate, many(11, 50), 1],
    [rate, [...many(10, 0), ...many(2, 10)], 1],
    [rate, [at(-900), ...many(10, 0), ...many(11, 100), at(500)], 1],
    [window, [...many(5, 0), ...many(6, 100)], 1],
    [window, [...many(3, 0), ...many(10, 300), at(350), at(399, 3)], 4],
    [span, [...many(6, 100), ...many(5, 900)], 1],
    [span, [at(100), at(3500, 12)], 2],
  ]
  for (const [limit, taken, units] of cases) {
    t.match(excessOf(limit, taken), { limit: limit.name, units }, `${limit.name} ${JSON.stringify(taken)}`)
    t.match(excessOf(limit, taken.toReversed()), { units }, 'in any order')
  }
})

t.test('a call that may have been granted outside a span of time is not held against it', async (t) => {
  t.equal(excessOf(window, [...many(10, 0), at(50, 1, 200)]), undefined)
  t.equal(excessOf(rate, [...many(10, 0), at(0, 1, 10)]), undefined)
  t.equal(excessOf(span, [...many(10, 500), at(998, 1, 1)]), undefined, 'clocks differ by that much')
})

t.test('what was settled counts, and what was reserved where nobody settled', async (t) => {
  const admitted = (id: string): Line => ({
    kind: 'admitted',
    id,
    beforeUs: 1,
    afterUs: 2,
    wallMs: 3,
    costs: { rate: 5 },
    ledger: 'l',
  })
  const lines: Line[] = [
    admitted('a'),
    admitted('b'),
    { kind: 'settled', id: 'a', units: { rate: 2, ledger: 7 } },
  ]
  t.same(
    takenOf([lines])
      .get('rate')
      ?.map(({ units }) => units),
    [2, 5],
  )
  t.same(ledgersOf([lines]), [], 'of a process that was killed nothing is known to the unit')
  t.same(ledgersOf([[...lines, { kind: 'ended' }]]), [{ ledger: 'l', units: 7 }])
})

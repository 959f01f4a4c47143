import t from 'tap'
import {
  excessAround,
  excessOf,
  ledgersOf,
  type Taken,
  takenOf,
  times,
  withoutSilence,
} from '../../bench/quota-chaos/check.ts'
import type { Line } from '../../bench/quota-chaos/journal.ts'
import type { ChaosLimit } from '../../bench/quota-chaos/limits.ts'

const base = { isLeased: false, onStoreFailure: 'deny' } as const
const rate: ChaosLimit = { ...base, name: 'rate', promise: { kind: 'rate', perSecond: 100, burst: 10 } }
const window: ChaosLimit = { ...base, name: 'window', promise: { kind: 'window', limit: 10, windowMs: 100 } }
const span: ChaosLimit = { ...base, name: 'span', promise: { kind: 'span', limit: 10, spanMs: 1000 } }
const slots: ChaosLimit = { ...base, name: 'slots', promise: { kind: 'slots', limit: 3 } }
const spanStartMs = 1_800_000_000_000

/** One call of 1 unit that was granted at a time, give or take nothing. */
function at(ms: number, units = 1, lastsMs = 0): Taken {
  const afterUs = (ms + lastsMs) * 1000
  return { beforeUs: ms * 1000, afterUs, wallMs: spanStartMs + ms, units, endUs: afterUs }
}
/** One call that ran for a while. */
const ran = (fromMs: number, toMs: number, units = 1) => ({ ...at(fromMs, units), endUs: toMs * 1000 })
const many = (count: number, ms: number) => Array.from({ length: count }, () => at(ms))

t.test('a promise that is kept to the unit is no breach', async (t) => {
  const cases: readonly (readonly [ChaosLimit, ReturnType<typeof at>[]])[] = [
    [rate, [...many(10, 0), ...many(1, 10), ...many(9, 100)]],
    [window, [...many(10, 0), ...many(10, 101)]],
    [span, [...many(10, 500), ...many(10, 1500)]],
    [rate, []],
    [slots, [ran(0, 10, 2), ran(5, 20), ran(10, 15, 2), at(12, 9)]],
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
    [slots, [ran(0, 10, 2), ran(5, 20), ran(9, 15, 2)], 2],
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

t.test(
  'around a loss that one replica alone could notice, twice as much is a breach nowhere but over it',
  async (t) => {
    const gaps = [{ fromUs: 1000_000, toUs: 2000_000 }]
    const kept = [...many(10, 950), ...many(10, 1050)]
    t.equal(excessAround(window, kept, gaps), undefined)
    t.match(excessAround(window, [...kept, at(1020)], gaps), { units: 1 }, 'three times as much')
    t.match(excessAround(window, many(11, 500), gaps), { units: 1 }, 'before')
    t.match(excessAround(window, many(11, 2500), gaps), { units: 1 }, 'behind')
    t.match(excessAround(window, kept, []), { units: 10 })
    t.equal(excessOf(times(rate, 2, 3), many(23, 5)), undefined)
    t.match(excessOf(times(rate, 2, 3), many(24, 5)), { units: 1 })
  },
)

t.test('what runs at a replica that gives no sign is not held against the others', async (t) => {
  const taken = [ran(0, 5000, 3), ran(2000, 2500), ran(10, 20, 1)]
  t.match(excessOf(slots, taken), { units: 1 })
  const clipped = withoutSilence(taken, [{ fromUs: 1000_000, toUs: 4000_000 }])
  t.same(
    clipped.map(({ endUs }) => endUs / 1000),
    [1000, 1000, 20],
  )
  t.match(excessOf(slots, clipped), { units: 1 }, 'before it they count')
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
    { kind: 'settled', id: 'a', atUs: 9, units: { rate: 2, ledger: 7 } },
  ]
  t.same(
    takenOf([lines])
      .get('rate')
      ?.map(({ units }) => units),
    [2, 5],
  )
  t.same(
    takenOf([lines])
      .get('rate')
      ?.map(({ endUs }) => endUs),
    [9, 2],
    'what nobody settled ran for no time that is certain',
  )
  t.same(ledgersOf([lines]), [], 'of a process that was killed nothing is known to the unit')
  t.same(ledgersOf([[...lines, { kind: 'ended' }]]), [{ ledger: 'l', units: 7 }])
})

import t from 'tap'
import { largestBelow } from '#base/fraction.ts'
import fc from '../fast-check.ts'

t.test(
  'no fraction of a denominator as small lies between the one found and the one asked for',
  async (t) => {
    const numbers = fc.record({
      numerator: fc.nat(400),
      denominator: fc.integer({ min: 1, max: 400 }),
      max: fc.integer({ min: 1, max: 60 }),
    })
    fc.assert(
      fc.property(numbers, ({ numerator, denominator, max }) => {
        const found = largestBelow(BigInt(numerator), BigInt(denominator), BigInt(max))
        const [p, q] = [Number(found.numerator), Number(found.denominator)]
        const isBelow = p * denominator <= numerator * q && q >= 1 && q <= max
        // The best of each denominator, tried one by one.
        const others = Array.from({ length: max }, (_, index) => index + 1)
        return (
          isBelow && others.every((other) => Math.floor((numerator * other) / denominator) * q <= p * other)
        )
      }),
      { numRuns: 2000 },
    )
    t.pass()
  },
)

t.test('a fraction that fits is found as it is, in lowest terms', async (t) => {
  t.same(largestBelow(6n, 4n, 10n), { numerator: 3n, denominator: 2n })
  t.same(largestBelow(0n, 7n, 10n), { numerator: 0n, denominator: 1n })
  t.same(largestBelow(7n, 1n, 1n), { numerator: 7n, denominator: 1n })
  t.same(largestBelow(1n, 7n, 6n), { numerator: 0n, denominator: 1n })
})

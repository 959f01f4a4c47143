import t from 'tap'
import { type Bucket, charge, type Rate, rateOf, refund, smallRateOf, waitUs } from '#base/gcra.ts'
import fc from '../fast-check.ts'

const newBucket = (): Bucket => ({ level: 0, atUs: 0 })

/** Asks, and charges what conforms. */
function admit(bucket: Bucket, rate: Rate, nowUs: number): boolean {
  if (waitUs(bucket, rate, nowUs) > 0) return false
  charge(bucket, rate, nowUs)
  return true
}

/** Whether in every span between two admitted requests at most `burst + span * rate / window` were admitted. */
function isWithinBound(
  admittedUs: readonly number[],
  rate: bigint,
  windowUs: bigint,
  burst: bigint,
): boolean {
  return admittedUs.every((from, first) =>
    admittedUs.slice(first).every((to, more) => {
      const span = BigInt(to - from)
      return BigInt(more + 1) * windowUs <= burst * windowUs + span * rate
    }),
  )
}

const burst = fc.integer({ min: 1, max: 8 })
/** Slow ones, of which the gaps below exhaust many, and any. */
const rates = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ rate: fc.integer({ min: 1, max: 9 }), windowMs: fc.constant(1000), burst }),
  },
  fc.record({ rate: fc.integer({ min: 1, max: 1e8 }), windowMs: fc.constantFrom(1, 7, 60_000), burst }),
)
const gaps = fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 400_000 })), {
  minLength: 1,
  maxLength: 100,
})
/** An agent that has run for years counts as exactly as a new one. */
const startsUs = fc.constantFrom(0, 1, 1e9, 1e14 + 1)

t.test('in no span of time do more than burst plus rate conform', async () => {
  fc.assert(
    fc.property(rates, gaps, startsUs, (options, steps, startUs) => {
      const rate = smallRateOf(options)
      const bucket = newBucket()
      const admitted: number[] = []
      let nowUs = startUs
      for (const step of steps) {
        nowUs += step
        if (admit(bucket, rate, nowUs)) admitted.push(nowUs)
      }
      const windowUs = BigInt(options.windowMs) * 1000n
      return isWithinBound(admitted, BigInt(options.rate), windowUs, BigInt(options.burst))
    }),
    { numRuns: 300 },
  )
})

t.test('what is given back lets nobody through who would not have come through anyway', async () => {
  const steps = fc.array(fc.record({ gap: fc.integer({ min: 0, max: 400_000 }), isRevoked: fc.boolean() }), {
    minLength: 1,
    maxLength: 60,
  })
  fc.assert(
    fc.property(rates, steps, fc.integer({ min: 0, max: 400_000 }), (options, asked, delayUs) => {
      const rate = smallRateOf(options)
      const bucket = newBucket()
      const admitted: number[] = []
      const toRefund: number[] = []
      let nowUs = 0
      for (const { gap, isRevoked } of asked) {
        nowUs += gap
        while (toRefund[0] !== undefined && toRefund[0] + delayUs <= nowUs)
          refund(bucket, rate, toRefund.shift() as number, nowUs)
        if (!admit(bucket, rate, nowUs)) continue
        if (isRevoked) toRefund.push(nowUs)
        else admitted.push(nowUs)
      }
      const windowUs = BigInt(options.windowMs) * 1000n
      return isWithinBound(admitted, BigInt(options.rate), windowUs, BigInt(options.burst))
    }),
    { numRuns: 300 },
  )
})

t.test('who waits as long as told conforms, and not a tick sooner', async () => {
  fc.assert(
    fc.property(rates, gaps, (options, steps) => {
      const rate = smallRateOf(options)
      const bucket = newBucket()
      let nowUs = 0
      return steps.every((step) => {
        nowUs += step
        const wait = waitUs(bucket, rate, nowUs)
        if (wait === 0) charge(bucket, rate, nowUs)
        return (
          wait === 0 ||
          (waitUs(bucket, rate, nowUs + wait) === 0 && waitUs(bucket, rate, nowUs + wait - 1) > 0)
        )
      })
    }),
  )
})

t.test('what is given back at once leaves no trace', async (t) => {
  const rate = smallRateOf({ rate: 3, windowMs: 1000, burst: 2 })
  const bucket = newBucket()
  charge(bucket, rate, 5)
  const before = { ...bucket }
  charge(bucket, rate, 5)
  refund(bucket, rate, 5, 5)
  t.same(bucket, before)
})

const days400Ms = 400 * 86_400_000
/** As wide as limits may be written, with every order of magnitude alike. */
const wide = fc
  .record({
    rate: magnitudes(2 ** 52),
    windowMs: fc.oneof(magnitudes(days400Ms), fc.constantFrom(1000, 60_000, 86_400_000, days400Ms)),
    burst: magnitudes(2 ** 52),
  })
  .map(({ rate, windowMs, burst }) => ({ rate, windowMs, burst: Math.min(burst, 50 * rate) }))

function magnitudes(max: number): fc.Arbitrary<number> {
  return fc
    .tuple(fc.double({ min: 0, max: Math.log2(max), noNaN: true }), fc.nat(3))
    .map(([bits, more]) => Math.min(max, Math.floor(2 ** bits) + more))
}

t.test('a rate is never more than was asked for, and less by a millionth at most', async (t) => {
  fc.assert(
    fc.property(wide, (options) => {
      const found = rateOf(options)
      if (found === undefined) return false
      const { tickUs, weight, drain, capacity } = found
      const numbers = [tickUs, weight, drain, capacity, capacity + weight]
      const isWhole = numbers.every((number) => Number.isSafeInteger(number) && number > 0)
      const windowUs = BigInt(options.windowMs) * 1000n
      // Units a window, times the window, the weight and the tick.
      const asked = BigInt(options.rate) * BigInt(weight) * BigInt(tickUs)
      const counted = BigInt(drain) * windowUs
      const isExact = counted === asked
      return (
        isWhole &&
        capacity === options.burst * weight &&
        capacity <= 2 ** 52 &&
        (tickUs === 1 || BigInt(tickUs) * 1_000_000n <= windowUs) &&
        counted <= asked &&
        (asked - counted) * 1_000_000n <= asked &&
        (isExact || capacity <= 2 ** 50 || options.burst > 2 ** 50)
      )
    }),
    { numRuns: 3000 },
  )
  t.pass()
})

t.test('a rate is exact wherever its numbers fit', async (t) => {
  fc.assert(
    fc.property(wide, (options) => {
      const windowUs = options.windowMs * 1000
      const weight = windowUs / Number(gcd(BigInt(options.rate), BigInt(windowUs)))
      fc.pre(options.burst * weight <= 2 ** 52)
      const found = rateOf(options)
      return found?.tickUs === 1 && found.weight === weight
    }),
  )
  t.pass()
})

for (const [name, options] of [
  ['a burst that takes millions of windows to drain', { rate: 1, windowMs: days400Ms, burst: 1e9 }],
  ['a burst beyond 2^52', { rate: 1, windowMs: 1, burst: 2 ** 52 + 1 }],
] as const)
  t.test(`${name} cannot be counted`, async (t) => {
    t.equal(rateOf(options), undefined)
    t.throws(() => smallRateOf(options), RangeError)
  })

for (const options of [
  { rate: 2 ** 40, windowMs: 30 * 86_400_000, burst: 2 ** 40 },
  { rate: 999_999_937, windowMs: 30 * 86_400_000, burst: 999_999_937 },
  { rate: 999_983, windowMs: days400Ms, burst: 49_999_150 },
])
  t.test(`${options.rate} in ${options.windowMs} ms never goes over in ticks of any length`, async (t) => {
    const rate = rateOf(options) as Rate
    const share = fc.integer({ min: 0, max: 1000 })
    const asks = fc.array(fc.record({ share, gapUs: fc.oneof(fc.nat(5), fc.nat(40_000_000)) }), {
      minLength: 1,
      maxLength: 40,
      size: 'max',
    })
    fc.assert(
      fc.property(asks, (asked) => {
        const bucket = newBucket()
        const admitted: { atUs: number; units: number }[] = []
        let atUs = 1e15
        for (const { share, gapUs } of asked) {
          atUs += gapUs
          const units = 1 + Math.floor((options.burst * share) / 1000 / 50)
          if (waitUs(bucket, rate, atUs, units) > 0) continue
          charge(bucket, rate, atUs, units)
          admitted.push({ atUs, units })
        }
        const windowUs = BigInt(options.windowMs) * 1000n
        return admitted.every((from, first) => {
          let sum = 0n
          return admitted.slice(first).every((to) => {
            sum += BigInt(to.units)
            const span = BigInt(to.atUs - from.atUs)
            return sum * windowUs <= BigInt(options.burst) * windowUs + BigInt(options.rate) * span
          })
        })
      }),
    )
    t.pass()
  })

t.test('ticks go on from where they began, so that nothing drains sooner or is lost', async (t) => {
  const rate: Rate = { tickUs: 10, weight: 1, drain: 1, capacity: 5 }
  const bucket = newBucket()
  charge(bucket, rate, 7, 5)
  t.same([waitUs(bucket, rate, 7), waitUs(bucket, rate, 16), waitUs(bucket, rate, 17)], [10, 1, 0])
  charge(bucket, rate, 22)
  t.same([bucket.level, bucket.atUs], [5, 17])
  t.same([waitUs(bucket, rate, 22), waitUs(bucket, rate, 27)], [5, 0])
})

t.test('a clock that goes back drains nothing twice', async (t) => {
  const rate = smallRateOf({ rate: 10, windowMs: 1000, burst: 5 })
  const bucket = newBucket()
  charge(bucket, rate, 1_000_000, 5)
  charge(bucket, rate, 500_000, 0)
  t.equal(waitUs(bucket, rate, 1_000_000), 100_000)
  t.equal(waitUs(bucket, rate, 500_000), 600_000)
})

t.test('ages of the world pass in one step', async (t) => {
  const rate = rateOf({ rate: 2 ** 52, windowMs: 1, burst: 2 ** 52 }) as Rate
  const bucket = newBucket()
  charge(bucket, rate, 0, 2 ** 52)
  t.equal(waitUs(bucket, rate, Number.MAX_SAFE_INTEGER), 0)
  t.equal(waitUs(bucket, rate, 0, Number.MAX_SAFE_INTEGER), Number.POSITIVE_INFINITY)
})

function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? a : gcd(b, a % b)
}

t.test('the largest limits stay whole numbers', async (t) => {
  for (const windowMs of [1, 60_000, 60_001, 86_400_000]) {
    for (const rate of [1, 99_999_989, 1e8]) {
      const { capacity, weight, drain } = smallRateOf({ rate, windowMs, burst: 1e8 })
      for (const figure of [capacity + weight, weight, drain])
        t.ok(Number.isSafeInteger(figure), `${rate}/${windowMs}`)
    }
  }
})

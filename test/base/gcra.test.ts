import fc from 'fast-check'
import t from 'tap'
import { type Bucket, charge, type Rate, refund, smallRateOf, waitUs } from '#base/gcra.ts'

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

t.test('the largest limits stay whole numbers', async (t) => {
  for (const windowMs of [1, 60_000, 60_001, 86_400_000]) {
    for (const rate of [1, 99_999_989, 1e8]) {
      const { capacity, weight, drain } = smallRateOf({ rate, windowMs, burst: 1e8 })
      for (const figure of [capacity + weight, weight, drain])
        t.ok(Number.isSafeInteger(figure), `${rate}/${windowMs}`)
    }
  }
})

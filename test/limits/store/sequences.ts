import { rateOf } from '../../../agent/base/gcra.ts'
import type { Calendar, Charge, CounterRule } from '../../../agent/limits/store/store.ts'
import fc from '../../fast-check.ts'

/** One counter of a world of a few; its key is made when the world is. */
export interface Limit {
  readonly rule: CounterRule
  readonly isEnforced: boolean
  readonly debtCap: number
}

/** Holds and counters are named by any number, taken modulo how many there are; odd ones are of holds that are open. */
export type Step =
  | { readonly do: 'reserve'; readonly costs: readonly number[]; readonly ttlMs: number }
  | { readonly do: 'topUp'; readonly hold: number; readonly costs: readonly number[]; readonly ttlMs: number }
  | { readonly do: 'settle'; readonly hold: number; readonly actuals: readonly Actual[] }
  | { readonly do: 'adjust'; readonly limit: number; readonly change: { readonly back: number } | 'reset' }
  | { readonly do: 'wait'; readonly us: number }

/** What a call took of what it reserved: a part of it, or so much more. */
export type Actual = { readonly percent: number } | { readonly over: number }

export interface Sequence {
  readonly limits: readonly Limit[]
  readonly steps: readonly Step[]
}

/** Spans of one length, that begin at no round time. */
export function evenSpans(lengthMs: number): Calendar {
  return {
    spanAt: (atMs) => {
      const startMs = Math.floor((atMs - 137) / lengthMs) * lengthMs + 137
      return { startMs, endMs: startMs + lengthMs }
    },
  }
}

export function gcraRule(rate: number, windowMs: number, burst: number): CounterRule {
  const found = rateOf({ rate, windowMs, burst })
  if (found === undefined) throw new Error(`${rate} per ${windowMs} ms cannot be counted`)
  return { kind: 'gcra', rate: found, burst }
}

const small = (min: number, max: number) => fc.integer({ min, max })

const rules: fc.Arbitrary<CounterRule> = fc.oneof(
  fc
    .tuple(small(1, 9), fc.constantFrom(1000, 1000, 7000, 259_200_000), small(2, 12))
    .map(([rate, windowMs, burst]) => gcraRule(rate, windowMs, burst)),
  fc.record({
    kind: fc.constant('sliding' as const),
    limit: fc.oneof({ weight: 9, arbitrary: small(3, 12) }, fc.constant(0)),
    sliceUs: fc.constantFrom(1000, 100_000, 333_333),
    sliceCount: small(1, 6),
  }),
  fc.record({
    kind: fc.constant('calendar' as const),
    limit: fc.oneof({ weight: 9, arbitrary: small(3, 15) }, fc.constant(0)),
    calendar: fc.constantFrom(evenSpans(900), evenSpans(7000)),
  }),
  fc.record({ kind: fc.constant('concurrency' as const), limit: small(1, 4) }),
)

const maxLimits = 4
const costs = fc.array(fc.oneof({ weight: 6, arbitrary: small(0, 3) }, small(0, 12)), {
  minLength: maxLimits,
  maxLength: maxLimits,
})
const ttlsMs = [1, 300, 1000, 20_000, 20_000, 60_000]
/** Single microseconds, whole slices, and long enough for everything to come back. */
const waits = fc.oneof(
  small(0, 3),
  { weight: 3, arbitrary: small(0, 400_000) },
  fc.constantFrom(1000, 100_000, 300_000, 333_333, 1_000_000),
  small(0, 12_000_000),
)

interface SequenceOptions {
  /** Whether calls may take more than they reserved, and people may change what was used. */
  readonly hasDebts: boolean
  /** Whether some calls are over as soon as they are counted. */
  readonly hasFinal: boolean
  readonly maxSteps?: number
}

/** A few limits, and what comes their way. */
export function sequences({ hasDebts, hasFinal, maxSteps = 40 }: SequenceOptions): fc.Arbitrary<Sequence> {
  const percent = fc.record({ percent: fc.constantFrom(0, 0, 30, 70, 100) })
  const actual: fc.Arbitrary<Actual> = hasDebts
    ? fc.oneof({ weight: 2, arbitrary: percent }, fc.record({ over: small(1, 9) }))
    : percent
  const actuals = fc.array(actual, { minLength: maxLimits, maxLength: maxLimits })
  const change = fc.oneof(fc.record({ back: small(-3, 6) }), fc.constant('reset' as const))
  const ttlMs = fc.constantFrom(...ttlsMs)
  const callMs = hasFinal ? fc.oneof({ weight: 4, arbitrary: ttlMs }, fc.constant(0)) : ttlMs
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('reserve' as const), costs, ttlMs: callMs }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('topUp' as const), hold: fc.nat(30), costs, ttlMs }),
    },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('settle' as const), hold: fc.nat(30), actuals }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('wait' as const), us: waits }) },
    {
      weight: hasDebts ? 1 : 0,
      arbitrary: fc.record({ do: fc.constant('adjust' as const), limit: fc.nat(maxLimits), change }),
    },
  )
  const limit = fc.record({
    rule: rules,
    isEnforced: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
    debtCap: fc.constantFrom(0, 2, Number.POSITIVE_INFINITY),
  })
  return fc.record({
    limits: fc.array(limit, { minLength: 1, maxLength: maxLimits }),
    steps: fc.array(step, { minLength: 1, maxLength: maxSteps, size: 'max' }),
  })
}

/** The charges of one call: one a limit; what costs 0 is charged 0. */
export function chargesOf(
  limits: readonly Limit[],
  partition: string,
  costOf: readonly number[],
): readonly Charge[] {
  return limits.map(({ rule, isEnforced, debtCap }, index) => ({
    key: { partition, id: `limit-${index}`, family: `limit-${index}` },
    rule,
    cost: costOf[index] as number,
    isEnforced,
    debtCap,
    onStoreFailure: 'deny',
    isLeased: false,
  }))
}

import { rateOf } from '#base/gcra.ts'
import type { QuotaLimit, QuotaPolicy } from '#resources/resources.ts'
import { type Calendar, type CounterRule, maxUnits } from '../store/store.ts'
import { handedInReader } from './handed-in.ts'
import type { HandedIn, Subject, Terms } from './rules.ts'

type Override = QuotaPolicy['overrides'][number]

/** Into how many slices a sliding window is cut: so much of it may count too long. */
const slices = 60
/** How many different numbers that were handed in are remembered for one limit. */
const maxKnown = 256

/** How one limit counts, for each tenant that it is other for. */
export function termsMaker(
  limit: QuotaLimit,
  options: {
    readonly name: string
    readonly overrides: readonly Override[]
    readonly calendar: Calendar | undefined
    readonly leaseMs: number
  },
): (subject: Subject, handedIn: HandedIn) => Terms | 'off' | 'invalid' {
  const { name, overrides, calendar, leaseMs } = options
  const variantOf = (override: Override | undefined) => variant(limit, override, calendar, leaseMs)
  const usual = variantOf(undefined)
  const others = new Map(overrides.map((override) => [override.tenant, variantOf(override)]))
  const read = limit.handedIn && handedInReader(name, limit.handedIn)
  return (subject, handedIn) => {
    const chosen = (subject.tenant === undefined ? undefined : others.get(subject.tenant)) ?? usual
    if (chosen === 'off' || read === undefined) return chosen === 'off' ? chosen : chosen.declared
    const number = read(handedIn)
    if (number === undefined) return chosen.declared
    const terms = number === 'invalid' ? undefined : chosen.of(number)
    // What never refuses is counted as it was declared.
    return terms ?? (chosen.declared.mode === 'enforce' ? 'invalid' : chosen.declared)
  }
}

interface Variant {
  readonly declared: Terms
  /** With another number in the place of `rate`, `limit` or `max`; `undefined` where that cannot be one. */
  of(number: number): Terms | undefined
}

function variant(
  limit: QuotaLimit,
  override: Override | undefined,
  calendar: Calendar | undefined,
  leaseMs: number,
): Variant | 'off' {
  if (override?.mode === 'off') return 'off'
  const mode = override?.mode ?? limit.mode
  const isLeased = leaseMs > 0 && limit.kind !== 'concurrency' && limit.store === 'leased'
  const build = (number: number): Terms | undefined => {
    const found = numbers(limit, {
      number,
      burst: override?.burst,
      calendar,
      leaseMs: isLeased ? leaseMs : 0,
    })
    return found && { ...found, mode, isLeased: found.isLeased && isLeased }
  }
  const declared = build(declaredNumber(limit, override))
  if (declared === undefined) throw new Error('a limit that cannot be counted, and that nobody refused')
  const known = new Map<number, Terms | undefined>()
  return {
    declared,
    of: (number) => {
      let terms = known.get(number)
      if (terms === undefined && !known.has(number)) {
        terms = build(number)
        if (known.size >= maxKnown) known.clear()
        known.set(number, terms)
      }
      return terms
    },
  }
}

function declaredNumber(limit: QuotaLimit, override: Override | undefined): number {
  switch (limit.kind) {
    case 'gcra':
      return override?.rate ?? limit.rate
    case 'sliding':
    case 'calendar':
      return override?.amount ?? limit.limit
    case 'concurrency':
      return override?.max ?? limit.max
    default:
      return limit satisfies never
  }
}

interface Numbers {
  readonly number: number
  readonly burst: number | undefined
  readonly calendar: Calendar | undefined
  /** 0 where nothing is leased. */
  readonly leaseMs: number
}

function numbers(
  limit: QuotaLimit,
  { number, burst: otherBurst, calendar, leaseMs }: Numbers,
): Omit<Terms, 'mode'> | undefined {
  switch (limit.kind) {
    case 'gcra': {
      const burst = otherBurst ?? limit.burst ?? number
      if (number < 1 || number > maxUnits) return undefined
      const counted = gcra({ rate: number, windowMs: limit.window, burst }, leaseMs)
      return counted && { ...counted, quota: number, windowSeconds: Math.ceil(limit.window / 1000) }
    }
    case 'sliding': {
      const sliceUs = Math.ceil((limit.window * 1000) / slices)
      const sliceCount = Math.ceil((limit.window * 1000) / sliceUs) + Math.ceil((leaseMs * 1000) / sliceUs)
      const counter: CounterRule = {
        kind: 'sliding',
        limit: Math.min(number, maxUnits),
        sliceUs,
        sliceCount,
      }
      return { counter, isLeased: true, quota: number, windowSeconds: Math.ceil(limit.window / 1000) }
    }
    case 'calendar': {
      if (calendar === undefined) throw new Error('a period without a calendar')
      const counter: CounterRule = { kind: 'calendar', limit: Math.min(number, maxUnits), calendar }
      return { counter, isLeased: true, quota: number, windowSeconds: periodSeconds[limit.period.unit] }
    }
    case 'concurrency':
      if (number < 1 || number > 1e6) return undefined
      return {
        counter: { kind: 'concurrency', limit: number },
        isLeased: false,
        quota: number,
        windowSeconds: undefined,
      }
    default:
      return limit satisfies never
  }
}

/** As clients are told: days are not all of one length, months less so. */
const periodSeconds = {
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 7 * 86_400,
  month: 30 * 86_400,
  year: 365 * 86_400,
} as const

/**
 * What was drawn may be used as late as a lease lives: without what drains meanwhile a window could see that much more than
 * it should. Where nothing would be left, each call asks the store.
 */
function gcra(
  numbers: { readonly rate: number; readonly windowMs: number; readonly burst: number },
  leaseMs: number,
): Pick<Terms, 'counter' | 'isLeased'> | undefined {
  const { burst } = numbers
  const rate = rateOf(numbers)
  if (rate === undefined) return undefined
  const drained = leaseMs === 0 ? 0 : rate.drain * Math.ceil((leaseMs * 1000) / rate.tickUs)
  const left = Math.floor((rate.capacity - drained) / rate.weight)
  if (leaseMs === 0 || left < 1) return { counter: { kind: 'gcra', rate, burst }, isLeased: false }
  const leased = { ...rate, capacity: rate.capacity - drained }
  return { counter: { kind: 'gcra', rate: leased, burst: left }, isLeased: true }
}

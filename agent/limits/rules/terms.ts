import type { QuotaLimit, QuotaPolicy } from '#resources/resources.ts'
import { type Advertised, policyText, stateWriter } from '../answer/answer.ts'
import type { Calendar } from '../store/store.ts'
import { buildCounter } from './counter.ts'
import { handedInReader } from './handed-in.ts'
import type { HandedIn, Subject, Terms } from './rules.ts'

type Override = QuotaPolicy['overrides'][number]

/** How many different numbers that were handed in are remembered for one limit. */
const maxKnown = 256

export interface TermsOptions {
  readonly name: string
  readonly limit: QuotaLimit
  readonly overrides: readonly Override[]
  readonly calendar: Calendar | undefined
  readonly leaseMs: number
}

/** How one limit counts, for each tenant that it is other for. */
export function termsMaker(
  options: TermsOptions,
): (subject: Subject, handedIn: HandedIn) => Terms | 'off' | 'invalid' {
  const { name, limit, overrides } = options
  const usual = variant(options, undefined)
  const others = new Map(overrides.map((override) => [override.tenant, variant(options, override)]))
  const read = limit.handedIn && handedInReader(name, limit.handedIn)
  return (subject, handedIn) => {
    const chosen = (subject.tenant === undefined ? undefined : others.get(subject.tenant)) ?? usual
    if (chosen === 'off') return chosen
    const number = read?.(handedIn)
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

function variant(options: TermsOptions, override: Override | undefined): Variant | 'off' {
  if (override?.mode === 'off') return 'off'
  const declared = buildTerms(options, override, declaredNumber(options.limit, override))
  if (declared === undefined) throw new Error('a limit that cannot be counted, and that nobody refused')
  const known = new Map<number, Terms | undefined>()
  return {
    declared,
    of: (number) => {
      let terms = known.get(number)
      if (terms === undefined && !known.has(number)) {
        terms = buildTerms(options, override, number)
        if (known.size >= maxKnown) known.clear()
        known.set(number, terms)
      }
      return terms
    },
  }
}

function buildTerms(
  { name, limit, calendar, leaseMs }: TermsOptions,
  override: Override | undefined,
  number: number,
): Terms | undefined {
  const isLeased = limit.kind !== 'concurrency' && limit.store === 'leased'
  const burst = override?.burst ?? (limit.kind === 'gcra' ? limit.burst : undefined)
  const built = buildCounter(limit, { number, burst, calendar, leaseMs: isLeased ? leaseMs : 0 })
  if (built === undefined) return undefined
  const windowSeconds = windowSecondsOf(limit)
  const advertised: Advertised = {
    name,
    // What an expression counts has no name.
    unit: limit.kind !== 'concurrency' && limit.cost !== undefined ? 'units' : limit.unit,
    quota: number,
    ...(windowSeconds !== undefined && { windowSeconds }),
  }
  return {
    ...built,
    mode: override?.mode === undefined || override.mode === 'off' ? limit.mode : override.mode,
    quota: number,
    advertised,
    policyText: policyText(advertised),
    stateText: stateWriter(advertised),
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

/** As clients are told: days are not all of one length, months less so. */
const periodSeconds = {
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 7 * 86_400,
  month: 30 * 86_400,
  year: 365 * 86_400,
} as const

function windowSecondsOf(limit: QuotaLimit): number | undefined {
  if (limit.kind === 'concurrency') return undefined
  return limit.kind === 'calendar' ? periodSeconds[limit.period.unit] : Math.ceil(limit.window / 1000)
}

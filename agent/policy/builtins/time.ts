import { integerOf, type RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import {
  civilOf,
  epochSecondsOf,
  formatTime,
  layoutOf,
  type Moment,
  nsIn,
  parseTime,
  rfc3339,
  weekdays,
} from './go-time.ts'
import { bigInteger, integer, OperandError, text } from './operands.ts'
import { utc, zoneNamed } from './zone.ts'

const [minNs, maxNs] = [-(2n ** 63n), 2n ** 63n - 1n]

/** `ns`, `[ns]`, `[ns, zone]` or `[ns, zone, layout]`, as every `time.*` function takes it. */
function momentOf(value: RegoValue | undefined): Moment & { readonly layout: string } {
  const [ns, zone, layout] = Array.isArray(value) ? value : [value]
  const exact = bigInteger(ns)
  if (exact < minNs || exact > maxNs) throw new OperandError('the timestamp is too big')
  return {
    ns: exact,
    zone: zone === undefined ? utc : zoneNamed(text(zone)),
    layout: layout === undefined ? '' : text(layout),
  }
}

function nanoseconds(ns: bigint): RegoValue {
  if (ns < minNs || ns > maxNs) throw new OperandError('outside of what nanoseconds can say')
  return integerOf(ns)
}

const unitNs: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1_000n],
  ['µs', 1_000n],
  ['μs', 1_000n],
  ['ms', 1_000_000n],
  ['s', 1_000_000_000n],
  ['m', 60_000_000_000n],
  ['h', 3_600_000_000_000n],
  ['d', 86_400_000_000_000n],
  ['w', 604_800_000_000_000n],
  ['y', 31_536_000_000_000_000n],
])

/** Go's `time.ParseDuration`, and days, weeks and years of 365 days. */
function parseDuration(value: string): RegoValue {
  if (/^[+-]?0$/.test(value)) return 0
  if (!/^[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|[smhdwy]))+$/.test(value))
    throw new OperandError('not a duration')
  let total = 0n
  for (const [, whole, fraction = '', unit = ''] of value.matchAll(
    /(\d*)\.?(\d*)(ns|us|µs|μs|ms|[smhdwy])/g,
  )) {
    const size = unitNs.get(unit) as bigint
    total += BigInt(whole || '0') * size + (BigInt(fraction || '0') * size) / 10n ** BigInt(fraction.length)
  }
  return nanoseconds(value.startsWith('-') ? -total : total)
}

/** Years, months, days, hours, minutes and seconds between two moments, told where the first one is. */
function difference(first: Moment, second: Moment): RegoValue {
  let [from, to]: [Moment, Moment] = [first, { ns: second.ns, zone: first.zone }]
  if (from.ns > to.ns) [from, to] = [to, from]
  const [a, b] = [civilOf(from), civilOf(to)]
  let [year, month, day] = [b.year - a.year, b.month - a.month, b.day - a.day]
  let [hour, minute, second_] = [b.hour - a.hour, b.minute - a.minute, b.second - a.second]
  if (second_ < 0) {
    second_ += 60
    minute--
  }
  if (minute < 0) {
    minute += 60
    hour--
  }
  if (hour < 0) {
    hour += 24
    day--
  }
  if (day < 0) {
    day += daysOf(a.year, a.month)
    month--
  }
  if (month < 0) {
    month += 12
    year--
  }
  return [year, month, day, hour, minute, second_]
}

function daysOf(year: number, month: number): number {
  const firstOfNext = epochSecondsOf({ year, month: month + 1, day: 1, hour: 0, minute: 0, second: 0 })
  const first = epochSecondsOf({ year, month, day: 1, hour: 0, minute: 0, second: 0 })
  return (firstOfNext - first) / 86_400
}

/** `time.*` on the evaluation's own clock. @see https://pkg.go.dev/time for layouts */
export const timeBuiltins: Family = {
  'time.now_ns': ({ nowNs }) => integerOf(nowNs),
  'time.parse_ns': (_, layout, value) => nanoseconds(parseTime(layoutOf(text(layout)), text(value)).ns),
  'time.parse_rfc3339_ns': (_, value) => nanoseconds(parseTime(rfc3339, text(value)).ns),
  'time.parse_duration_ns': (_, value) => parseDuration(text(value)),
  'time.format': (_, value) => {
    const moment = momentOf(value)
    return formatTime(moment, layoutOf(moment.layout === '' ? 'RFC3339Nano' : moment.layout))
  },
  'time.date': (_, value) => {
    const { year, month, day } = civilOf(momentOf(value))
    return [year, month, day]
  },
  'time.clock': (_, value) => {
    const { hour, minute, second } = civilOf(momentOf(value))
    return [hour, minute, second]
  },
  'time.weekday': (_, value) => weekdays[civilOf(momentOf(value)).weekday] as string,
  'time.add_date': (_, value, years, months, days) => {
    const moment = momentOf(value)
    const civil = civilOf(moment)
    const changed = {
      ...civil,
      year: civil.year + integer(years),
      month: civil.month + integer(months),
      day: civil.day + integer(days),
    }
    return nanoseconds(nsIn(moment.zone, changed, civil.nanosecond))
  },
  'time.diff': (_, first, second) => difference(momentOf(first), momentOf(second)),
}

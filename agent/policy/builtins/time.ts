import type { RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { integer, list, OperandError, text } from './operands.ts'

const nsPerMs = 1_000_000n

/** `[ns, zone]` or `ns`, as every `time.*` function takes it. */
function moment(value: RegoValue | undefined): { readonly ms: number; readonly zone: string } {
  const [ns, zone] = typeof value === 'number' ? [value, 'UTC'] : [list(value)[0], list(value)[1] ?? 'UTC']
  if (typeof ns !== 'number' || !Number.isFinite(ns)) throw new OperandError('not a time in nanoseconds')
  return { ms: Math.floor(ns / 1e6), zone: text(zone) === '' ? 'UTC' : text(zone) }
}

function parts(value: RegoValue | undefined): Record<string, string> {
  const { ms, zone } = moment(value)
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    weekday: 'long',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  return Object.fromEntries(format.formatToParts(ms).map(({ type, value: shown }) => [type, shown]))
}

const rfc3339 = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9})\d*)?(Z|[+-]\d{2}:\d{2})$/

function parseRfc3339(value: string): number {
  const match = rfc3339.exec(value)
  if (match === null) throw new OperandError('not RFC 3339')
  const [, year, month, day, hour, minute, second, fraction = '', offset = 'Z'] = match
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${offset}`)
  if (
    Number.isNaN(ms) ||
    new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() !== Number(day)
  ) {
    throw new OperandError('no such day')
  }
  return Number(BigInt(ms) * nsPerMs + BigInt(fraction.padEnd(9, '0') || '0'))
}

const unitNs: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
}

function parseDuration(value: string): number {
  if (value === '0') return 0
  if (!/^[+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(value))
    throw new OperandError('not a duration')
  let total = 0
  for (const [, amount, unit] of value.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    total += Number(amount) * (unitNs[unit as string] as number)
  }
  return Math.round(value.startsWith('-') ? -total : total)
}

/** `time.*` on the evaluation's own clock. */
export const timeBuiltins: Family = {
  'time.now_ns': ({ nowNs }) => Number(nowNs),
  'time.parse_rfc3339_ns': (_, value) => parseRfc3339(text(value)),
  'time.parse_duration_ns': (_, value) => parseDuration(text(value)),
  'time.date': (_, value) => {
    const { year, month, day } = parts(value)
    return [Number(year), Number(month), Number(day)]
  },
  'time.clock': (_, value) => {
    const { hour, minute, second } = parts(value)
    return [Number(hour), Number(minute), Number(second)]
  },
  'time.weekday': (_, value) => parts(value)['weekday'],
  'time.add_date': (_, value, years, months, days) => {
    const { ms } = moment(value)
    const date = new Date(ms)
    date.setUTCFullYear(
      date.getUTCFullYear() + integer(years),
      date.getUTCMonth() + integer(months),
      date.getUTCDate() + integer(days),
    )
    return Number(BigInt(date.getTime()) * nsPerMs)
  },
}

import { OperandError } from './operands.ts'
import { utc, type Zone } from './zone.ts'

/** A moment with the place it is told in. */
export interface Moment {
  readonly ns: bigint
  readonly zone: Zone
}

/** What a calendar and a clock on the wall show. */
interface Civil {
  readonly year: number
  /** 1 to 12. */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly nanosecond: number
  /** 0 is Sunday. */
  readonly weekday: number
  readonly yearDay: number
  readonly offsetSeconds: number
}

const nsPerSecond = 1_000_000_000n
export const months = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July'],
  ...['August', 'September', 'October', 'November', 'December'],
]
export const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

export function civilOf({ ns, zone }: Moment): Civil {
  let seconds = ns / nsPerSecond
  let nanosecond = ns % nsPerSecond
  if (nanosecond < 0n) {
    nanosecond += nsPerSecond
    seconds -= 1n
  }
  const epochSeconds = Number(seconds)
  const offsetSeconds = zone.offsetAt(epochSeconds)
  const date = new Date((epochSeconds + offsetSeconds) * 1000)
  const newYear = new Date(0).setUTCFullYear(date.getUTCFullYear(), 0, 1)
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    nanosecond: Number(nanosecond),
    weekday: date.getUTCDay(),
    yearDay: Math.floor((date.getTime() - newYear) / 86_400_000) + 1,
    offsetSeconds,
  }
}

/** Seconds since the epoch of a date that may overflow its fields, as Go's `time.Date` takes it, told in UTC. */
export function epochSecondsOf(civil: {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
}): number {
  const date = new Date(0)
  date.setUTCFullYear(civil.year, civil.month - 1, civil.day)
  date.setUTCHours(civil.hour, civil.minute, civil.second)
  return date.getTime() / 1000
}

/** The moment at which a wall clock in a zone shows this; where two do, the one Go takes. */
export function nsIn(zone: Zone, civil: Parameters<typeof epochSecondsOf>[0], nanosecond: number): bigint {
  const wall = epochSecondsOf(civil)
  let offset = zone.offsetAt(wall)
  if (offset !== 0) {
    const [before, after] = [zone.offsetAt(wall - offset - 86_400), zone.offsetAt(wall - offset + 86_400)]
    // Guess with the offset at the wall time taken for UTC, and look again where a change lies between.
    const guess = wall - offset
    if (zone.offsetAt(guess) !== offset) {
      offset = zone.offsetAt(wall - before) === before ? before : after
    }
  }
  return BigInt(wall - offset) * nsPerSecond + BigInt(nanosecond)
}

/** The chunks of a layout that stand for something. @see https://pkg.go.dev/time#pkg-constants */
const chunk =
  /January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|0[1-6]|002|_2006|__2|_2|2006|15|[1-5]|PM|pm|[Z-]07(?::00:00|0000|:00|00)?|[.,](?:0+|9+)(?!\d)/g

const named: Readonly<Record<string, string>> = {
  ANSIC: 'Mon Jan _2 15:04:05 2006',
  UnixDate: 'Mon Jan _2 15:04:05 MST 2006',
  RubyDate: 'Mon Jan 02 15:04:05 -0700 2006',
  RFC822: '02 Jan 06 15:04 MST',
  RFC822Z: '02 Jan 06 15:04 -0700',
  RFC850: 'Monday, 02-Jan-06 15:04:05 MST',
  RFC1123: 'Mon, 02 Jan 2006 15:04:05 MST',
  RFC1123Z: 'Mon, 02 Jan 2006 15:04:05 -0700',
  RFC3339: '2006-01-02T15:04:05Z07:00',
  RFC3339Nano: '2006-01-02T15:04:05.999999999Z07:00',
}

export const rfc3339 = '2006-01-02T15:04:05Z07:00'

/** A layout by its name, or as it is. */
export function layoutOf(text: string): string {
  return Object.hasOwn(named, text) ? (named[text] as string) : text
}

const two = (value: number) => String(value).padStart(2, '0')

/** Go's `Time.Format`. */
export function formatTime(moment: Moment, layout: string): string {
  const civil = civilOf(moment)
  const fraction = String(civil.nanosecond).padStart(9, '0')
  const hour12 = civil.hour % 12 === 0 ? 12 : civil.hour % 12
  const year =
    civil.year < 0 ? `-${String(-civil.year).padStart(4, '0')}` : String(civil.year).padStart(4, '0')
  return layout.replace(chunk, (found) => {
    switch (found) {
      case 'January':
        return months[civil.month - 1] as string
      case 'Jan':
        return (months[civil.month - 1] as string).slice(0, 3)
      case 'Monday':
        return weekdays[civil.weekday] as string
      case 'Mon':
        return (weekdays[civil.weekday] as string).slice(0, 3)
      case 'MST':
        return moment.zone.abbreviationAt(Number(moment.ns / nsPerSecond))
      case '2006':
        return year
      case '_2006':
        return `_${year}`
      case '06':
        return two(((civil.year % 100) + 100) % 100)
      case '01':
        return two(civil.month)
      case '1':
        return String(civil.month)
      case '02':
        return two(civil.day)
      case '_2':
        return String(civil.day).padStart(2, ' ')
      case '2':
        return String(civil.day)
      case '002':
        return String(civil.yearDay).padStart(3, '0')
      case '__2':
        return String(civil.yearDay).padStart(3, ' ')
      case '15':
        return two(civil.hour)
      case '03':
        return two(hour12)
      case '3':
        return String(hour12)
      case '04':
        return two(civil.minute)
      case '4':
        return String(civil.minute)
      case '05':
        return two(civil.second)
      case '5':
        return String(civil.second)
      case 'PM':
        return civil.hour >= 12 ? 'PM' : 'AM'
      case 'pm':
        return civil.hour >= 12 ? 'pm' : 'am'
      default:
        return found[0] === '.' || found[0] === ','
          ? shownFraction(found, fraction)
          : shownOffset(found, civil.offsetSeconds)
    }
  })
}

function shownFraction(found: string, nanoseconds: string): string {
  const digits = nanoseconds.slice(0, found.length - 1).padEnd(found.length - 1, '0')
  if (found[1] === '0') return found[0] + digits
  const kept = digits.replace(/0+$/, '')
  return kept === '' ? '' : found[0] + kept
}

function shownOffset(found: string, offsetSeconds: number): string {
  if (found[0] === 'Z' && offsetSeconds === 0) return 'Z'
  const sign = offsetSeconds < 0 ? '-' : '+'
  const all = Math.abs(offsetSeconds)
  const parts = [two(Math.floor(all / 3600)), two(Math.floor(all / 60) % 60), two(all % 60)]
  const count = found.includes('07:00:00') || found.includes('070000') ? 3 : found.length === 3 ? 1 : 2
  return sign + parts.slice(0, count).join(found.includes(':') ? ':' : '')
}

interface NumberChunk {
  readonly field: 'year' | 'month' | 'day' | 'hour' | 'minute' | 'second'
  readonly written: RegExp
  readonly least: number
  readonly most: number
}

const digitsOf = (least: number, most = least) => new RegExp(`^\\d{${least},${most}}`)

/** The chunks that are a number of one field. Whether a month has the day is seen when all is read. */
const numbers: ReadonlyMap<string, NumberChunk> = new Map([
  ['2006', { field: 'year', written: digitsOf(4), least: 0, most: 9999 }],
  ['01', { field: 'month', written: digitsOf(2), least: 1, most: 12 }],
  ['1', { field: 'month', written: digitsOf(1, 2), least: 1, most: 12 }],
  ['02', { field: 'day', written: digitsOf(2), least: 0, most: 99 }],
  ['2', { field: 'day', written: digitsOf(1, 2), least: 0, most: 99 }],
  ['_2', { field: 'day', written: /^ ?\d{1,2}/, least: 0, most: 99 }],
  ['15', { field: 'hour', written: digitsOf(1, 2), least: 0, most: 23 }],
  ['03', { field: 'hour', written: digitsOf(2), least: 0, most: 12 }],
  ['3', { field: 'hour', written: digitsOf(1, 2), least: 0, most: 12 }],
  ['04', { field: 'minute', written: digitsOf(2), least: 0, most: 59 }],
  ['4', { field: 'minute', written: digitsOf(1, 2), least: 0, most: 59 }],
  ['05', { field: 'second', written: digitsOf(2), least: 0, most: 59 }],
  ['5', { field: 'second', written: digitsOf(1, 2), least: 0, most: 59 }],
])

/**
 * Go's `time.Parse`: what the layout does not say is the start of year 0 in UTC.
 *
 * @throws OperandError where the text is not what the layout says.
 */
export function parseTime(layout: string, text: string): Moment {
  const at = { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0 }
  let [nanosecond, yearDay, half]: [number, number, string] = [0, -1, '']
  let offset: number | undefined
  let rest = text
  const bad = (): never => {
    throw new OperandError(`${JSON.stringify(text)} is not ${layout}`)
  }
  const take = (pattern: RegExp): string => {
    const match = pattern.exec(rest)
    if (match === null) return bad()
    rest = rest.slice(match[0].length)
    return match[0]
  }
  const name = (names: readonly string[], length?: number): number => {
    const index = names.findIndex((each) => {
      const wanted = each.slice(0, length)
      return rest.slice(0, wanted.length).toLowerCase() === wanted.toLowerCase()
    })
    if (index === -1) return bad()
    rest = rest.slice(length ?? (names[index] as string).length)
    return index
  }
  const between = (value: number, low: number, high: number): number =>
    value < low || value > high ? bad() : value
  const fraction = () => {
    const digits = take(/^[.,]\d+/).slice(1)
    nanosecond = Number(digits.slice(0, 9).padEnd(9, '0'))
  }
  const pieces = [...layout.matchAll(chunk)]
  let from = 0
  pieces.forEach((piece, index) => {
    rest = skip(rest, layout.slice(from, piece.index), bad)
    from = piece.index + piece[0].length
    const found = piece[0]
    const number = numbers.get(found)
    if (number !== undefined)
      at[number.field] = between(Number(take(number.written)), number.least, number.most)
    switch (found) {
      case '_2006':
        take(/^_/)
        at.year = Number(take(/^\d{4}/))
        break
      case '06': {
        const short = Number(take(/^\d{2}/))
        at.year = short >= 69 ? 1900 + short : 2000 + short
        break
      }
      case 'January':
        at.month = name(months) + 1
        break
      case 'Jan':
        at.month = name(months, 3) + 1
        break
      case 'Monday':
        name(weekdays)
        break
      case 'Mon':
        name(weekdays, 3)
        break
      case '002':
        yearDay = Number(take(/^\d{3}/))
        break
      case '__2':
        yearDay = Number(take(/^[ \d]{2}\d/))
        break
      case '05':
      case '5': {
        const next = pieces[index + 1]
        const isFractionNext = next !== undefined && next.index === from && /^[.,]/.test(next[0])
        // Go reads a fraction after seconds whether the layout has one or not.
        if (!isFractionNext && /^[.,]\d/.test(rest)) fraction()
        break
      }
      case 'PM':
      case 'pm':
        half = take(found === 'PM' ? /^[AP]M/ : /^[ap]m/).toUpperCase()
        break
      case 'MST':
        // An abbreviation says nothing of an offset to Go, unless it is of the place where it runs.
        take(/^(?:UTC|GMT[+-]\d{1,2}|[A-Z]{3,5}|[+-]\d{2})/)
        break
      default:
        if (/^[.,]9/.test(found)) {
          if (/^[.,]\d/.test(rest)) fraction()
        } else if (/^[.,]0/.test(found)) {
          const digits = take(new RegExp(`^[.,]\\d{${found.length - 1}}`)).slice(1)
          nanosecond = Number(digits.slice(0, 9).padEnd(9, '0'))
        } else if (number === undefined) offset = parsedOffset(take(offsetPattern(found)), bad)
    }
  })
  rest = skip(rest, layout.slice(from), bad)
  if (rest !== '') bad()
  if (half === 'PM' && at.hour < 12) at.hour += 12
  if (half === 'AM' && at.hour === 12) at.hour = 0
  const isLeap = (at.year % 4 === 0 && at.year % 100 !== 0) || at.year % 400 === 0
  if (yearDay >= 0) {
    between(yearDay, 1, isLeap ? 366 : 365)
    const date = new Date(epochSecondsOf({ ...at, month: 1, day: yearDay }) * 1000)
    if (at.month > 0 && at.month !== date.getUTCMonth() + 1) bad()
    if (at.day > 0 && at.day !== date.getUTCDate()) bad()
    at.month = date.getUTCMonth() + 1
    at.day = date.getUTCDate()
  }
  if (at.month === 0) at.month = 1
  if (at.day === 0 && !/_2|02|2(?!006)/.test(pieces.map((piece) => piece[0]).join(' '))) at.day = 1
  const days = at.month === 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].includes(at.month) ? 30 : 31
  between(at.day, 1, days)
  return { ns: BigInt(epochSecondsOf(at) - (offset ?? 0)) * nsPerSecond + BigInt(nanosecond), zone: utc }
}

/** What the layout has between its chunks; a run of spaces fits any other. */
function skip(value: string, literal: string, bad: () => never): string {
  let rest = value
  for (let i = 0; i < literal.length; i++) {
    if (literal[i] === ' ') {
      if (rest !== '' && rest[0] !== ' ') return bad()
      while (literal[i + 1] === ' ') i++
      rest = rest.replace(/^ +/, '')
    } else if (rest[0] === literal[i]) rest = rest.slice(1)
    else return bad()
  }
  return rest
}

function offsetPattern(found: string): RegExp {
  const digits = found.includes(':')
    ? found.length > 6
      ? '\\d{2}:\\d{2}:\\d{2}'
      : '\\d{2}:\\d{2}'
    : `\\d{${found.length - 1}}`
  return new RegExp(`^(?:[+-]${digits}${found[0] === 'Z' ? '|Z' : ''})`)
}

function parsedOffset(shown: string, bad: () => never): number {
  if (shown === 'Z') return 0
  const [hours, minutes = 0, seconds = 0] = (shown.slice(1).replaceAll(':', '').match(/\d\d/g) ?? []).map(
    Number,
  )
  if ((hours as number) > 24 || minutes > 60 || seconds > 60) return bad()
  const total = (hours as number) * 3600 + minutes * 60 + seconds
  return shown[0] === '-' ? -total : total
}

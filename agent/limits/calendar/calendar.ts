import type { Calendar } from '../store/store.ts'
import { type Period, periodOf, startOf } from './period.ts'
import { type Zone, zoneOf } from './zone.ts'

/** A period as it is declared. */
export interface CalendarOptions {
  readonly unit: 'minute' | 'hour' | 'day' | 'week' | 'month' | 'year'
  /** IANA name. */
  readonly zone: string
  /** The day that a week (1 is Monday), a month or a year starts on; the last one where the month is shorter. */
  readonly startsOn?: number | undefined
  /** The month that a year starts in. */
  readonly startsIn?: number | undefined
}

export type CalendarAnswer =
  | { readonly ok: true; readonly calendar: Calendar }
  /** `member` of the options is wrong. */
  | {
      readonly ok: false
      readonly member: 'zone' | 'startsOn' | 'startsIn'
      readonly found: string
      readonly expected: string
    }

type Span = ReturnType<Calendar['spanAt']>

const minuteMs = 60_000
const hourMs = 3_600_000

/**
 * Cuts time into the periods of a calendar. A day begins with the first moment that the zone's clocks show its date, and
 * ends where the next begins: it has 23 or 25 hours where they change. Minutes and hours have their length whatever clocks
 * show; where a zone goes to another part of the hour, the hour before ends and a new one begins.
 */
export function calendarOf(options: CalendarOptions): CalendarAnswer {
  const { unit, startsOn = 1, startsIn = 1 } = options
  const wrong = faultOf(options)
  if (wrong !== undefined) return { ok: false, ...wrong }
  const zone = zoneOf(options.zone)
  if (zone === undefined)
    return {
      ok: false,
      member: 'zone',
      found: options.zone,
      expected: 'the name of an IANA time zone, such as Asia/Dubai',
    }
  if (unit === 'minute') return { ok: true, calendar: remembering((atMs) => evenSpan(zone, minuteMs, atMs)) }
  if (unit === 'hour') return { ok: true, calendar: remembering((atMs) => evenSpan(zone, hourMs, atMs)) }
  const period: Period = { unit, startsOn, startsIn }
  return { ok: true, calendar: remembering((atMs) => dateSpan(zone, period, atMs)) }
}

function faultOf({
  unit,
  startsOn = 1,
  startsIn,
}: CalendarOptions): Omit<Extract<CalendarAnswer, { ok: false }>, 'ok'> | undefined {
  const lastDay = { minute: 1, hour: 1, day: 1, week: 7, month: 31, year: 31 }[unit]
  if (!Number.isInteger(startsOn) || startsOn < 1 || startsOn > lastDay) {
    const expected =
      lastDay === 1 ? `nothing: a ${unit} starts at its start` : `1 to ${lastDay} for a ${unit}`
    return { member: 'startsOn', found: String(startsOn), expected }
  }
  if (startsIn === undefined) return undefined
  if (unit !== 'year')
    return { member: 'startsIn', found: String(startsIn), expected: `nothing: only a year starts in a month` }
  const isMonth = Number.isInteger(startsIn) && startsIn >= 1 && startsIn <= 12
  return isMonth ? undefined : { member: 'startsIn', found: String(startsIn), expected: '1 to 12' }
}

function dateSpan(zone: Zone, period: Period, atMs: number): Span {
  let number = periodOf(period, zone.dayAt(atMs))
  let startMs = zone.startOfDay(startOf(period, number))
  for (;;) {
    const endMs = zone.startOfDay(startOf(period, ++number))
    // Clocks that go back soon after midnight show the day before again: it is over all the same.
    if (atMs < endMs) return { startMs, endMs }
    startMs = endMs
  }
}

/** A span of a length that divides the hour. */
function evenSpan(zone: Zone, lengthMs: number, atMs: number): Span {
  const offsetMs = zone.offsetMs(atMs)
  const startMs = Math.floor((atMs + offsetMs) / lengthMs) * lengthMs - offsetMs
  const endMs = startMs + lengthMs
  const isCutAt = (ms: number) => (zone.offsetMs(ms) - offsetMs) % lengthMs !== 0
  return {
    startMs: isCutAt(startMs) ? firstMs(startMs, atMs, (ms) => !isCutAt(ms)) : startMs,
    endMs: isCutAt(endMs - 1) ? firstMs(atMs, endMs - 1, isCutAt) : endMs,
  }
}

/** The first moment after one for which something holds, which it does from there to another. */
function firstMs(after: number, until: number, holds: (ms: number) => boolean): number {
  let [no, yes] = [after, until]
  while (yes - no > 1) {
    const middle = Math.floor((no + yes) / 2)
    if (holds(middle)) yes = middle
    else no = middle
  }
  return yes
}

/** As many as stand beside each other when a store is told of the spans before and after. */
const remembered = 4

/** Spans are worked out once: in a span, the time is only compared. */
function remembering(spanAt: (atMs: number) => Span): Calendar {
  const spans: Span[] = []
  let last: Span = { startMs: 0, endMs: 0 }
  return {
    spanAt: (atMs) => {
      if (atMs >= last.startMs && atMs < last.endMs) return last
      const known = spans.find(({ startMs, endMs }) => atMs >= startMs && atMs < endMs)
      last = known ?? spanAt(atMs)
      if (known === undefined && spans.push(last) > remembered) spans.shift()
      return last
    },
  }
}

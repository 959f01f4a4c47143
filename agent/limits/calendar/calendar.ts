import { Temporal } from 'temporal-polyfill'
import type { Calendar } from '../store/store.ts'

/** A period of QuotaPolicy. */
export interface CalendarPeriod {
  readonly unit: 'minute' | 'hour' | 'day' | 'week' | 'month' | 'year'
  readonly zone: string
  readonly startsOn?: number | undefined
  readonly startsIn?: number | undefined
}

/** The spans of a period in its zone. The last one is remembered: most questions are about the present. */
export function calendarOf(period: CalendarPeriod): Calendar {
  let last = { startMs: 0, endMs: 0 }
  return {
    spanAt: (atMs) => {
      if (atMs < last.startMs || atMs >= last.endMs) last = spanAt(period, atMs)
      return last
    },
  }
}

function spanAt({ unit, zone, startsOn = 1, startsIn = 1 }: CalendarPeriod, atMs: number) {
  const at = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone)
  if (unit === 'minute' || unit === 'hour') {
    const sizeMs = unit === 'minute' ? 60_000 : 3_600_000
    const offsetMs = at.offsetNanoseconds / 1e6
    const startMs = Math.floor((atMs + offsetMs) / sizeMs) * sizeMs - offsetMs
    return { startMs, endMs: startMs + sizeMs }
  }
  const today = at.toPlainDate()
  const [start, next] = datesOf(unit, today, startsOn, startsIn)
  const midnight = (date: Temporal.PlainDate) => date.toZonedDateTime(zone).epochMilliseconds
  return { startMs: midnight(start), endMs: midnight(next) }
}

function datesOf(
  unit: 'day' | 'week' | 'month' | 'year',
  today: Temporal.PlainDate,
  startsOn: number,
  startsIn: number,
): readonly [start: Temporal.PlainDate, next: Temporal.PlainDate] {
  switch (unit) {
    case 'day':
      return [today, today.add({ days: 1 })]
    case 'week': {
      const start = today.subtract({ days: (today.dayOfWeek - startsOn + 7) % 7 })
      return [start, start.add({ days: 7 })]
    }
    case 'month': {
      const first = (months: number) =>
        today.with({ day: 1 }).add({ months }).with({ day: startsOn }, { overflow: 'constrain' })
      const isBefore = Temporal.PlainDate.compare(today, first(0)) < 0
      return isBefore ? [first(-1), first(0)] : [first(0), first(1)]
    }
    case 'year': {
      const first = (years: number) => today.with({ month: startsIn, day: 1 }).add({ years })
      const isBefore = Temporal.PlainDate.compare(today, first(0)) < 0
      return isBefore ? [first(-1), first(0)] : [first(0), first(1)]
    }
    default:
      return unit satisfies never
  }
}

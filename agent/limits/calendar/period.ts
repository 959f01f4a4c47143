import { dayMs, dayOf } from './zone.ts'

/** Days are numbered as in {@link dayOf}. */
export interface Period {
  readonly unit: 'day' | 'week' | 'month' | 'year'
  readonly startsOn: number
  readonly startsIn: number
}

/** 1 January 1970 was a Thursday. */
const weekdayOfDay0 = 4

/** The period that a day is in; periods are numbered one after the other. */
export function periodOf(period: Period, day: number): number {
  const number = roughly(period, day)
  return startOf(period, number) <= day ? number : number - 1
}

/** The day that a period starts with. */
export function startOf({ unit, startsOn, startsIn }: Period, number: number): number {
  switch (unit) {
    case 'day':
      return number
    case 'week':
      return number * 7 + startsOn - weekdayOfDay0
    case 'month':
      return dayInMonth(number, startsOn)
    case 'year':
      return dayInMonth(number * 12 + startsIn - 1, startsOn)
    default:
      return unit satisfies never
  }
}

/** The number of the period that starts in the same week, month or year as a day; it or the one before is that of the day. */
function roughly({ unit, startsOn }: Period, day: number): number {
  const date = new Date(day * dayMs)
  switch (unit) {
    case 'day':
      return day
    case 'week':
      return Math.floor((day - startsOn + weekdayOfDay0) / 7)
    case 'month':
      return (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth()
    case 'year':
      return date.getUTCFullYear() - 1970
    default:
      return unit satisfies never
  }
}

/** A day of a month, counted from January 1970; the last one where the month is shorter. */
function dayInMonth(month: number, day: number): number {
  const year = 1970 + Math.floor(month / 12)
  const inYear = (((month % 12) + 12) % 12) + 1
  const lastDay = dayOf(year, inYear + 1, 0) - dayOf(year, inYear, 0)
  return dayOf(year, inYear, Math.min(day, lastDay))
}

import { createRequire } from 'node:module'

type Temporal = typeof import('temporal-polyfill').Temporal

/** Days are counted from 1 January 1970, as dates on a wall in the zone. */
export interface Zone {
  /** The date that the wall shows. */
  dayAt(atMs: number): number
  /** The first moment that a date, or a later one, is shown: some midnights do not exist, and some days. */
  startOfDay(day: number): number
  /** How far the wall is ahead of UTC. */
  offsetMs(atMs: number): number
}

export const dayMs = 86_400_000

const utc: Zone = {
  dayAt: (atMs) => Math.floor(atMs / dayMs),
  startOfDay: (day) => day * dayMs,
  offsetMs: () => 0,
}

/** IANA names; offsets and dates with a zone in brackets, which Temporal would take as well, are none. */
const zoneName = /^[A-Za-z][A-Za-z0-9_+/-]*$/

/** Finds a time zone by its IANA name. `undefined` where there is none of that name. */
export function zoneOf(name: string): Zone | undefined {
  if (name === 'UTC') return utc
  if (!zoneName.test(name)) return undefined
  const { Instant, PlainDate } = temporal()
  const at = (atMs: number) => Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(name)
  try {
    at(0)
  } catch (thrown) {
    if (thrown instanceof RangeError) return undefined
    throw thrown
  }
  return {
    dayAt: (atMs) => {
      const { year, month, day } = at(atMs)
      return dayOf(year, month, day)
    },
    startOfDay: (day) => {
      const date = new Date(day * dayMs)
      const plain = new PlainDate(date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate())
      return plain.toZonedDateTime(name).epochMilliseconds
    },
    offsetMs: (atMs) => at(atMs).offsetNanoseconds / 1_000_000,
  }
}

/** The number of a date. The month may be any number: what is not in the year is in another. */
export function dayOf(year: number, month: number, day: number): number {
  return Date.UTC(year, month - 1, day) / dayMs
}

let loaded: Temporal | undefined

/** Only where a zone needs it: it takes 5 MB, and the zones' data as much again. */
function temporal(): Temporal {
  const require = createRequire(import.meta.url)
  loaded ??= (require('temporal-polyfill') as { readonly Temporal: Temporal }).Temporal
  return loaded
}

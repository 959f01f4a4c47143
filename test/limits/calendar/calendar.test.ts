import t from 'tap'
import { Temporal } from 'temporal-polyfill/implementation'
import { type CalendarOptions, calendarOf } from '../../../agent/limits/calendar/calendar.ts'
import type { Calendar } from '../../../agent/limits/store/store.ts'
import fc from '../../fast-check.ts'

const hourMs = 3_600_000

function calendar(options: CalendarOptions): Calendar {
  const answer = calendarOf(options)
  if (!answer.ok) throw new Error(`${answer.member}: ${answer.found}; expected ${answer.expected}`)
  return answer.calendar
}

/** With the seconds of the offset, which some zones had. */
const zones = [
  'UTC',
  'Asia/Dubai',
  'Europe/Berlin',
  'America/New_York',
  'America/Sao_Paulo',
  'America/St_Johns',
  'America/Havana',
  'Asia/Beirut',
  'Asia/Kathmandu',
  'Asia/Tehran',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Africa/Monrovia',
  'Atlantic/Azores',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Chatham',
  'Pacific/Kiritimati',
  'Antarctica/Troll',
]

/** From 1970 to 2040: all that a clock may say, and more. */
const moments = fc.integer({ min: 0, max: Date.UTC(2040, 0, 1) })
const periods: fc.Arbitrary<Omit<CalendarOptions, 'zone'>> = fc.oneof(
  fc.record({ unit: fc.constantFrom('minute' as const, 'hour' as const, 'day' as const) }),
  fc.record({ unit: fc.constant('week' as const), startsOn: fc.integer({ min: 1, max: 7 }) }),
  fc.record({ unit: fc.constant('month' as const), startsOn: fc.integer({ min: 1, max: 31 }) }),
  fc.record({
    unit: fc.constant('year' as const),
    startsOn: fc.integer({ min: 1, max: 31 }),
    startsIn: fc.integer({ min: 1, max: 12 }),
  }),
)
const options = fc
  .tuple(periods, fc.constantFrom(...zones))
  .map(([period, zone]): CalendarOptions => ({ ...period, zone }))

t.test(
  'a moment is in its span, and the spans beside it begin where it ends and end where it begins',
  async (t) => {
    fc.assert(
      fc.property(options, moments, (period, atMs) => {
        const { startMs, endMs } = calendar(period).spanAt(atMs)
        const isIn = Number.isInteger(startMs) && startMs <= atMs && atMs < endMs
        return (
          isIn &&
          calendar(period).spanAt(endMs).startMs === endMs &&
          calendar(period).spanAt(startMs - 1).endMs === startMs
        )
      }),
      { numRuns: 1000 },
    )
    t.pass()
  },
)

t.test('all moments of a span are in the same, whoever asked before', async (t) => {
  fc.assert(
    fc.property(options, moments, fc.array(fc.nat(1000), { minLength: 1 }), (period, atMs, parts) => {
      const asked = calendar(period)
      const span = asked.spanAt(atMs)
      return parts.every((part) => {
        const withinMs = span.startMs + Math.floor(((span.endMs - 1 - span.startMs) * part) / 1000)
        const [fresh, known] = [calendar(period).spanAt(withinMs), asked.spanAt(withinMs)]
        const isSame = fresh.startMs === span.startMs && fresh.endMs === span.endMs
        // Those beside it, so that what is remembered is pushed out.
        for (const besideMs of [span.endMs, span.startMs - 1, span.endMs + 9e10]) asked.spanAt(besideMs)
        return isSame && known.startMs === span.startMs && known.endMs === span.endMs
      })
    }),
  )
  t.pass()
})

t.test('a span begins at the first moment of its date, by Temporal', async (t) => {
  fc.assert(
    fc.property(options, moments, (period, atMs) => {
      const { startMs } = calendar(period).spanAt(atMs)
      const start = Temporal.Instant.fromEpochMilliseconds(startMs).toZonedDateTimeISO(period.zone)
      const beforeMs = startMs - 1
      const before = Temporal.Instant.fromEpochMilliseconds(beforeMs).toZonedDateTimeISO(period.zone)
      const { startsOn = 1, startsIn = 1 } = period
      const isAnchor = Math.min(startsOn, start.daysInMonth) === start.day
      // A day that a zone left out begins with the one after.
      const isLate =
        Temporal.PlainDate.compare(before.toPlainDate().add({ days: 1 }), start.toPlainDate()) < 0
      const isStart = start.startOfDay().epochMilliseconds === startMs
      switch (period.unit) {
        case 'minute':
        case 'hour':
          return true
        case 'day':
          return isStart
        case 'week':
          return isStart && (isLate || start.dayOfWeek === startsOn)
        case 'month':
          return isStart && (isLate || isAnchor)
        case 'year':
          return isStart && (isLate || (isAnchor && start.month === startsIn))
        default:
          return period.unit satisfies never
      }
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test(
  'minutes and hours have their length, but where a zone goes to another part of the hour',
  async (t) => {
    const even = fc.constantFrom(...zones.filter((zone) => !/Lord_Howe|Troll|Monrovia/.test(zone)))
    fc.assert(
      fc.property(
        even,
        fc.integer({ min: Date.UTC(1991, 0, 1), max: Date.UTC(2040, 0, 1) }),
        (zone, atMs) => {
          const hour = calendar({ unit: 'hour', zone }).spanAt(atMs)
          const minute = calendar({ unit: 'minute', zone }).spanAt(atMs)
          const wall = Temporal.Instant.fromEpochMilliseconds(hour.startMs).toZonedDateTimeISO(zone)
          return (
            hour.endMs - hour.startMs === hourMs &&
            minute.endMs - minute.startMs === 60_000 &&
            wall.minute === 0
          )
        },
      ),
      { numRuns: 500 },
    )
    t.pass()
  },
)

const day = (zone: string): CalendarOptions => ({ unit: 'day', zone })
const month = (zone: string, startsOn = 1): CalendarOptions => ({ unit: 'month', zone, startsOn })

const known: readonly (readonly [string, CalendarOptions, at: string, start: string, end: string])[] = [
  ['a day in UTC', day('UTC'), '2026-11-25T12:00Z', '2026-11-25T00:00Z', '2026-11-26T00:00Z'],
  [
    'midnight belongs to the day after',
    day('UTC'),
    '2026-11-26T00:00Z',
    '2026-11-26T00:00Z',
    '2026-11-27T00:00Z',
  ],
  ['a day in Dubai', day('Asia/Dubai'), '2026-11-25T21:00Z', '2026-11-25T20:00Z', '2026-11-26T20:00Z'],
  ['23 hours in spring', day('Europe/Berlin'), '2026-03-29T12:00Z', '2026-03-28T23:00Z', '2026-03-29T22:00Z'],
  ['25 hours in autumn', day('Europe/Berlin'), '2026-10-25T12:00Z', '2026-10-24T22:00Z', '2026-10-25T23:00Z'],
  [
    'a midnight that is not: the day begins at 1',
    day('America/Sao_Paulo'),
    '2018-11-04T03:00Z',
    '2018-11-04T03:00Z',
    '2018-11-05T02:00Z',
  ],
  [
    'the day before a midnight that is not',
    day('Asia/Beirut'),
    '2022-03-26T21:59Z',
    '2022-03-25T22:00Z',
    '2022-03-26T22:00Z',
  ],
  [
    'a midnight that comes twice: the first counts',
    day('America/Havana'),
    '2024-11-03T04:30Z',
    '2024-11-03T04:00Z',
    '2024-11-04T05:00Z',
  ],
  [
    'clocks that show the day before again a minute after midnight',
    day('America/St_Johns'),
    '2010-11-07T02:45Z',
    '2010-11-07T02:30Z',
    '2010-11-08T03:30Z',
  ],
  [
    'a day that was left out',
    day('Pacific/Apia'),
    '2011-12-30T09:59Z',
    '2011-12-29T10:00Z',
    '2011-12-30T10:00Z',
  ],
  ['the day after it', day('Pacific/Apia'), '2011-12-30T10:00Z', '2011-12-30T10:00Z', '2011-12-31T10:00Z'],
  ['an odd offset', day('Asia/Kathmandu'), '2026-06-01T00:00Z', '2026-05-31T18:15Z', '2026-06-01T18:15Z'],
  [
    'an hour of 30 minutes',
    { unit: 'hour', zone: 'Australia/Lord_Howe' },
    '2026-04-04T15:10Z',
    '2026-04-04T15:00Z',
    '2026-04-04T15:30Z',
  ],
  [
    'weeks start on Monday',
    { unit: 'week', zone: 'UTC' },
    '2026-11-25T00:00Z',
    '2026-11-23T00:00Z',
    '2026-11-30T00:00Z',
  ],
  [
    'or on Sunday',
    { unit: 'week', zone: 'UTC', startsOn: 7 },
    '2026-11-22T00:00Z',
    '2026-11-22T00:00Z',
    '2026-11-29T00:00Z',
  ],
  ['a month', month('UTC'), '2026-02-14T00:00Z', '2026-02-01T00:00Z', '2026-03-01T00:00Z'],
  [
    'from the 31st: February has 28',
    month('UTC', 31),
    '2026-02-28T00:00Z',
    '2026-02-28T00:00Z',
    '2026-03-31T00:00Z',
  ],
  ['the day before', month('UTC', 31), '2026-02-27T23:59Z', '2026-01-31T00:00Z', '2026-02-28T00:00Z'],
  ['or 29', month('UTC', 30), '2028-03-01T00:00Z', '2028-02-29T00:00Z', '2028-03-30T00:00Z'],
  [
    'over the end of the year',
    month('Asia/Dubai', 15),
    '2027-01-01T00:00Z',
    '2026-12-14T20:00Z',
    '2027-01-14T20:00Z',
  ],
  [
    'a year',
    { unit: 'year', zone: 'America/New_York' },
    '2027-01-01T04:59Z',
    '2026-01-01T05:00Z',
    '2027-01-01T05:00Z',
  ],
  [
    "the British taxman's year",
    { unit: 'year', zone: 'Europe/London', startsIn: 4, startsOn: 6 },
    '2027-04-05T22:59Z',
    '2026-04-05T23:00Z',
    '2027-04-05T23:00Z',
  ],
  [
    'a year from 29 February',
    { unit: 'year', zone: 'UTC', startsIn: 2, startsOn: 29 },
    '2028-03-01T00:00Z',
    '2028-02-29T00:00Z',
    '2029-02-28T00:00Z',
  ],
]

for (const [name, period, at, start, end] of known) {
  t.test(name, async (t) => {
    const { startMs, endMs } = calendar(period).spanAt(Date.parse(at))
    t.equal(new Date(startMs).toISOString(), new Date(start).toISOString())
    t.equal(new Date(endMs).toISOString(), new Date(end).toISOString())
  })
}

for (const [period, member, found] of [
  [day('Asia/Dubay'), 'zone', 'Asia/Dubay'],
  [day(''), 'zone', ''],
  [day('+04:00'), 'zone', '+04:00'],
  [day('2026-01-01T00:00[Asia/Dubai]'), 'zone', '2026-01-01T00:00[Asia/Dubai]'],
  [{ unit: 'day', zone: 'UTC', startsOn: 2 }, 'startsOn', '2'],
  [{ unit: 'week', zone: 'UTC', startsOn: 8 }, 'startsOn', '8'],
  [{ unit: 'month', zone: 'UTC', startsOn: 32 }, 'startsOn', '32'],
  [{ unit: 'month', zone: 'UTC', startsIn: 2 }, 'startsIn', '2'],
  [{ unit: 'year', zone: 'UTC', startsIn: 13 }, 'startsIn', '13'],
] as const) {
  t.test(`${member} ${JSON.stringify(found)} of a ${period.unit} is named`, async (t) => {
    t.match(calendarOf(period), { ok: false, member, found })
  })
}

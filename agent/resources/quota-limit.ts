import { z } from 'zod'
import { parseCost } from './cost/cost.ts'
import { dnsLabel } from './covered.ts'

/** The widest limit that can be written. Counters are exact up to 2^52 and refuse beyond, whatever the limit. */
const maxLimit = 2n ** 63n - 1n
/** Most that one counter can hold. */
const maxUnits = 2 ** 52

const quotaUnits = [
  'requests',
  'inferences',
  'inputTokens',
  'outputTokens',
  'tokens',
  'requestBytes',
  'responseBytes',
  'bytes',
  'gpuMs',
  'concurrency',
] as const
export type QuotaUnit = (typeof quotaUnits)[number]

/** A number of units: whole, as a number or, beyond 2^53-1 where JSON would round it, as digits in quotes. */
export const amount = z
  .union([
    z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
    z
      .string()
      // What else a text is has been said: nothing goes on to look at how large it is.
      .regex(/^(0|[1-9][0-9]{0,18})$/, {
        error: 'a whole number, in quotes beyond 9007199254740991',
        abort: true,
      })
      .refine((text) => BigInt(text) <= maxLimit, 'at most 9223372036854775807')
      .transform(Number),
  ])
  .describe('A whole number; beyond 9007199254740991 in quotes.')
export const rate = z.number().int().min(1).max(maxUnits)
export const concurrent = z.number().int().min(1).max(1e6)

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const longDuration = z
  .string()
  .regex(/^[1-9][0-9]{0,7}(ms|s|m|h|d)$/, 'a duration such as 500ms, 1s, 5m, 24h, 7d')
  .transform((text) => {
    const unit = text.replace(/^[0-9]+/, '') as keyof typeof unitMs
    return Number.parseInt(text, 10) * unitMs[unit]
  })
  .refine((ms) => ms <= 400 * 86_400_000, 'at most 400d')

function isZone(zone: string): boolean {
  // An offset is a zone to the platform, but has no midnight that moves with the law.
  if (!/^[A-Za-z]/.test(zone)) return false
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

const calendarPeriod = z
  .strictObject({
    unit: z
      .enum(['minute', 'hour', 'day', 'week', 'month', 'year'])
      .describe('How long a period is, by the clocks of the zone.'),
    zone: z
      .string()
      .max(64)
      .refine(isZone, 'an IANA time zone such as Asia/Dubai or UTC')
      .default('UTC')
      .describe('The IANA time zone whose midnight counts, such as Asia/Dubai.'),
    startsOn: z
      .int()
      .min(1)
      .max(31)
      .optional()
      .describe(
        'The day a week (1 is Monday), a month or a year starts on, the last one where the month is shorter; 1 if absent.',
      ),
    startsIn: z.int().min(1).max(12).optional().describe('The month a year starts in; 1 if absent.'),
  })
  .superRefine(({ unit, startsOn, startsIn }, context) => {
    const wrong = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message })
    if (startsOn !== undefined && unit !== 'week' && unit !== 'month' && unit !== 'year')
      wrong('startsOn', `no startsOn for a ${unit}: only weeks, months and years start on a day`)
    else if (startsOn !== undefined && unit === 'week' && startsOn > 7)
      wrong('startsOn', 'a day of the week: 1 (Monday) to 7')
    if (startsIn !== undefined && unit !== 'year')
      wrong('startsIn', `no startsIn for a ${unit}: only years start in a month`)
  })
  .readonly()

const costText = z
  .string()
  .min(1)
  .max(1024)
  .superRefine((text, context) => {
    const parsed = parseCost(text)
    if (parsed.ok) return
    const { at, found, expected } = parsed.fault
    context.addIssue({ code: 'custom', message: `${expected} at character ${at}, where ${found} stands` })
  })

const common = {
  name: dnsLabel
    .optional()
    .describe(
      'What the counter is called, with the policy: an edit keeps what was used while both stay. The unit and the window or period if absent, such as `tokens-day`.',
    ),
  mode: z
    .enum(['enforce', 'soft', 'shadow'])
    .default('enforce')
    .describe(
      '`enforce` refuses. `soft` lets through and tells the client, the model server and the metrics. `shadow` tells the metrics only.',
    ),
  onStoreFailure: z
    .enum(['deny', 'allow', 'share'])
    .default('deny')
    .describe(
      'While the store cannot be asked, or after it lost its memory: refuse, let through uncounted, or give this replica its part of what was left.',
    ),
  handedIn: z
    .strictObject({
      claim: z.string().min(1).optional().describe('A claim of the verified token, by name or JSON pointer.'),
      policy: z.boolean().default(false).describe('`quotas` in the result of policy, by `policy/limit`.'),
      atMost: amount.optional().describe('What is handed in counts as this where it is more.'),
    })
    .refine(({ claim, policy }) => claim !== undefined || policy, 'a source: claim, or policy: true')
    .optional()
    .describe(
      'A number that takes the place of `rate`, `limit` or `max` where somebody trusted says one. Policy goes before the token.',
    ),
  warnAtPercent: z
    .int()
    .min(1)
    .max(99)
    .default(80)
    .describe('From here on a metric says that the limit is near.'),
}

const counted = {
  ...common,
  unit: z
    .enum(quotaUnits)
    .exclude(['concurrency'])
    .describe('What is counted. A batch of n is n inferences; `tokens` and `bytes` are both ways together.'),
  cost: costText
    .optional()
    .describe(
      'What a call costs, in place of the unit: arithmetic over the units in snake case and `cached_input_tokens`, `reasoning_tokens`, such as `input_tokens + 3 * output_tokens`. Rounded up.',
    ),
  store: z
    .enum(['strict', 'leased'])
    .default('strict')
    .describe(
      '`strict` asks the store for each call. `leased` draws some beforehand, so that most calls ask nobody; what is drawn is charged, so the limit holds.',
    ),
  debtCap: amount
    .optional()
    .describe(
      'How far an answer that took more than was reserved may go beyond the limit; without it all of it is charged.',
    ),
}

const gcraLimit = z
  .strictObject({
    ...counted,
    kind: z.literal('gcra').default('gcra').describe('What `rate` makes it.'),
    rate: rate.describe('Units per window.'),
    window: longDuration.describe('The window the rate is for, for example 1s.'),
    burst: rate.optional().describe('How much may come at once; the rate if absent.'),
  })
  .readonly()

const slidingLimit = z
  .strictObject({
    ...counted,
    kind: z.literal('sliding').describe('A window that slides, in place of a rate.'),
    limit: amount.describe('Units in any span of the length of the window.'),
    window: longDuration.describe('How long the window is, for example 1m.'),
  })
  .readonly()

const calendarLimit = z
  .strictObject({
    ...counted,
    kind: z.literal('calendar').default('calendar').describe('What `period` makes it.'),
    limit: amount.describe('Units in each period.'),
    period: calendarPeriod.describe('What begins and ends by the calendar.'),
  })
  .readonly()

const concurrencyLimit = z
  .strictObject({
    ...common,
    unit: z.literal('concurrency').describe('Calls that run.'),
    kind: z.literal('concurrency').default('concurrency').describe('What the unit makes it.'),
    max: concurrent.describe('Calls that may run at the same time.'),
  })
  .readonly()

const kinds = ['gcra', 'sliding', 'calendar', 'concurrency'] as const
type Kind = (typeof kinds)[number]

/** Members that only limits of some kinds have, and what to say of them elsewhere. */
const membersOf: Readonly<Record<string, { readonly kinds: readonly Kind[]; readonly where: string }>> = {
  rate: { kinds: ['gcra'], where: 'stands beside window, without limit, period and kind' },
  burst: { kinds: ['gcra'], where: 'stands beside rate' },
  window: { kinds: ['gcra', 'sliding'], where: 'stands beside rate, or beside limit with kind: sliding' },
  limit: {
    kinds: ['sliding', 'calendar'],
    where: 'stands beside period, or beside window with kind: sliding',
  },
  period: { kinds: ['calendar'], where: 'stands beside limit' },
  max: { kinds: ['concurrency'], where: 'is for unit: concurrency' },
  cost: {
    kinds: ['gcra', 'sliding', 'calendar'],
    where: 'is for units that are counted, not for concurrency',
  },
  store: {
    kinds: ['gcra', 'sliding', 'calendar'],
    where: 'is for units that are counted, not for concurrency',
  },
  debtCap: {
    kinds: ['gcra', 'sliding', 'calendar'],
    where: 'is for units that are counted, not for concurrency',
  },
}

/** Of which kind a limit is by what it says; a union that tries all four would tell four times what is wrong. */
function kindOf(limit: Readonly<Record<string, unknown>>): Kind | undefined {
  if (limit['kind'] !== undefined) return kinds.find((kind) => kind === limit['kind'])
  if (limit['unit'] === 'concurrency') return 'concurrency'
  return limit['period'] === undefined ? 'gcra' : 'calendar'
}

/** A limit is of the one kind that its members are of. */
export const quotaLimit = z.preprocess(
  (input, context) => {
    if (typeof input !== 'object' || input === null || Array.isArray(input)) return input
    const limit = input as Readonly<Record<string, unknown>>
    const wrong = (path: string, message: string) => {
      context.addIssue({ code: 'custom', path: [path], message, input })
      return z.NEVER
    }
    const units = quotaUnits.map((unit) => JSON.stringify(unit)).join(' or ')
    if (!(quotaUnits as readonly unknown[]).includes(limit['unit'])) return wrong('unit', units)
    const kind = kindOf(limit)
    if (kind === undefined) return wrong('kind', kinds.map((each) => JSON.stringify(each)).join(' or '))
    if ((kind === 'concurrency') !== (limit['unit'] === 'concurrency'))
      return wrong('kind', 'kind concurrency with unit concurrency, and neither without the other')
    for (const [name, { kinds: its, where }] of Object.entries(membersOf))
      if (limit[name] !== undefined && !its.includes(kind))
        wrong(name, `no ${name} in a limit of kind ${kind}: it ${where}`)
    return { ...limit, kind }
  },
  z.discriminatedUnion('kind', [gcraLimit, slidingLimit, calendarLimit, concurrencyLimit]),
)
export type QuotaLimit = z.infer<typeof quotaLimit>

/** What a limit is called, with its policy before it. */
export function limitNameOf(limit: QuotaLimit): string {
  if (limit.name !== undefined) return limit.name
  const unit = limit.unit.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  switch (limit.kind) {
    case 'concurrency':
      return unit
    case 'calendar':
      return `${unit}-${limit.period.unit}`
    case 'gcra':
    case 'sliding':
      return `${unit}-${durationText(limit.window)}`
    default:
      return limit satisfies never
  }
}

function durationText(ms: number): string {
  const [unit, size] = Object.entries(unitMs).findLast(([, each]) => ms % each === 0) as [string, number]
  return `${ms / size}${unit}`
}

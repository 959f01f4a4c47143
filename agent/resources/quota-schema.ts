import { z } from 'zod'

/** The widest limit that can be written. Counters are exact up to 2^52 and refuse beyond, whatever the limit. */
const maxLimit = 2n ** 63n - 1n

export const quotaUnits = [
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
const amount = z
  .union([
    z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
    z
      .string()
      .regex(/^(0|[1-9][0-9]{0,18})$/, 'whole digits')
      .refine((text) => BigInt(text) <= maxLimit, 'at most 9223372036854775807')
      .transform(Number),
  ])
  .describe('A whole number; beyond 9007199254740991 in quotes.')
const rate = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER)

const longDuration = z
  .string()
  .regex(/^[1-9][0-9]{0,7}(ms|s|m|h|d)$/, 'a duration such as 500ms, 1s, 5m, 24h, 7d')
  .transform((text) => {
    const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
    const unit = text.replace(/^[0-9]+/, '') as keyof typeof unitMs
    return Number.parseInt(text, 10) * unitMs[unit]
  })
  .refine((ms) => ms <= 400 * 86_400_000, 'at most 400d')

const limitName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'a DNS label: lower-case letters, digits and -')
const headerName = /^[a-z0-9!#$%&'*+.^_`|~-]+$/

/** What has a counter of its own. */
export const quotaScope = z.union([
  z.enum(['tenant', 'user', 'peer', 'model', 'version', 'route']),
  z
    .string()
    .refine(
      (text) => text.startsWith('header:') && headerName.test(text.slice(7)),
      'header: and a lower-case header name',
    ),
])

export const calendarPeriod = z
  .strictObject({
    unit: z.enum(['minute', 'hour', 'day', 'week', 'month', 'year']),
    zone: z
      .string()
      .min(1)
      .max(64)
      .default('UTC')
      .describe('The IANA time zone whose midnight counts, such as Asia/Dubai.'),
    startsOn: z
      .int()
      .min(1)
      .max(31)
      .optional()
      .describe(
        'The day a week (1 is Monday) or a month (the last one where the month is shorter) starts on; 1 if absent.',
      ),
    startsIn: z.int().min(1).max(12).optional().describe('The month a year starts in; 1 if absent.'),
  })
  .readonly()

const common = {
  name: limitName
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
      atMost: amount.optional().describe('What is handed in may not be more than this.'),
    })
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
  unit: z.enum(quotaUnits).exclude(['concurrency']),
  cost: z
    .string()
    .min(1)
    .max(1024)
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
    kind: z.literal('gcra').optional(),
    rate: rate.describe('Units per window.'),
    window: longDuration.describe('The window the rate is for, for example 1s.'),
    burst: rate.optional().describe('How much may come at once; the rate if absent.'),
  })
  .readonly()

const slidingLimit = z
  .strictObject({
    ...counted,
    kind: z.literal('sliding'),
    limit: amount.describe('Units in any span of the length of the window.'),
    window: longDuration,
  })
  .readonly()

const calendarLimit = z
  .strictObject({
    ...counted,
    kind: z.literal('calendar').optional(),
    limit: amount.describe('Units in each period.'),
    period: calendarPeriod,
  })
  .readonly()

const concurrencyLimit = z
  .strictObject({
    ...common,
    unit: z.literal('concurrency'),
    kind: z.literal('concurrency').optional(),
    max: z.number().int().min(1).max(1e6).describe('Calls that may run at the same time.'),
  })
  .readonly()

/** A limit is of the one kind that its members are of. */
export const quotaLimit = z.union([gcraLimit, slidingLimit, calendarLimit, concurrencyLimit])

const override = z
  .strictObject({
    tenant: z.string().min(1).describe('The tenant it is for.'),
    limit: limitName.describe('The name of one of the limits.'),
    rate: rate.optional(),
    burst: rate.optional(),
    amount: amount.optional().describe('In place of `limit`.'),
    max: z.number().int().min(1).max(1e6).optional(),
    mode: z.enum(['enforce', 'soft', 'shadow', 'off']).optional(),
  })
  .readonly()

export const quotaPolicySpec = (dnsLabel: z.ZodString, modelPattern: z.ZodString) =>
  z
    .strictObject({
      tenants: z
        .array(z.union([dnsLabel, z.literal('*')]))
        .min(1)
        .describe('Tenants it is for; `*` for every one, and for calls without a tenant.'),
      models: z
        .array(modelPattern)
        .min(1)
        .default(['*'])
        .describe('Models it is for. A call of which the model is not known is covered.'),
      routes: z
        .array(z.string().min(1))
        .min(1)
        .optional()
        .describe(
          "Names of Envoy's routes it is for; every one if absent. A call of which the route is not known is covered.",
        ),
      scope: z
        .union([quotaScope, z.array(quotaScope)])
        .default('tenant')
        .describe(
          'What has a counter of its own: one or more of tenant, user, peer, model, version, route, `header:name`; an empty list for one counter for all.',
        ),
      limits: z.array(quotaLimit).min(1),
      overrides: z.array(override).default([]).describe('Other numbers for single tenants.'),
      reserve: z
        .strictObject({
          outputTokens: z
            .int()
            .min(1)
            .default(1024)
            .describe('Output tokens reserved for a call that sets no bound.'),
          slice: z
            .int()
            .min(1)
            .optional()
            .describe(
              'Output tokens reserved at first and again whenever they run out while an answer streams, in place of the whole bound.',
            ),
        })
        .prefault({})
        .describe('What is taken before an answer is known.'),
      advertise: z
        .boolean()
        .default(true)
        .describe('Whether clients read its state in `RateLimit` headers, and its name when it refuses.'),
    })
    .readonly()

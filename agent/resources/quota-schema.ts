import { z } from 'zod'
import { coveredModels, coveredRoutes, coveredTenants, dnsLabel } from './covered.ts'
import { checkQuotaPolicy } from './quota-checks.ts'
import { amount, concurrent, quotaLimit, rate } from './quota-limit.ts'

const headerName = /^[a-z0-9!#$%&'*+.^_`|~-]+$/

/** What has a counter of its own. */
const quotaScope = z.union([
  z.enum(['tenant', 'user', 'peer', 'model', 'version', 'route']),
  z
    .string()
    .refine(
      (text) => text.startsWith('header:') && headerName.test(text.slice(7)),
      'tenant, user, peer, model, version, route, or header: and a lower-case header name',
    ),
])

const override = z
  .strictObject({
    tenant: z.string().min(1).describe('The tenant it is for.'),
    limit: dnsLabel.describe('The name of one of the limits.'),
    rate: rate.optional().describe('In place of `rate`.'),
    burst: rate.optional().describe('In place of `burst`.'),
    amount: amount.optional().describe('In place of `limit`.'),
    max: concurrent.optional().describe('In place of `max`.'),
    mode: z
      .enum(['enforce', 'soft', 'shadow', 'off'])
      .optional()
      .describe('`off` lifts the limit for this tenant.'),
  })
  .readonly()

export const quotaPolicySpec = z
  .strictObject({
    tenants: coveredTenants.describe('Tenants it is for; `*` for every one, and for calls without a tenant.'),
    models: coveredModels,
    routes: coveredRoutes,
    scope: z
      .union([quotaScope, z.array(quotaScope)])
      .default('tenant')
      .describe(
        'What has a counter of its own: one or more of tenant, user, peer, model, version, route, `header:name`; an empty list for one counter for all.',
      ),
    limits: z.array(quotaLimit).min(1).describe('All of them hold: a call is charged on each, or on none.'),
    overrides: z.array(override).default([]).describe('Other numbers for single tenants.'),
    reserve: z
      .strictObject({
        outputTokens: z
          .int()
          .min(1)
          .default(1024)
          .describe('Output tokens reserved for each answer of a call that sets no bound.'),
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
  .superRefine(checkQuotaPolicy)
  .readonly()

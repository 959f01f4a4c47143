import { z } from 'zod'

const path = z.string().min(1)
const header = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, 'the name of a header')

/** The rate limit service of Envoy, with the limits of envoyproxy/ratelimit. */
export const rateLimitSchema = z.strictObject({
  config: z
    .array(path)
    .min(1)
    .describe(
      'Files in the form of envoyproxy/ratelimit, one domain a document, or folders of such files; watched.',
    ),
  mergeDomains: z
    .boolean()
    .default(false)
    .describe('Whether several documents may speak of one domain (MERGE_DOMAIN_CONFIG).'),
  compat: z
    .enum(['fixed', 'strict'])
    .default('fixed')
    .describe('`strict` repeats what envoyproxy/ratelimit does wrong, see the rate limit page.'),
  store: z
    .enum(['memory', 'limits'])
    .default('memory')
    .describe('Where counters are: in this process, or where `limits.store` says.'),
  mode: z.enum(['strict', 'leased']).default('strict').describe('As of a limit in a QuotaPolicy.'),
  onStoreFailure: z
    .enum(['deny', 'allow', 'share'])
    .default('deny')
    .describe(
      'While the store cannot be asked: `deny` is an error, of which failure_mode_deny in Envoy makes what it says.',
    ),
  shadowMode: z
    .boolean()
    .default(false)
    .describe('Refuse nothing, and tell in the statuses what would have been refused (SHADOW_MODE).'),
  quotaMode: z.boolean().default(false).describe('Every limit is as one with quota_mode: true (QUOTA_MODE).'),
  dynamicMetadata: z
    .boolean()
    .default(false)
    .describe('Tell Envoy what was asked and what the limits have as metadata (RESPONSE_DYNAMIC_METADATA).'),
  headers: z
    .strictObject({
      limit: header.default('RateLimit-Limit').describe('LIMIT_LIMIT_HEADER'),
      remaining: header.default('RateLimit-Remaining').describe('LIMIT_REMAINING_HEADER'),
      reset: header.default('RateLimit-Reset').describe('LIMIT_RESET_HEADER'),
    })
    .optional()
    .describe(
      'Tell the client of the limit that is nearest (LIMIT_RESPONSE_HEADERS_ENABLED). `{}` for these names.',
    ),
})

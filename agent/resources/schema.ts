import { z } from 'zod'
import { coveredModels, coveredRoutes, coveredTenants, dnsLabel, modelPattern } from './covered.ts'
import { quotaPolicySpec } from './quota-schema.ts'

/** Shares are written as parts per million: no rounding, and 1 % is 10,000. */
const PPM = 1_000_000

const modelName = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/, 'a model name: letters, digits, _ . -')
const modelVersion = z
  .string()
  .regex(/^[1-9][0-9]{0,18}$/, 'a model version: a positive whole number in quotes')
export const zone = z
  .string()
  .max(32)
  .regex(/^[A-Z0-9]+(-[A-Z0-9]+)*$/, 'a zone such as AE, AE-DIFC or GCC')

const share = z
  .union([
    z
      .string()
      .regex(/^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)%$/, 'a share such as 10% or 0.5%')
      .transform((text) => Math.round(Number.parseFloat(text) * 10_000)),
    z.number().int().min(0).max(PPM),
  ])
  .describe('A share: "10%", or parts per million.')

const claimValue = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)])

/** Which tokens of one issuer act for a tenant. What is absent is not asked for, but one of them is. */
const tenantToken = z
  .strictObject({
    issuer: z.string().min(1).describe('The issuer, as in `issuers` of the configuration.'),
    tenant: claimValue
      .optional()
      .describe(
        "Values of the issuer's `tenantClaim`; the name of the tenant if neither subjects nor claims are here.",
      ),
    subjects: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe('Subjects; for JWT-SVIDs SPIFFE ID patterns.'),
    claims: z
      .record(z.string(), claimValue)
      .refine((claims) => Object.keys(claims).length > 0, 'at least one claim')
      .optional()
      .describe('Claims, by name or JSON pointer, that must have the value, or one of the values.'),
  })
  .readonly()

export const tenantSpec = z
  .strictObject({
    peers: z
      .array(z.string())
      .min(1)
      .describe(
        'SPIFFE ID patterns: an exact ID, `*` for one segment, a trailing `/**` for one or more segments.',
      ),
    tokens: z
      .array(tenantToken)
      .min(1)
      .optional()
      .describe(
        'Tokens that act for the tenant; a request must come from one of the peers and with one of the tokens.',
      ),
    models: z
      .array(modelPattern)
      .min(1)
      .describe('The models the tenant may use at all; policy can only narrow it.'),
    residency: z
      .strictObject({
        allow: z.array(zone).min(1).describe('The zones where the data of this tenant may be processed.'),
      })
      .optional(),
  })
  .readonly()

export const modelRouteSpec = z
  .strictObject({
    model: modelName,
    zones: z.array(zone).min(1).optional().describe('Where the data of this model may be processed at all.'),
    versions: z
      .array(z.strictObject({ version: modelVersion, weight: share }).readonly())
      .min(1)
      .describe('Candidates first, stable last: growing a candidate then never moves anybody back.'),
    pins: z
      .array(z.strictObject({ tenant: dnsLabel, version: modelVersion }).readonly())
      .default([])
      .describe('Tenants that always get one version.'),
    key: z
      .strictObject({
        sessionHeader: z
          .string()
          .regex(/^[a-z0-9-]+$/, 'a lower-case header name')
          .default('x-session-id'),
        salt: z
          .string()
          .max(128)
          .optional()
          .describe('Changes who is chosen; the name of the route if absent.'),
      })
      .default({ sessionHeader: 'x-session-id' }),
  })
  .superRefine((route, context) => {
    const total = route.versions.reduce((sum, entry) => sum + entry.weight, 0)
    if (total !== PPM) {
      context.addIssue({
        code: 'custom',
        path: ['versions'],
        message: `weights must add up to 100%, not ${total / 10_000}%`,
      })
    }
    const names = route.versions.map((entry) => entry.version)
    if (new Set(names).size !== names.length) {
      context.addIssue({ code: 'custom', path: ['versions'], message: 'each version may stand only once' })
    }
    route.pins.forEach((pin, index) => {
      if (!names.includes(pin.version)) {
        context.addIssue({
          code: 'custom',
          path: ['pins', index],
          message: `version ${pin.version} is not among the versions`,
        })
      }
    })
  })
  .readonly()

export const accessPolicySpec = z
  .strictObject({
    tenants: coveredTenants
      .default(['*'])
      .describe('Tenants it is for; `*` for every one, and for calls without a tenant.'),
    models: coveredModels,
    routes: coveredRoutes,
    decision: z
      .string()
      .regex(/^[^/.\s]+(\/[^/\s]+)*$/, 'a path such as finance/authz/allow')
      .describe('The decision that is asked beside `policy.decision`; both must allow.'),
    mode: z
      .enum(['enforce', 'shadow'])
      .default('enforce')
      .describe('`shadow`: asked, counted and logged where it would refuse, never enforced.'),
  })
  .readonly()

const metadata = z.strictObject({
  name: dnsLabel,
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
})

const resource = <K extends string, S extends z.ZodType>(kind: K, spec: S) =>
  z.strictObject({ apiVersion: z.literal('sluice.dev/v1alpha1'), kind: z.literal(kind), metadata, spec })

/** One document of a resource file. */
export const anyResource = z.discriminatedUnion('kind', [
  resource('Tenant', tenantSpec),
  resource('QuotaPolicy', quotaPolicySpec),
  resource('ModelRoute', modelRouteSpec),
  resource('AccessPolicy', accessPolicySpec),
])

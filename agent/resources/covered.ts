import { z } from 'zod'

export const dnsLabel = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'a DNS label: lower-case letters, digits and -')
export const modelPattern = z
  .string()
  .regex(/^(\*|[A-Za-z0-9_][A-Za-z0-9_./:-]*\*?)$/, 'a model name, a prefix followed by *, or *')

/** Whom a policy is for. */
export const coveredTenants = z.array(z.union([dnsLabel, z.literal('*')])).min(1)
export const coveredModels = z
  .array(modelPattern)
  .min(1)
  .default(['*'])
  .describe('Models it is for. A call of which the model is not known is covered.')
export const coveredRoutes = z
  .array(z.string().min(1))
  .min(1)
  .optional()
  .describe(
    "Names of Envoy's routes it is for; every one if absent. On ext_authz the route says its name in `context_extensions.route`. A call of which the route is not known is covered.",
  )

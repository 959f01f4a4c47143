import { z } from 'zod'

/** Where a running Envoy is looked at, and how often. */
export const postureSchema = (address: z.ZodType<string, string>) =>
  z
    .strictObject({
      admin: address
        .optional()
        .describe("Envoy's admin address as the agent reaches it; `envoy.admin` if absent."),
      everySeconds: z.int().min(1).max(86_400).default(60).describe('How often it is looked at.'),
      accept: z
        .array(z.string().regex(/^[a-z][a-z0-9_]*$/, 'the name of a rule, such as host_port'))
        .default([])
        .describe('Rules whose findings are known and accepted: they make nobody unready.'),
    })
    .prefault({})
    .describe(
      'The self-audit of the running Envoy, wherever an admin address is known. See [posture](posture.md).',
    )

/** How long a connection rests on one look at a certificate. */
export const maxConnectionSeconds = z
  .int()
  .min(10)
  .max(86_400)
  .optional()
  .describe(
    'How long a connection may last; the next one is verified anew. If absent, half the life of an identity: of identity.source.ttlSeconds, or of the hour that SPIRE gives one.',
  )

/** What the production profile needs for it. */
export const postureNeed = {
  path: ['envoy', 'audit', 'admin'],
  message:
    "Envoy's admin address, there or in envoy.admin: the profile is production, which looks at the running Envoy",
  isMet: ({ profile, envoy }: PostureInput): boolean =>
    profile !== 'production' || envoy === undefined || (envoy.audit.admin ?? envoy.admin) !== undefined,
} as const

interface PostureInput {
  readonly profile: 'standard' | 'production'
  readonly envoy?:
    | { readonly admin?: string | undefined; readonly audit: { readonly admin?: string | undefined } }
    | undefined
}

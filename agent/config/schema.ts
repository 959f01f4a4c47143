import { z } from 'zod'
import { identitySchema } from './identity-schema.ts'
import { issuersSchema } from './issuer-schema.ts'
import { limitsSchema } from './limits-schema.ts'
import { policySchema } from './policy-schema.ts'
import { maxConnectionSeconds, postureNeed, postureSchema } from './posture-schema.ts'
import { rateLimitSchema } from './rate-limit-schema.ts'
import { tokensSchema } from './token-schema.ts'

/** An address whose last part is a port there can be. */
const withPort = (pattern: RegExp, expected: string) =>
  z
    .string()
    .regex(pattern, expected)
    .refine((text) => Number(/:(\d+)$/.exec(text)?.[1] ?? 0) <= 65_535, 'a port of at most 65535')

const listenAddress = withPort(
  /^(unix:\/\S+|(127\.0\.0\.1|\[::1\]|localhost):\d{1,5})$/,
  'unix:/path or 127.0.0.1:port',
)
const hostPort = withPort(/^([^\s:[\]]+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/, 'host:port')
const adminAddress = z.union([hostPort, z.string().regex(/^unix:\/\S+$/, 'unix:/path')])
const zone = z.string().regex(/^[A-Z0-9]+(-[A-Z0-9]+)*$/, 'a zone such as AE, AE-DIFC or GCC')
const path = z.string().min(1)

const shape = z.strictObject({
  profile: z
    .enum(['standard', 'production'])
    .default('standard')
    .describe(
      'production refuses what is fit for trying out only: unsigned or older bundles, TLS without verification.',
    ),
  role: z.enum(['model', 'edge']).default('model').describe('Where the agent sits.'),
  identity: identitySchema.optional().describe('Who may call. Without it no identity or tenant is demanded.'),
  tokens: tokensSchema.optional(),
  issuers: issuersSchema.optional().describe('Whose tokens are accepted. Without it none is looked at.'),
  policy: policySchema.optional().describe('Rego, compiled to wasm.'),
  limits: limitsSchema.optional().describe('Quotas and rates. Needs resources.'),
  rateLimit: rateLimitSchema.optional().describe("Answer Envoy's rate limit filter on the same socket."),
  residency: z
    .strictObject({
      zone: zone.describe('The zone this agent stands in.'),
      partOf: z.array(zone).default([]).describe('Larger zones that this one belongs to, for example GCC.'),
      requireTag: z.boolean().default(true).describe('Refuse a tenant that says nothing about residency.'),
    })
    .optional()
    .describe('Where data may be processed. Needs resources.'),
  traffic: z.strictObject({}).optional().describe('Choose versions by ModelRoute resources, which it needs.'),
  audit: z
    .strictObject({ dir: path.describe('Where the record is written, one JSON line a decision.') })
    .optional(),
  resources: z
    .strictObject({
      dir: path.describe('A directory of resource files (.yaml, .yml, .json), watched.'),
    })
    .optional(),
  listen: z.strictObject({
    agent: listenAddress.describe(
      'Where Envoy calls ext_authz, ext_proc, the rate limit service and health.',
    ),
    transport: z
      .enum(['sluice', 'grpc-js'])
      .default('sluice')
      .describe(
        "What carries the calls: Sluice's own server, or @grpc/grpc-js to compare with. The latter ends connections under a load of ext_proc.",
      ),
    admin: z
      .string()
      .regex(/^unix:\/\S+$/, 'unix:/path')
      .optional()
      .describe('A socket for `sluice quota` and the like. Who may open it may do all of it.'),
    probes: hostPort.default('127.0.0.1:15021').describe('/livez /readyz /metrics'),
  }),
  envoy: z
    .strictObject({
      main: hostPort.describe('The mTLS listener with the whole pipeline (ext_proc).'),
      admission: hostPort
        .optional()
        .describe('A second mTLS listener that only asks for admission (ext_authz).'),
      tls: z
        .strictObject({
          certificate: path.describe('PEM chain that Envoy presents.'),
          privateKey: path.describe('PEM key of that certificate.'),
          trustBundles: z.record(z.string(), path).describe('PEM file of CA certificates by trust domain.'),
        })
        .optional()
        .describe(
          "Files that Envoy reads itself. Without them it takes its certificates from the agent's socket (SDS), which needs identity.source.",
        ),
      upstream: z.strictObject({
        http: hostPort.describe("The model server's HTTP port."),
        grpc: hostPort.describe("The model server's gRPC port."),
      }),
      admin: adminAddress.optional().describe("Envoy's admin address; a Unix socket where possible."),
      audit: postureSchema(adminAddress),
      maxConnectionSeconds,
      messageTimeoutMs: z
        .number()
        .int()
        .min(10)
        .max(60_000)
        .default(250)
        .describe('How long Envoy waits for one answer.'),
      policyBodyBytes: z
        .number()
        .int()
        .min(0)
        .max(1 << 20)
        .default(0)
        .describe(
          'How much of an HTTP request body policy sees; 0 for none. A larger body is cut and marked so. The main listener shows up to 1 MiB as soon as this is not 0, or there are `limits`: what a call may cost stands in its body.',
        ),
    })
    .optional()
    .describe('What `sluice envoy config` generates from.'),
  decision: z
    .strictObject({
      deadlineMs: z
        .number()
        .int()
        .min(1)
        .max(60_000)
        .default(150)
        .describe('A decision that takes longer is a refusal.'),
      maxMessageBytes: z
        .number()
        .int()
        .min(1024)
        .default(4 * 1024 * 1024)
        .describe('The largest message Envoy may send.'),
      firstMessageTimeoutMs: z
        .number()
        .int()
        .min(100)
        .default(15_000)
        .describe('How long a gRPC caller may take to send its first message.'),
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
})

function hasOpaBundles({ opa }: NonNullable<z.infer<typeof shape>['policy']>): boolean {
  return Object.keys(opa?.bundles ?? {}).length > 0
}

/** What a part of the configuration needs of another. */
const needs: readonly {
  readonly path: readonly string[]
  readonly message: string
  readonly isMet: (config: z.infer<typeof shape>) => boolean
}[] = [
  ...(['residency', 'traffic'] as const).map((part) => ({
    path: [part],
    message: 'resources beside it, which say what is allowed',
    isMet: (config: z.infer<typeof shape>) => config[part] === undefined || config.resources !== undefined,
  })),
  {
    path: ['limits', 'overload', 'models'],
    message:
      'queue.waitMs of at most decision.firstMessageTimeoutMs less decision.deadlineMs, which is as long as Envoy waits',
    isMet: ({ limits, decision: { firstMessageTimeoutMs, deadlineMs } }) =>
      limits?.overload?.models.every(({ queue }) => queue.waitMs + deadlineMs <= firstMessageTimeoutMs) !==
      false,
  },
  {
    path: ['limits'],
    message: 'resources beside it, which say what is allowed, or rateLimit.store: limits',
    isMet: ({ limits, resources, rateLimit }) =>
      limits === undefined || resources !== undefined || rateLimit?.store === 'limits',
  },
  {
    path: ['rateLimit', 'store'],
    message: 'limits beside it, which say where counters are, or memory',
    isMet: ({ rateLimit, limits }) => rateLimit?.store !== 'limits' || limits !== undefined,
  },
  {
    path: ['rateLimit', 'mode'],
    message: 'store: limits beside leased; in memory there is nothing to draw from',
    isMet: ({ rateLimit }) => rateLimit?.mode !== 'leased' || rateLimit.store === 'limits',
  },
  {
    path: ['residency', 'requireTag'],
    message: 'identity, without which there is no tenant, or false',
    isMet: ({ residency, identity }) => residency?.requireTag !== true || identity !== undefined,
  },
  {
    path: ['envoy', 'tls', 'trustBundles'],
    message: 'a bundle for each of identity.trustDomains',
    isMet: ({ envoy, identity }) =>
      envoy?.tls === undefined ||
      (identity?.trustDomains ?? []).every((domain) => Object.hasOwn(envoy.tls?.trustBundles ?? {}, domain)),
  },
  {
    path: ['envoy', 'tls'],
    message: 'certificate files for Envoy, or identity.source, from which the agent gives it certificates',
    isMet: ({ envoy, identity }) =>
      envoy === undefined || envoy.tls !== undefined || identity?.source !== undefined,
  },
  {
    path: ['listen', 'agent'],
    message: 'unix:/path beside identity.source, for private keys are served there',
    isMet: ({ listen, identity }) => identity?.source === undefined || listen.agent.startsWith('unix:'),
  },
  {
    path: ['identity', 'source'],
    message: 'spire or files: the profile is production, in which the development CA has no place',
    isMet: ({ profile, identity }) => profile !== 'production' || identity?.source?.type !== 'dev',
  },
  {
    path: ['identity', 'federation'],
    message: 'endpointSpiffeId and bundle beside https_spiffe, and neither beside https_web',
    isMet: ({ identity }) =>
      Object.values(identity?.federation ?? {}).every(
        ({ profile, endpointSpiffeId, bundle }) =>
          (profile === 'https_spiffe') === (endpointSpiffeId !== undefined) &&
          (profile === 'https_spiffe') === (bundle !== undefined),
      ),
  },
  {
    path: ['issuers'],
    message: 'identity beside it: a token is judged with the workload that sends it',
    isMet: ({ issuers, identity }) => issuers === undefined || identity !== undefined,
  },
  {
    path: ['tokens'],
    message: 'issuers beside it, whose tokens they are',
    isMet: ({ tokens, issuers }) => tokens === undefined || issuers !== undefined,
  },
  {
    path: ['issuers'],
    message: 'identity.source beside the profile jwt-svid: the keys are those of its trust bundles',
    isMet: ({ issuers, identity }) =>
      identity?.source !== undefined || issuers?.every(({ profile }) => profile !== 'jwt-svid') !== false,
  },
  {
    path: ['policy', 'isolation'],
    message: 'none beside the compiled engine, which stops what does not end by itself',
    isMet: ({ policy }) => policy?.engine !== 'compiled' || policy.isolation === 'none',
  },
  {
    path: ['policy'],
    message: 'bundle, or bundles in opa',
    isMet: ({ policy }) => policy === undefined || policy.bundle !== undefined || hasOpaBundles(policy),
  },
  {
    path: ['policy', 'bundle'],
    message: 'no bundle beside opa.bundles: put it there, with resource: file:///path',
    isMet: ({ policy }) => policy === undefined || policy.bundle === undefined || !hasOpaBundles(policy),
  },
  {
    path: ['policy', 'staleAfterSeconds'],
    message: 'a number of seconds beside onStale, for without it nothing is stale',
    isMet: ({ policy }) => policy?.onStale !== 'refuse' || policy.staleAfterSeconds !== undefined,
  },
  {
    path: ['policy', 'evaluationDeadlineMs'],
    message: 'at most decision.deadlineMs, after which nobody waits for the evaluation',
    isMet: ({ policy, decision }) =>
      policy?.isolation !== 'worker' || policy.evaluationDeadlineMs <= decision.deadlineMs,
  },
  {
    path: ['policy', 'verification'],
    message: 'keys and signing in policy.opa, where the bundles are',
    isMet: ({ policy }) =>
      policy === undefined || !hasOpaBundles(policy) || policy.verification === undefined,
  },
  {
    path: ['policy', 'verification'],
    message: 'keys: the profile is production, which takes signed bundles only',
    isMet: ({ profile, policy }) =>
      profile !== 'production' || policy?.bundle === undefined || policy.verification !== undefined,
  },
  {
    path: ['policy', 'opa', 'bundles'],
    message: 'signing in each bundle, without allow_unsigned_delta_bundles: the profile is production',
    isMet: ({ profile, policy }) =>
      profile !== 'production' ||
      Object.values(policy?.opa?.bundles ?? {}).every(
        ({ signing }) => signing !== undefined && signing.allow_unsigned_delta_bundles !== true,
      ),
  },
  {
    path: ['policy', 'opa', 'services'],
    message: 'no allow_insecure_tls: the profile is production',
    isMet: ({ profile, policy }) =>
      profile !== 'production' ||
      Object.values(policy?.opa?.services ?? {}).every((service) => service.allow_insecure_tls !== true),
  },
  {
    path: ['policy', 'verification', 'keyId'],
    message: 'one of policy.verification.keys',
    isMet: ({ policy }) => {
      const { keyId, keys } = policy?.verification ?? {}
      return keyId === undefined || Object.hasOwn(keys ?? {}, keyId)
    },
  },
  {
    path: ['envoy', 'messageTimeoutMs'],
    message: 'more than decision.deadlineMs, so that the refusal is ours',
    isMet: ({ envoy, decision }) => envoy === undefined || envoy.messageTimeoutMs > decision.deadlineMs,
  },
  postureNeed,
  {
    path: ['envoy', 'admission'],
    message: 'another address than envoy.main',
    isMet: ({ envoy }) => envoy?.admission !== envoy?.main || envoy === undefined,
  },
]

/** `sluice.yaml`. Strict: a key that is not listed is an error, not ignored. */
export const configSchema = shape.superRefine((config, context) => {
  for (const { path, message, isMet } of needs) {
    if (!isMet(config)) context.addIssue({ code: 'custom', path: [...path], message })
  }
})

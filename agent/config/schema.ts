import { z } from 'zod'

const listenAddress = z
  .string()
  .regex(/^(unix:\/\S+|(127\.0\.0\.1|\[::1\]|localhost|0\.0\.0\.0):\d{1,5})$/, 'unix:/path or 127.0.0.1:port')

const hostPort = z.string().regex(/^[^\s:]+:\d{1,5}$/, 'host:port')

/** `sluice.yaml`. Strict: a key that is not listed is an error, not ignored. */
export const configSchema = z.strictObject({
  role: z.enum(['model', 'edge']).default('model').describe('Where the agent sits.'),
  identity: z
    .strictObject({
      trustDomains: z
        .array(z.string())
        .min(1)
        .describe('SPIFFE trust domains whose workloads may call; every other is refused.'),
    })
    .optional()
    .describe('Who may call. Without it no identity or tenant is demanded.'),
  policy: z
    .strictObject({
      bundle: z.string().min(1).describe('A bundle file (.tar.gz) built for wasm, watched for changes.'),
      decision: z
        .string()
        .regex(/^[^/.\s]+(\/[^/.\s]+)*$/, 'a path such as envoy/authz/allow')
        .default('envoy/authz/allow'),
    })
    .optional()
    .describe('Rego, compiled to wasm.'),
  limits: z
    .strictObject({ store: z.literal('memory').default('memory') })
    .optional()
    .describe('Quotas and rates.'),
  residency: z
    .strictObject({
      zone: z.string().describe('The zone this agent stands in.'),
      partOf: z
        .array(z.string())
        .default([])
        .describe('Larger zones that this one belongs to, for example GCC.'),
      requireTag: z.boolean().default(true).describe('Refuse a tenant that says nothing about residency.'),
    })
    .optional(),
  traffic: z.strictObject({}).optional().describe('Choose versions by ModelRoute resources.'),
  audit: z
    .strictObject({ dir: z.string().describe('Where the record is written, one JSON line a decision.') })
    .optional(),
  resources: z
    .strictObject({
      dir: z.string().describe('A directory of resource files (.yaml, .yml, .json), watched.'),
    })
    .optional(),
  listen: z.strictObject({
    agent: listenAddress.describe('Where Envoy calls ext_authz, ext_proc and health.'),
    probes: z
      .string()
      .regex(/^(\S+:\d{1,5})$/, 'host:port')
      .default('127.0.0.1:15021')
      .describe('/livez /readyz /metrics'),
  }),
  envoy: z
    .strictObject({
      main: hostPort.describe('The mTLS listener with the whole pipeline (ext_proc).'),
      admission: hostPort
        .optional()
        .describe('A second mTLS listener that only asks for admission (ext_authz).'),
      tls: z.strictObject({
        certificate: z.string().describe('PEM chain that Envoy presents.'),
        privateKey: z.string().describe('PEM key of that certificate.'),
        trustBundles: z
          .record(z.string(), z.string())
          .describe('PEM file of CA certificates by trust domain.'),
      }),
      upstream: z.strictObject({
        http: hostPort.describe("The model server's HTTP port."),
        grpc: hostPort.describe("The model server's gRPC port."),
      }),
      admin: z
        .union([hostPort, z.string().regex(/^unix:\/\S+$/)])
        .optional()
        .describe("Envoy's admin address; a Unix socket where possible."),
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
          'How much of an HTTP request body policy sees; 0 for none. A larger body is cut and marked so.',
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

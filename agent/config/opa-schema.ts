import { z } from 'zod'
import { isJsonObject } from '#base/json.ts'
import { checkLogs, decisionLogsSchema, statusSchema } from './opa-logs-schema.ts'

/** A key of OPA's that is an error here: what to do instead is what the error says was expected. */
const unserved = (what: string) =>
  z
    .unknown()
    .refine((value) => value === undefined, what)
    .optional()
    .meta({ isUnserved: true })

/** A switch that can only be off. */
const isFalse = (what: string) =>
  z
    .boolean()
    .refine((value) => !value, what)
    .optional()

const path = z.string().min(1)
const seconds = z.int().min(0)
const httpUrl = z
  .url({ protocol: /^https?$/, error: 'an http or https URL' })
  .refine((text) => URL.canParse(text) && new URL(text).username === '', 'no user in the URL')
const decisionPath = z
  .string()
  .transform((text) => text.replace(/^\/+/, ''))
  .pipe(z.string().regex(/^[^/.\s]+(\/[^/\s]+)*$/, 'a path such as envoy/authz/allow'))

const bearer = z
  .strictObject({
    token: z.string().min(1).optional(),
    token_path: path.optional().describe('Read for each request.'),
    scheme: z.string().min(1).optional(),
  })
  .refine(
    ({ token, token_path }) => (token === undefined) !== (token_path === undefined),
    'one of token and token_path',
  )

const clientTls = z.strictObject({
  cert: path.describe('PEM chain to show to the server.'),
  private_key: path,
  private_key_passphrase: z.string().optional(),
  cert_reread_interval_seconds: seconds.optional().describe('0, the default, for each connection.'),
  ca_cert: path.optional().describe('Older place of tls.ca_cert.'),
  system_ca_required: z.boolean().optional(),
})

const token = 'a bearer token in a file (bearer.token_path) that whoever knows this service renews'
const service = z.strictObject({
  url: httpUrl,
  headers: z.record(z.string(), z.string()).optional(),
  response_header_timeout_seconds: seconds.optional().describe('0 for no limit. Default 10.'),
  allow_insecure_tls: z.boolean().optional().describe('Refused in the production profile.'),
  tls: z
    .strictObject({ ca_cert: path.optional(), system_ca_required: z.boolean().optional() })
    .optional()
    .describe("Without ca_cert the system's and Node's CAs are trusted."),
  credentials: z
    .strictObject({
      bearer: bearer.optional(),
      client_tls: clientTls.optional(),
      oauth2: unserved(token),
      s3_signing: unserved('a server that takes a bearer token, or a mirror of the bucket beside the agent'),
      gcp_metadata: unserved(token),
      azure_managed_identity: unserved(token),
      plugin: unserved('bearer or client_tls'),
    })
    .refine(
      (given) => given.bearer === undefined || given.client_tls === undefined,
      'one kind of credentials for a service',
    )
    .optional(),
  type: unserved('a plain HTTP server: OCI registries are not asked'),
})

/** A list of services with a name each is the older way to write the map. */
function byName(given: unknown): unknown {
  if (!Array.isArray(given)) return given
  const names = given.map((each: unknown) => (isJsonObject(each) ? each['name'] : undefined))
  if (names.some((name) => typeof name !== 'string') || new Set(names).size < names.length) return given
  return Object.fromEntries(given.map(({ name, ...rest }) => [name, rest]))
}
const services = z.preprocess(byName, z.record(z.string().min(1), service))

const delay = z.int().min(1).max(86_400)
const bundle = z.strictObject({
  service: z.string().optional().describe('Default: the first of services.'),
  resource: z
    .string()
    .min(1)
    .refine((text) => !text.startsWith('file:') || /^file:\/\/\/./.test(text), 'file:///absolute/path')
    .optional()
    .describe(
      "Below the service's URL, or file:///path of a bundle or folder, watched. Default `bundles/<name>`.",
    ),
  persist: z.boolean().default(false).describe('Keep the last good bundle and start from it.'),
  polling: z
    .strictObject({
      min_delay_seconds: delay.optional(),
      max_delay_seconds: delay.optional(),
      long_polling_timeout_seconds: z.int().min(1).max(3600).optional(),
      superseded_etag_ttl_seconds: unserved('no such key: only the tag of the bundle in force is sent'),
    })
    .refine(
      ({ min_delay_seconds: min, max_delay_seconds: max }) => (min === undefined) === (max === undefined),
      'min_delay_seconds and max_delay_seconds together',
    )
    .refine(
      ({ min_delay_seconds: min = 0, max_delay_seconds: max = min }) => min <= max,
      'a max_delay_seconds of at least min_delay_seconds',
    )
    .prefault({})
    .describe('Default: 60 to 120 seconds.'),
  trigger: z
    .string()
    .refine((trigger) => trigger === 'periodic', 'periodic: nobody can ask Sluice for a download by hand')
    .optional(),
  signing: z
    .strictObject({
      keyid: z.string().optional(),
      scope: z.string().optional(),
      exclude_files: z.array(z.string()).default([]),
      allow_unsigned_delta_bundles: z.boolean().optional(),
    })
    .optional()
    .describe(
      'The bundle must be signed. Without it, and with keys, a signature may be absent but never wrong.',
    ),
  size_limit_bytes: z
    .int()
    .min(1024)
    .max(1 << 30)
    .default(64 << 20)
    .describe('Of the archive, packed and unpacked.'),
})

const key = z.strictObject({
  key: z.string().min(1).describe('PEM of a public key or certificate; for HS algorithms the secret.'),
  algorithm: z
    .enum([
      ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
      ...(['ES256', 'ES384', 'ES512', 'HS256', 'HS384', 'HS512'] as const),
    ])
    .default('RS256'),
  scope: z.string().optional(),
  private_key: unserved('no private key: it would serve oauth2 alone'),
})

/** What may stand in `sluice.yaml` under `policy.opa`. */
const management = {
  services: services.prefault({}),
  bundles: z
    .record(
      z.string().regex(/^(?!.*(^|\/)\.\.?(\/|$))[^\s\0]+$/, 'a name without spaces and dots for folders'),
      bundle,
    )
    .default({}),
  keys: z.record(z.string(), key).default({}),
  labels: z.record(z.string(), z.string()).default({}).describe('Go out with decision logs and status.'),
  persistence_directory: path
    .default('.opa')
    .describe('Bundles are kept in its `bundles/<name>/bundle.tar.gz`.'),
  default_decision: decisionPath
    .optional()
    .describe("Taken, and of no effect: it is of OPA's REST API, which is not served."),
  decision_logs: decisionLogsSchema.optional(),
  status: statusSchema.optional(),
  nd_builtin_cache: z
    .boolean()
    .optional()
    .describe('Log the answers of builtins that are no function of their operands.'),
  bundle: unserved('bundles, a map, for the deprecated bundle'),
  discovery: unserved('what discovery would fetch, in this file'),
  default_authorization_decision: unserved("no such key: there is no API of OPA's to protect"),
  caching: unserved('no such key: nothing that it would bound is cached'),
  server: unserved("no such key: there is no API of OPA's to tune"),
  storage: unserved('no such key: data is held in memory'),
  distributed_tracing: unserved('no such key: no traces are sent yet'),
  metrics_export: unserved('no such key: metrics are on /metrics'),
}

const byteSize = z.int().min(1024)
const envoyPlugin = z
  .strictObject({
    addr: z
      .string()
      .regex(
        /^((grpc:\/\/)?[^\s/:]*:\d{1,5}|(grpc:\/\/)?\[[0-9a-fA-F:.]+\]:\d{1,5}|unix:\/\/[^@\s][^\s]*)$/,
        'host:port, :port or unix:///path',
      )
      .default(':9191'),
    path: decisionPath.optional().describe('Default envoy/authz/allow.'),
    query: z
      .string()
      .regex(
        /^data\.[A-Za-z_]\w*(\.[A-Za-z_]\w*|\["[^"\\/\s]+"\])*$/,
        'a reference such as data.envoy.authz.allow',
      )
      .optional()
      .describe('Deprecated: the path as a reference.'),
    'dry-run': z.boolean().default(false),
    'grpc-max-recv-msg-size': byteSize.default(4 << 20),
    'enable-performance-metrics': z
      .boolean()
      .optional()
      .describe('Taken for true always, under other names.'),
    'enable-reflection': isFalse('false: there is no reflection'),
    'skip-request-body-parse': z.boolean().default(false),
    'proto-descriptor': path.optional().describe('A FileDescriptorSet, by which gRPC bodies are parsed.'),
    'grpc-max-send-msg-size': unserved('no such key: answers are small'),
    'grpc-request-duration-seconds-buckets': unserved('no such key: the buckets of /metrics are fixed'),
  })
  .refine(({ path, query }) => path === undefined || query === undefined, 'one of path and query')

type Management = z.infer<z.ZodObject<typeof management>>

/** What a part needs of another; the path is where the mistake stands. */
function checkManagement(
  { services, bundles, keys, ...logs }: Management,
  context: z.core.$RefinementCtx,
): void {
  const fault = (at: (string | number)[], message: string) =>
    context.addIssue({ code: 'custom', path: at, message })
  const known = Object.keys(services)
  checkLogs(logs, known, fault)
  for (const [name, { service, resource, signing }] of Object.entries(bundles)) {
    if (!resource?.startsWith('file:')) {
      if (known.length === 0)
        fault(['bundles', name], 'services, of which it is fetched, or a resource file:///path')
      else if (service !== undefined && !Object.hasOwn(services, service))
        fault(['bundles', name, 'service'], `one of services: ${known.join(', ')}`)
    }
    if (signing === undefined) continue
    if (Object.keys(keys).length === 0) fault(['bundles', name, 'signing'], 'keys to verify with')
    else if (signing.keyid !== undefined && !Object.hasOwn(keys, signing.keyid))
      fault(['bundles', name, 'signing', 'keyid'], `one of keys: ${Object.keys(keys).join(', ')}`)
  }
}

/** OPA's configuration as it stands in `sluice.yaml`. @see https://www.openpolicyagent.org/docs/configuration */
export const opaSchema = z.strictObject(management).superRefine(checkManagement)

/** The file that `opa run -c` takes. */
export const opaFileSchema = z
  .strictObject({
    ...management,
    plugins: z
      .strictObject({ envoy_ext_authz_grpc: envoyPlugin.prefault({}) })
      .prefault({})
      .describe('Another plugin than envoy_ext_authz_grpc is an error.'),
  })
  .superRefine(checkManagement)

export type OpaConfig = z.infer<typeof opaSchema>
export type OpaFile = z.infer<typeof opaFileSchema>

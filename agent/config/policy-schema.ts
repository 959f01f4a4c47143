import { z } from 'zod'
import { opaSchema } from './opa-schema.ts'

const path = z.string().min(1)
const decisionPath = z.string().regex(/^[^/.\s]+(\/[^/\s]+)*$/, 'a path such as envoy/authz/allow')

/** What policy is, where it comes from and how it is asked. */
export const policySchema = z.strictObject({
  bundle: path.optional().describe('A bundle (.tar.gz, or a folder laid out like one), watched for changes.'),
  opa: opaSchema
    .optional()
    .describe(
      "OPA's own configuration, in its spelling: bundles from servers or files instead of `bundle`, logs and status reports.",
    ),
  decision: decisionPath.default('envoy/authz/allow'),
  engine: z
    .enum(['wasm', 'compiled'])
    .default('wasm')
    .describe(
      'What evaluates: the wasm module of the bundle (opa build -t wasm), or its plan (opa build -t plan) as JavaScript.',
    ),
  response: z
    .strictObject({
      decision: decisionPath
        .optional()
        .describe('What is asked about an answer; `policy.decision` if absent. See `input.serving.phase`.'),
      body: z
        .enum(['none', 'summary', 'json'])
        .default('none')
        .describe(
          'What policy sees of an answer: nothing of the body, its tensors without their contents, or its JSON as well. Only what is shown can be redacted.',
        ),
    })
    .optional()
    .describe('Ask policy about answers too (ext_proc only).'),
  candidate: z
    .strictObject({
      bundle: path.describe(
        'A bundle (.tar.gz, or a folder laid out like one), watched, verified as the one in force.',
      ),
      samplePercent: z
        .number()
        .gt(0)
        .max(100)
        .default(100)
        .describe('How many of the decisions are compared.'),
    })
    .optional()
    .describe(
      'A policy that is asked beside the one in force: differences are counted and logged, never enforced.',
    ),
  onUndefined: z
    .enum(['deny', 'grpc_error'])
    .default('deny')
    .describe(
      "What an undefined decision is: a denial, or a failed call of which Envoy's failure mode decides.",
    ),
  onError: z
    .enum(['deny', 'grpc_error'])
    .default('deny')
    .describe('The same for a policy that fails or whose result cannot be used.'),
  dryRun: z
    .boolean()
    .default(false)
    .describe('Let requests go on that policy denies; what is decided is logged as it is.'),
  skipRequestBodyParse: z.boolean().default(false).describe('Leave `parsed_body` out of the input.'),
  requestTime: z
    .enum(['object', 'rfc3339'])
    .default('object')
    .describe('How `request.time` is written; older plugins wrote text.'),
  errorDetailToClient: z
    .boolean()
    .default(false)
    .describe('Tell the client why its request could not be judged.'),
  maxInputBytes: z
    .number()
    .int()
    .min(1024)
    .max(64 << 20)
    .default(1 << 20)
    .describe('A request whose input is larger is refused.'),
  maxDepth: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(128)
    .describe('A request whose JSON body nests deeper is refused.'),
  protoDescriptor: path
    .optional()
    .describe('A FileDescriptorSet (`protoc -o`, `buf build -o`), by which gRPC bodies are parsed.'),
  verification: z
    .strictObject({
      keys: z
        .record(
          z.string(),
          z.strictObject({
            file: path.describe('PEM of a public key or certificate; for HS algorithms the secret.'),
            algorithm: z
              .enum([
                ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
                ...(['ES256', 'ES384', 'ES512', 'HS256', 'HS384', 'HS512'] as const),
              ])
              .default('RS256'),
            scope: z.string().optional().describe('What this key may sign for.'),
          }),
        )
        .refine((keys) => Object.keys(keys).length > 0, 'at least one key')
        .describe('Keys by the id that `opa sign` was given.'),
      keyId: z.string().optional().describe('The key to use whatever the signature names.'),
      scope: z.string().optional().describe('The scope that the signature must have.'),
      excludeFiles: z.array(z.string()).default([]).describe('Globs of members that need not be signed.'),
    })
    .optional()
    .describe(
      'Only a bundle signed with one of these keys takes effect. For `bundle`; `opa` has keys of its own.',
    ),
  isolation: z
    .enum(['none', 'worker'])
    .default('none')
    .describe(
      'worker: evaluate in a thread of its own, which is ended with an evaluation that takes too long. Costs some 60 µs a decision.',
    ),
  evaluationDeadlineMs: z
    .int()
    .min(1)
    .max(60_000)
    .default(100)
    .describe('How long an evaluation may take where it is isolated.'),
  staleAfterSeconds: z
    .int()
    .min(10)
    .max(31_536_000)
    .optional()
    .describe('How long bundles may go without a word from their servers.'),
  onStale: z
    .enum(['warn', 'refuse'])
    .default('warn')
    .describe('Then: say so in the log, or refuse every request and be unready.'),
  revisionOrder: z
    .enum(['number', 'version', 'text'])
    .optional()
    .describe('How revisions are told older from newer where signatures have no iat (production profile).'),
})

import { z } from 'zod'

/*
 * The one description of `input`. Everything a policy may read stands here; an object that is not open to any key is
 * strict, which is what lets `opa check` find a typo.
 */

const texts = z.record(z.string(), z.string())
const anyJson = z.unknown()
const count = z.int().min(0)

const address = z.strictObject({
  socketAddress: z
    .strictObject({
      protocol: z.int(),
      address: z.string(),
      portValue: z.int(),
      namedPort: z.string(),
      resolverName: z.string(),
      ipv4Compat: z.boolean(),
    })
    .partial()
    .optional(),
  pipe: z.strictObject({ path: z.string(), mode: z.int() }).partial().optional(),
})

const peerAttributes = z
  .strictObject({
    address,
    service: z.string(),
    labels: texts,
    principal: z.string().describe("The certificate's first URI or DNS name, as Envoy read it"),
    certificate: z.string().describe('URL-encoded PEM'),
  })
  .partial()

const metadata = z
  .strictObject({
    filterMetadata: z.record(z.string(), z.record(z.string(), anyJson)),
    typedFilterMetadata: z.record(z.string(), z.strictObject({ typeUrl: z.string(), value: z.string() })),
  })
  .partial()

const rawHeader = z
  .strictObject({ key: z.string(), value: z.string(), rawValue: z.string().describe('Base64') })
  .partial()

const httpRequest = z
  .strictObject({
    id: z.string(),
    method: z.string(),
    headers: texts.describe('Lower-case names; values of a repeated header are joined with a comma'),
    headerMap: z.strictObject({ headers: z.array(rawHeader) }).partial(),
    path: z.string().describe('With its query, undecoded'),
    host: z.string(),
    scheme: z.string(),
    query: z.string(),
    fragment: z.string(),
    size: z.int().describe('-1 where it is not known'),
    protocol: z.string(),
    body: z.string(),
    rawBody: z.string().describe('Base64'),
  })
  .partial()

const time = z.union([z.strictObject({ seconds: z.int(), nanos: z.int() }).partial(), z.string()])

const attributes = z
  .strictObject({
    source: peerAttributes,
    destination: peerAttributes,
    request: z.strictObject({ time, http: httpRequest }).partial(),
    contextExtensions: texts,
    metadataContext: metadata,
    routeMetadataContext: metadata,
    tlsSession: z.strictObject({ sni: z.string() }).partial(),
  })
  .partial()

const tensor = z.strictObject({
  name: z.string(),
  datatype: z.string().describe('FP32, INT64, BYTES, …'),
  shape: z.array(z.int()),
  elements: count.optional().describe('The product of the shape; absent where no double holds it'),
  bytes: count.optional().describe('What its content takes; absent where that cannot be known'),
})

const model = z.strictObject({
  verb: z
    .string()
    .describe('infer, generate, generate_stream, embed, metadata, model_ready, server_ready, …'),
  name: z.string().optional().describe('Absent for calls that are about the server'),
  requested_version: z.string().optional().describe('The version that the client named'),
  version: z.string().optional().describe('The version that will answer'),
  inputs: z.array(tensor).optional().describe('What is sent to the model; never its content'),
  generation: z
    .strictObject({
      stream: z.boolean(),
      max_tokens: count.optional(),
      n: count.optional(),
      messages: count.optional().describe('How many there are'),
      tools: count.optional().describe('How many there are'),
    })
    .optional()
    .describe("What a request of OpenAI's API says of what is to be generated; never its content"),
})

const response = z.strictObject({
  status: z.int(),
  headers: texts,
  upstream_address: z.string().optional().describe('Who answered'),
  body_bytes: count.optional().describe('Of what was seen of the body'),
  truncated_body: z.boolean().optional(),
  outputs: z.array(tensor).optional().describe('Tensors of a V2 answer, never their content'),
  body: anyJson
    .optional()
    .describe('The JSON of the answer, where that is configured and all of it was seen'),
})

const serving = z.strictObject({
  phase: z.enum(['request', 'response']),
  protocol: z.string().optional().describe('v2-http, v2-grpc, openai'),
  model: model.optional(),
  tenant: z.strictObject({ name: z.string(), models: z.array(z.string()) }).optional(),
  peer: z
    .strictObject({
      spiffe_id: z.string(),
      trust_domain: z.string(),
      path: z.array(z.string()),
      cert: z.strictObject({ sha256: z.string(), not_after: z.int().describe('Seconds since the epoch') }),
    })
    .optional(),
  forwarded: z
    .strictObject({ spiffe_id: z.string(), by: z.string() })
    .optional()
    .describe('Whom a trusted gateway forwarded the request for'),
  token: z
    .strictObject({
      kind: z.enum(['jwt', 'jwt-svid', 'opaque']),
      issuer: z.string(),
      subject: z.string(),
      audiences: z.array(z.string()),
      scopes: z.array(z.string()),
      claims: z.record(z.string(), anyJson),
      expires_at: z.int().describe('Seconds since the epoch'),
      bound: z.boolean().describe('To a certificate or key, which was checked'),
      keys_stale: z.boolean().describe('Verified with keys that could not be refreshed in time'),
    })
    .optional()
    .describe('The access token, verified'),
  residency: z.strictObject({ zones: z.array(z.string()) }).optional(),
  response: response.optional().describe('In the response phase'),
})

/** What a policy is asked about. */
export const inputSchema = z
  .strictObject({
    attributes: attributes.describe("Envoy's CheckRequest, as the OPA Envoy plugin writes it"),
    version: z.strictObject({ ext_authz: z.string(), encoding: z.string() }),
    parsed_path: z.array(z.string()),
    parsed_query: z.record(z.string(), z.array(z.string())),
    parsed_body: anyJson.optional().describe('Null where the content type is none that is parsed'),
    truncated_body: z.boolean().optional(),
    source_principal: z.string().optional(),
    serving: serving.describe('What Sluice knows beside it'),
  })
  .describe('The input of a policy decision')

/** As JSON Schema, in the draft that `opa check --schema` reads. */
export function inputJsonSchema(): Readonly<Record<string, unknown>> {
  return {
    ...z.toJSONSchema(inputSchema, {
      target: 'draft-07',
      override: ({ jsonSchema }) => {
        // `opa` knows no propertyNames, and every name is text anyway.
        delete jsonSchema.propertyNames
        // The bounds of a double say nothing about the field.
        if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
        if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
      },
    }),
    title: 'Input of a Sluice policy',
  }
}

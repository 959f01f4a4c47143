import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import { ALLOW, allowWith, deny } from '#decision/verdict.ts'
import { extAuthzMethod } from '#envoy/ext-authz.ts'
import {
  AttributeContext_HttpRequestSchema,
  AttributeContext_RequestSchema,
  AttributeContextSchema,
} from '#gen/envoy/service/auth/v3/attribute_context_pb.js'
import { CheckRequestSchema, CheckResponseSchema } from '#gen/envoy/service/auth/v3/external_auth_pb.js'
import { bareCall, framed, headerMap, inferFrame, inferPath, type Kit, kit } from './kit.ts'

type Context = MessageInitShape<typeof AttributeContextSchema>
type Http = MessageInitShape<typeof AttributeContext_HttpRequestSchema>

function checkBytes(http: Http, context: Context = {}): Uint8Array {
  const attributes = create(AttributeContextSchema, context)
  attributes.request ??= create(AttributeContext_RequestSchema)
  attributes.request.http = create(AttributeContext_HttpRequestSchema, http)
  return toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes }))
}

async function check({ pipeline, log }: Kit, bytes: Uint8Array) {
  const method = extAuthzMethod({ pipeline, log, clock: { nowMs: () => 1000, monotonicUs: () => 0 } })
  if (method.kind !== 'unary') throw new Error('Check is unary')
  const answer = await method.handle(Buffer.from(bytes), bareCall)
  return answer instanceof Uint8Array ? fromBinary(CheckResponseSchema, answer) : answer
}

/** The facts that the stages saw. */
async function factsOf(bytes: Uint8Array): Promise<RequestFacts> {
  const seen: RequestFacts[] = []
  await check(
    kit({
      request: (x) => {
        seen.push(x.request)
        return ALLOW
      },
    }),
    bytes,
  )
  return seen[0] as RequestFacts
}

const valid: Http = {
  id: '17',
  method: 'POST',
  path: '/v2/models/fraud/infer?a=1',
  host: 'models',
  scheme: 'https',
  protocol: 'HTTP/2',
  size: -1n,
  headers: { ':path': '/v2/models/fraud/infer?a=1', 'x-request-id': 'r1' },
}

t.test('each verdict has its answer, and the exchange ends once', async (t) => {
  const rows = [
    ['allow', ALLOW, { status: { code: 0 }, httpResponse: { case: 'okResponse' } }],
    [
      'deny',
      deny('rate_limited'),
      { status: { code: 8 }, httpResponse: { case: 'deniedResponse', value: { status: { code: 429 } } } },
    ],
    [
      'an exception',
      new Error('broken'),
      { status: { code: 14 }, httpResponse: { case: 'errorResponse', value: { status: { code: 503 } } } },
    ],
  ] as const
  for (const [name, verdict, expected] of rows) {
    for (const isLate of [false, true]) {
      const decide = () => {
        if (verdict instanceof Error) throw verdict
        return verdict
      }
      const bench = kit({ request: isLate ? async () => decide() : decide })
      t.match(await check(bench, checkBytes(valid)), expected, `${name}${isLate ? ', later' : ''}`)
      t.strictSame([...bench.ends.values()], [1])
    }
  }
})

t.test(
  'what an allowed request changes is written so that nothing of the client survives beside it',
  async (t) => {
    const bench = kit({
      request: () =>
        allowWith({
          setHeaders: [['x-own', '1']],
          removeHeaders: ['x-gone', 'x-own'],
          addResponseHeaders: [['x-back', '2']],
          setQuery: [['q', '3']],
          removeQuery: ['a'],
          dynamicMetadata: { decision_id: 'd', nested: { list: [1, 'a', null] } },
        }),
    })
    const spoofed = { ...valid, headers: { ...valid.headers, 'x-sluice-tenant': 'other' } }
    const answer = await check(bench, checkBytes(spoofed))
    const id = [...bench.ends.keys()][0]
    const option = (key: string, value: string) => ({
      header: { key, value },
      append: false,
      appendAction: 2,
    })
    t.match(answer, {
      httpResponse: {
        value: {
          headers: [
            option(':path', '/v2/models/fraud/infer?q=3'),
            option('x-own', '1'),
            option('x-sluice-decision-id', id ?? ''),
          ],
          headersToRemove: ['x-gone', 'x-sluice-tenant'],
          responseHeadersToAdd: [{ header: { key: 'x-back', value: '2' } }],
          queryParametersToSet: [],
          queryParametersToRemove: [],
        },
      },
      dynamicMetadata: { decision_id: 'd', nested: { list: [1, 'a', null] } },
    })
  },
)

t.test('a gRPC client sees the status of the reason, not the one Envoy would derive', async (t) => {
  const grpc = { ...valid, path: '/a.B/C', headers: { 'content-type': 'application/grpc' } }
  for (const [reason, status] of [
    ['policy_denied', '7'],
    ['rate_limited', '8'],
    ['peer_certificate_missing', '16'],
  ] as const) {
    const answer = await check(kit({ request: () => deny(reason) }), checkBytes(grpc))
    t.match(answer, { httpResponse: { case: 'deniedResponse' } })
    const value = 'httpResponse' in answer ? answer.httpResponse.value : undefined
    t.match(
      value?.headers.find(({ header }) => header?.key === 'grpc-status'),
      { header: { value: status }, appendAction: 2 },
    )
  }
})

t.test('bytes that are no check, and checks that say nothing of a request, are refused', async (t) => {
  const empty = toBinary(CheckRequestSchema, create(CheckRequestSchema, {}))
  const certificate = checkBytes(valid, { source: { certificate: '%E0%A4%A' } })
  for (const bytes of [Buffer.from('garbage'), empty, certificate, checkBytes(valid).subarray(0, -3)]) {
    const bench = kit()
    t.match(await check(bench, bytes), { code: 3 })
    t.equal(bench.ends.size, 0)
  }
})

t.test('raw headers stand in the policy document as plain ones do', async (t) => {
  const raw = headerMap({ 'x-a': '1' })
  raw.headers.push(...headerMap({ 'x-a': '2' }).headers)
  const { headers: _, ...rest } = valid
  const document = (await factsOf(checkBytes({ ...rest, headerMap: raw }))).attributes()
  t.match(document, { request: { http: { headers: { 'x-a': '1,2' } } } })
})

t.test('headers are read from either place, with every value of a repeated one', async (t) => {
  const { headers: _, ...rest } = valid
  const raw = headerMap({ 'x-request-id': 'r1' })
  raw.headers.push(...headerMap({ 'x-a': '1' }).headers, ...headerMap({ 'x-a': '2' }).headers)
  const facts = await factsOf(checkBytes({ ...rest, headerMap: raw }))
  t.strictSame(facts.headers.all('x-a'), ['1', '2'])
  t.equal(facts.headers.single('x-a'), undefined)
  t.equal(facts.requestId, 'r1')
  t.equal((await factsOf(checkBytes(valid))).requestId, 'r1')
})

t.test('the certificate is decoded, and Envoy does not say whether it was validated', async (t) => {
  const facts = await factsOf(
    checkBytes(valid, {
      source: {
        certificate: '-----BEGIN%20CERTIFICATE-----%0AMII%2B%2F%3D%0A',
        address: {
          address: {
            case: 'socketAddress',
            value: { address: '10.0.0.9', portSpecifier: { case: 'portValue', value: 99 } },
          },
        },
      },
      tlsSession: { sni: 'models.example' },
      contextExtensions: { route: 'a' },
    }),
  )
  t.strictSame(facts.certificate, { pem: '-----BEGIN CERTIFICATE-----\nMII+/=\n' })
  t.match(facts, { sourceAddress: '10.0.0.9:99', sni: 'models.example', contextExtensions: { route: 'a' } })
})

t.test("a client cannot call a part of a body the whole by Envoy's own header", async (t) => {
  const { headers: _, ...rest } = valid
  const raw = headerMap({ 'x-envoy-auth-partial-body': 'false' })
  raw.headers.push(...headerMap({ 'x-envoy-auth-partial-body': 'true' }).headers)
  const facts = await factsOf(checkBytes({ ...rest, headerMap: raw, rawBody: Buffer.from('{') }))
  t.equal(facts.isBodyComplete, false)
})

t.test(
  'a gRPC message that names its model again, or of which a part is missing, is not vouched for',
  async (t) => {
    const frame = inferFrame()
    const second = framed(Buffer.concat([frame.subarray(5), Buffer.from('\x0a\x05other')]))
    const headers = { 'content-type': 'application/grpc' }
    const partial = { ...headers, 'x-envoy-auth-partial-body': 'true' }
    const rows = [
      [frame, headers, 'okResponse'],
      [second, headers, 'deniedResponse'],
      [Buffer.concat([frame, frame]), headers, 'deniedResponse'],
      [frame, partial, 'deniedResponse'],
    ] as const
    for (const [rawBody, sent, expected] of rows) {
      const bench = kit()
      const answer = await check(bench, checkBytes({ ...valid, path: inferPath, headers: sent, rawBody }))
      t.match(answer, { httpResponse: { case: expected } })
      t.strictSame([...bench.ends.values()], [1])
    }
  },
)

t.test("input.attributes is the OPA Envoy plugin's document", async (t) => {
  const socket = (address: string, value: number) =>
    ({
      address: {
        case: 'socketAddress',
        value: { address, portSpecifier: { case: 'portValue', value } },
      },
    }) as const
  const rows: readonly (readonly [string, Uint8Array, JsonObject])[] = [
    [
      'only what is populated',
      checkBytes({ method: 'GET', path: '/' }),
      { request: { http: { method: 'GET', path: '/' } } },
    ],
    [
      'everything',
      checkBytes(
        { ...valid, body: '{"a":1}', rawBody: Buffer.from([0, 255]), headerMap: headerMap({ a: 'b' }) },
        {
          source: {
            address: socket('10.0.0.9', 99),
            principal: 'spiffe://a/b',
            certificate: 'x%20y',
            labels: { app: 'web' },
          },
          destination: { address: socket('10.0.0.1', 8443), service: 's' },
          request: { time: { seconds: 1_700_000_000n, nanos: 5 } },
          contextExtensions: { route: 'a' },
          metadataContext: {
            filterMetadata: { 'envoy.filters.http.jwt_authn': { claims: { aud: ['x'], n: 1.5, no: null } } },
            typedFilterMetadata: { t: { typeUrl: 'type.googleapis.com/x', value: Buffer.from([1, 2, 3]) } },
          },
          routeMetadataContext: {},
          tlsSession: { sni: 'models.example' },
        },
      ),
      {
        source: {
          address: { socketAddress: { address: '10.0.0.9', portValue: 99 } },
          principal: 'spiffe://a/b',
          certificate: 'x%20y',
          labels: { app: 'web' },
        },
        destination: { address: { socketAddress: { address: '10.0.0.1', portValue: 8443 } }, service: 's' },
        request: {
          time: { seconds: 1_700_000_000, nanos: 5 },
          http: {
            id: '17',
            method: 'POST',
            path: '/v2/models/fraud/infer?a=1',
            host: 'models',
            scheme: 'https',
            protocol: 'HTTP/2',
            size: -1,
            headers: { ':path': '/v2/models/fraud/infer?a=1', 'x-request-id': 'r1' },
            headerMap: { headers: [{ key: 'a', rawValue: 'Yg==' }] },
            body: '{"a":1}',
            rawBody: 'AP8=',
          },
        },
        contextExtensions: { route: 'a' },
        metadataContext: {
          filterMetadata: { 'envoy.filters.http.jwt_authn': { claims: { aud: ['x'], n: 1.5, no: null } } },
          typedFilterMetadata: { t: { typeUrl: 'type.googleapis.com/x', value: 'AQID' } },
        },
        routeMetadataContext: {},
        tlsSession: { sni: 'models.example' },
      },
    ],
  ]
  for (const [name, bytes, expected] of rows) {
    // As JSON, which is how a policy gets it.
    t.strictSame(JSON.parse(JSON.stringify((await factsOf(bytes)).attributes())), expected, name)
  }
})

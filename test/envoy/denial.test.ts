import t from 'tap'
import type { ClientKind } from '#decision/exchange.ts'
import { type ReasonCode, reasons } from '#decision/reasons.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { deny, failure, type Refusal } from '#decision/verdict.ts'
import { clientKind } from '#envoy/client-kind.ts'
import { callFailure, denialOf } from '#envoy/denial.ts'
import { StatusCode } from '#gen/envoy/type/v3/http_status_pb.js'
import { encodeGrpcMessage } from '#grpc/service.ts'

const id = '00000000-0000-4000-8000-000000000000'
const kinds: readonly ClientKind[] = ['http', 'json', 'grpc', 'grpc-web']

t.test('the kind of client is told by what it sends and accepts', async (t) => {
  const rows: readonly (readonly [Readonly<Record<string, string>>, ClientKind])[] = [
    [{}, 'http'],
    [{ 'content-type': 'text/plain' }, 'http'],
    [{ 'content-type': 'application/octet-stream' }, 'http'],
    [{ 'content-type': 'application/octet-stream', 'inference-header-content-length': '90' }, 'json'],
    [{ 'content-type': 'application/json; charset=utf-8' }, 'json'],
    [{ accept: 'text/html, application/problem+json' }, 'json'],
    [{ 'content-type': 'application/grpc' }, 'grpc'],
    [{ 'content-type': 'application/grpc+proto' }, 'grpc'],
    [{ 'content-type': 'Application/GRPC;v=1' }, 'grpc'],
    [{ 'content-type': 'application/grpc', accept: 'application/json' }, 'grpc'],
    [{ 'content-type': 'application/grpcfoo' }, 'http'],
    [{ 'content-type': 'application/grpc-web' }, 'grpc-web'],
    [{ 'content-type': 'application/grpc-web+proto' }, 'grpc-web'],
    [{ 'content-type': 'application/grpc-web-text' }, 'grpc-web'],
  ]
  for (const [fields, kind] of rows) {
    const headers = new RequestHeaders()
    for (const [name, value] of Object.entries(fields)) headers.add(name, value)
    t.equal(clientKind(headers), kind, JSON.stringify(fields))
  }
  const twice = new RequestHeaders()
  twice.add('content-type', 'text/plain')
  twice.add('content-type', 'application/grpc')
  t.equal(clientKind(twice), 'grpc', 'a second content type hides nothing')
})

t.test(
  'every reason reads the same way to every kind of client, and says no more than its text',
  async (t) => {
    for (const code of Object.keys(reasons) as ReasonCode[]) {
      const { httpStatus, grpcStatus, text } = reasons[code]
      t.ok(StatusCode[httpStatus] !== undefined, `Envoy knows ${httpStatus}`)
      for (const kind of kinds) {
        for (const refusal of [deny(code, 'SECRET'), failure(code, new Error('SECRET'))]) {
          const denial = denialOf(refusal, { client: kind, decisionId: id })
          const headers = Object.fromEntries(denial.headers)
          t.notMatch(JSON.stringify(denial), /SECRET/)
          t.equal(headers['x-sluice-decision-id'], id)
          if (kind === 'grpc') t.match(denial, { httpStatus, grpcStatus, body: text }, `${code} to ${kind}`)
          else if (kind === 'grpc-web')
            t.match(
              { ...denial, headers },
              {
                httpStatus: 200,
                body: '',
                headers: {
                  'content-type': 'application/grpc-web+proto',
                  'grpc-status': String(grpcStatus),
                  'grpc-message': encodeGrpcMessage(text),
                },
              },
            )
          else if (kind === 'json') {
            t.equal(headers['content-type'], 'application/problem+json')
            t.match(JSON.parse(denial.body), {
              type: /^https:\/\//,
              title: text,
              status: httpStatus,
              instance: `urn:uuid:${id}`,
              error: text,
            })
          } else t.match(denial, { httpStatus, body: `${text}\n` })
        }
      }
    }
  },
)

t.test('a rate limit says when to come back', async (t) => {
  for (const kind of kinds) {
    const denial = denialOf(
      { kind: 'deny', reason: 'rate_limited', retryAfterSeconds: 7 },
      { client: kind, decisionId: id },
    )
    t.equal(Object.fromEntries(denial.headers)['retry-after'], '7', kind)
  }
})

t.test("a policy's own denial replaces status, text and headers", async (t) => {
  const own = {
    httpStatus: 401,
    body: '{"why":"no"}',
    headers: [
      ['content-type', 'application/vnd.own+json'],
      ['www-authenticate', 'Bearer'],
    ],
  } as const
  const denial = (kind: ClientKind) =>
    denialOf({ kind: 'deny', reason: 'policy_denied', own }, { client: kind, decisionId: id })
  for (const kind of ['http', 'json'] as const) {
    const { httpStatus, body, headers } = denial(kind)
    t.equal(httpStatus, 401)
    t.equal(body, own.body)
    t.match(Object.fromEntries(headers), Object.fromEntries(own.headers))
    t.equal(headers.filter(([name]) => name === 'content-type').length, 1)
  }
  t.match(denial('grpc'), { grpcStatus: 16, body: own.body })
  t.notOk(denial('grpc').headers.some(([name]) => name === 'content-type'))
  t.match(Object.fromEntries(denial('grpc-web').headers), {
    'content-type': 'application/grpc-web+proto',
    'grpc-status': '16',
  })
})

t.test('a policy that wrote no body has none sent, and no content type', async (t) => {
  const denial = (kind: ClientKind) =>
    denialOf({ kind: 'deny', reason: 'policy_denied', own: {} }, { client: kind, decisionId: id })
  for (const kind of ['http', 'json', 'grpc'] as const) {
    t.match(denial(kind), { httpStatus: 403, body: '' }, kind)
    t.same(denial(kind).headers, [['x-sluice-decision-id', id]], kind)
  }
})

t.test('a refusal says more to the client only where it carries more', async (t) => {
  const refusal = { ...deny('request_malformed', 'SECRET'), clientDetail: 'why' } as const
  t.equal(denialOf(refusal, { client: 'http', decisionId: id }).body, 'The request could not be read. why\n')
  t.equal(denialOf(refusal, { client: 'grpc', decisionId: id }).body, 'The request could not be read. why')
  t.match(JSON.parse(denialOf(refusal, { client: 'json', decisionId: id }).body), {
    detail: 'why',
    status: 400,
  })
})

t.test('only our own failures fail the call, and only on demand', async (t) => {
  const error = failure('policy_failed', new Error('SECRET'))
  t.equal(callFailure(error), undefined)
  t.equal(callFailure(deny('policy_denied')), undefined)
  t.same(callFailure({ ...error, kind: 'error', cause: null, failsCall: true }), {
    code: 2,
    message: 'A decision could not be made.',
  })
})

t.test('a challenge is one header that every kind of client gets', async (t) => {
  const refusal = {
    ...deny('dpop_nonce_required', 'SECRET'),
    challenge: {
      schemes: [
        {
          scheme: 'DPoP',
          parameters: [
            ['error', 'use_dpop_nonce'],
            ['algs', 'ES256 EdDSA'],
          ],
        },
        { scheme: 'Bearer', parameters: [] },
      ],
      nonce: 'n-1',
    },
  } as const
  for (const kind of kinds) {
    const { headers } = denialOf(refusal, { client: kind, decisionId: id })
    t.match(
      Object.fromEntries(headers),
      {
        'www-authenticate': 'DPoP error="use_dpop_nonce", algs="ES256 EdDSA", Bearer',
        'dpop-nonce': 'n-1',
        'cache-control': 'no-store',
      },
      kind,
    )
    t.equal(headers.filter(([name]) => name === 'www-authenticate').length, 1, kind)
  }
})

t.test('nothing in a challenge ends its quotes or its header', async (t) => {
  const challenge = (value: string) =>
    denialOf(
      {
        ...deny('token_expired'),
        challenge: { schemes: [{ scheme: 'Bearer', parameters: [['realm', value]] }] },
      } as Refusal,
      { client: 'http', decisionId: id },
    ).headers.find(([name]) => name === 'www-authenticate')?.[1]
  const rows: [value: string, text: string][] = [
    ['models', 'Bearer realm="models"'],
    ['a "b" c', 'Bearer realm="a \\"b\\" c"'],
    ['a\\', 'Bearer realm="a\\\\"'],
    ['a\r\nx: y\u0000\u00e9', 'Bearer realm="ax: y"'],
  ]
  for (const [value, text] of rows) t.equal(challenge(value), text)
})

t.test('a demand of a policy is told by us unless it wrote an answer of its own', async (t) => {
  const demand = { acrValues: ['mfa'] }
  const bare = { ...deny('step_up_required'), demand, own: { dynamicMetadata: { a: 1 } } } as Refusal
  t.match(denialOf(bare, { client: 'http', decisionId: id }), {
    httpStatus: 401,
    body: `${reasons.step_up_required.text}\n`,
  })
  t.match(JSON.parse(denialOf(bare, { client: 'json', decisionId: id }).body), { status: 401 })
  const written = { ...deny('scope_insufficient'), demand, own: { body: 'sign in' } } as Refusal
  t.match(denialOf(written, { client: 'http', decisionId: id }), { httpStatus: 403, body: 'sign in' })
})

import { create, createFileRegistry, type DescMessage, fromBinary, type Message } from '@bufbuild/protobuf'
import {
  DurationSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_duration,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt'
import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import type { ReasonCode } from '#decision/reasons.ts'
import { deny, failure, type QuotaNotice, type Refusal } from '#decision/verdict.ts'
import { denialOf, refusedOf } from '#envoy/denial.ts'
import { StatusSchema } from '#gen/google/rpc/status_pb.js'
import { anExchange, someRequest } from '../decision/an-exchange.ts'

const decisionId = '00000000-0000-4000-8000-000000000000'

const notice: QuotaNotice = {
  name: 'gold/tokens-day',
  unit: 'tokens',
  quota: 1000,
  windowSeconds: 86_400,
  remaining: 0,
  resetSeconds: 3600,
}
const exceeded: Refusal = {
  kind: 'deny',
  reason: 'quota_exceeded',
  detail: 'SECRET',
  retryAfterSeconds: 3600,
  quotas: [notice],
}

/** google/rpc/error_details.proto, as far as it is written here. */
const details = createFileRegistry(
  create(FileDescriptorSetSchema, {
    file: [
      file_google_protobuf_duration.proto,
      create(FileDescriptorProtoSchema, {
        name: 'google/rpc/error_details.proto',
        package: 'google.rpc',
        syntax: 'proto3',
        dependency: ['google/protobuf/duration.proto'],
        messageType: [
          {
            name: 'RetryInfo',
            field: [
              {
                name: 'retry_delay',
                number: 1,
                type: Type.MESSAGE,
                typeName: '.google.protobuf.Duration',
                label: Label.OPTIONAL,
              },
            ],
          },
          {
            name: 'QuotaFailure',
            nestedType: [
              {
                name: 'Violation',
                field: [
                  { name: 'subject', number: 1, type: Type.STRING, label: Label.OPTIONAL },
                  { name: 'description', number: 2, type: Type.STRING, label: Label.OPTIONAL },
                ],
              },
            ],
            field: [
              {
                name: 'violations',
                number: 1,
                type: Type.MESSAGE,
                typeName: '.google.rpc.QuotaFailure.Violation',
                label: Label.REPEATED,
              },
            ],
          },
          {
            name: 'ErrorInfo',
            field: [
              { name: 'reason', number: 1, type: Type.STRING, label: Label.OPTIONAL },
              { name: 'domain', number: 2, type: Type.STRING, label: Label.OPTIONAL },
            ],
          },
        ],
      }),
    ],
  }),
)

function readDetails(header: string | undefined) {
  const status = fromBinary(StatusSchema, Buffer.from(header ?? '', 'base64'))
  const read = status.details.map((any) => {
    const schema = details.getMessage(any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1)) as DescMessage
    return [any.typeUrl, fromBinary(schema, any.value) as Message & Record<string, unknown>] as const
  })
  return { code: status.code, message: status.message, details: new Map(read) }
}

t.test('a gRPC client reads when to come again, which quota is used up, and why', async (t) => {
  const denial = denialOf(exceeded, { client: 'grpc', decisionId })
  t.match(denial, { grpcStatus: 8, body: 'All that may be used is used up for now.' })
  const headers = Object.fromEntries(denial.headers)
  t.equal(headers['retry-after'], '3600')
  t.notOk(headers['grpc-status-details-bin']?.includes('='))
  const read = readDetails(headers['grpc-status-details-bin'])
  t.match(read, { code: 8, message: 'All that may be used is used up for now.' })
  const of = (type: string) => read.details.get(`type.googleapis.com/google.rpc.${type}`)
  t.match(of('RetryInfo'), { retryDelay: { $typeName: DurationSchema.typeName, seconds: 3600n, nanos: 0 } })
  t.match(of('QuotaFailure'), {
    violations: [{ subject: 'gold/tokens-day', description: 'All that may be used is used up for now.' }],
  })
  t.match(of('ErrorInfo'), { reason: 'QUOTA_EXCEEDED', domain: 'sluice.dev' })
  t.equal(read.details.size, 3)
  t.notOk('ratelimit' in headers, 'the header block of a refusal is its trailers')
})

t.test('gRPC-Web carries the same details', async (t) => {
  const headers = Object.fromEntries(denialOf(exceeded, { client: 'grpc-web', decisionId }).headers)
  t.equal(readDetails(headers['grpc-status-details-bin']).details.size, 3)
  t.equal(headers['grpc-status'], '8')
})

t.test('details say only what the refusal says', async (t) => {
  const rows: readonly (readonly [Refusal, types: readonly string[]])[] = [
    [{ kind: 'deny', reason: 'rate_limited', retryAfterSeconds: 1 }, ['RetryInfo', 'ErrorInfo']],
    [{ kind: 'deny', reason: 'quota_exceeded', quotas: [notice] }, ['QuotaFailure', 'ErrorInfo']],
    [{ kind: 'deny', reason: 'overloaded', retryAfterSeconds: 2 }, ['RetryInfo', 'ErrorInfo']],
  ]
  for (const [refusal, types] of rows) {
    const headers = Object.fromEntries(denialOf(refusal, { client: 'grpc', decisionId }).headers)
    t.same(
      [...readDetails(headers['grpc-status-details-bin']).details.keys()].map((type) =>
        type.split('.').at(-1),
      ),
      types,
    )
  }
  for (const refusal of [deny('policy_denied'), failure('quota_store_lost', new Error('SECRET'))]) {
    const { headers } = denialOf(refusal, { client: 'grpc', decisionId })
    t.same(headers, [['x-sluice-decision-id', decisionId]])
  }
})

t.test(
  'a JSON client reads a registered problem type, the policies and the headers of the draft',
  async (t) => {
    const { httpStatus, headers, body } = denialOf(exceeded, { client: 'json', decisionId })
    t.equal(httpStatus, 429)
    t.match(JSON.parse(body), {
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'All that may be used is used up for now.',
      status: 429,
      'violated-policies': ['gold/tokens-day'],
    })
    t.match(Object.fromEntries(headers), {
      'content-type': 'application/problem+json',
      'retry-after': '3600',
      'ratelimit-policy': '"gold/tokens-day";q=1000;w=86400;sluice-unit="tokens"',
      ratelimit: '"gold/tokens-day";r=0;t=3600',
    })
    const types: readonly (readonly [ReasonCode, string])[] = [
      ['rate_limited', 'quota-exceeded'],
      ['concurrency_limited', 'quota-exceeded'],
      ['overloaded', 'temporary-reduced-capacity'],
      ['queue_timeout', 'temporary-reduced-capacity'],
      ['abnormal_usage', 'abnormal-usage-detected'],
    ]
    for (const [reason, type] of types) {
      const problem = JSON.parse(denialOf(deny(reason), { client: 'json', decisionId }).body)
      t.equal(problem.type, `https://iana.org/assignments/http-problem-types#${type}`)
      t.notOk('violated-policies' in problem, 'what is not told is not named')
    }
  },
)

t.test('a client of OpenAI reads its own kind of error', async (t) => {
  const rows: readonly (readonly [Refusal, error: object, shouldRetry: string | undefined])[] = [
    [exceeded, { type: 'insufficient_quota', code: 'insufficient_quota', param: null }, 'false'],
    [
      { kind: 'deny', reason: 'rate_limited', retryAfterSeconds: 3 },
      { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
      'true',
    ],
    [
      { kind: 'deny', reason: 'rate_limited', retryAfterSeconds: 61 },
      { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
      'false',
    ],
    [
      deny('quota_cost_impossible'),
      { type: 'invalid_request_error', code: 'quota_cost_impossible' },
      undefined,
    ],
    [deny('policy_denied', 'SECRET'), { type: 'invalid_request_error', code: 'policy_denied' }, undefined],
    [
      failure('quota_store_unavailable', new Error('SECRET')),
      { type: 'server_error', code: 'quota_store_unavailable' },
      undefined,
    ],
  ]
  for (const [refusal, error, shouldRetry] of rows) {
    for (const client of ['json', 'http'] as const) {
      const { headers, body } = denialOf(refusal, { client, decisionId, isOpenAi: true })
      t.match(JSON.parse(body), { error: { message: /^\w.*\.$/, ...error } })
      t.notMatch(body, /SECRET/)
      const all = Object.fromEntries(headers)
      t.equal(all['content-type'], 'application/json')
      t.equal(all['x-should-retry'], shouldRetry)
    }
  }
  const told = { ...exceeded, quotas: [{ ...notice, unit: 'tokens', remaining: 3 }] } as Refusal
  const { headers } = denialOf(told, { client: 'json', decisionId, isOpenAi: true })
  t.match(Object.fromEntries(headers), {
    'x-ratelimit-remaining-tokens': '3',
    'x-ratelimit-reset-tokens': /^([0-9]+[hm])*[0-9]+s$/,
  })
  const own: Refusal = { kind: 'deny', reason: 'policy_denied', own: { body: 'mine' } }
  t.equal(denialOf(own, { client: 'json', decisionId, isOpenAi: true }).body, 'mine')
})

t.test('who a client of OpenAI is, its call says, or its path before the call is known', async (t) => {
  const rows: readonly (readonly [Partial<Exchange>, boolean])[] = [
    [{ call: { protocol: 'openai', verb: 'generate' } }, true],
    [{ call: { protocol: 'v2-http', verb: 'infer' } }, false],
    [{ request: someRequest({ path: '/v1/chat/completions' }), call: undefined as never }, true],
    [{ request: someRequest({ path: '/v1/embeddings?x=/' }), call: undefined as never }, true],
    [{ request: someRequest({ path: '/v1/orders' }), call: undefined as never }, false],
    [{ request: someRequest({ path: '/x/v1/completions' }), call: undefined as never }, false],
  ]
  for (const [more, isOpenAi] of rows) t.equal(refusedOf(anExchange(more)).isOpenAi, isOpenAi)
})

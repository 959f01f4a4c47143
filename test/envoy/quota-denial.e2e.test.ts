import { join } from 'node:path'
import { fromBinary } from '@bufbuild/protobuf'
import t from 'tap'
import { createPipeline } from '#decision/pipeline.ts'
import { StatusSchema } from '#gen/google/rpc/status_pb.js'
import { createInferenceStage } from '#inference/inference.ts'
import { createLimitsStage } from '../../agent/limits/limits.ts'
import { createMemoryStore } from '../../agent/limits/store/memory.ts'
import { manualClock, someResources, strictForm } from '../decision/an-exchange.ts'
import { grpcInfer, inferRequest } from '../harness/grpc.ts'
import { http } from '../harness/http.ts'
import { temporaryFolder } from '../harness/temp.ts'
import { aPolicy } from '../limits/a-quota.ts'
import { startBothFilters } from './both-filters.ts'

t.test(
  'a used-up quota is told whole through a real Envoy, on both APIs, to every kind of client',
  async (t) => {
    using folder = temporaryFolder()
    const address = `unix:${join(folder.path, 'agent.sock')}`
    const clock = manualClock()
    // One call for each of the two listeners, and none of what comes after.
    const policy = aPolicy(
      { tenants: ['*'], scope: [], limits: [{ unit: 'requests', rate: 2, window: '30s', name: 'slow' }] },
      'gold',
    )
    const resources = someResources({ quotas: [policy], routes: new Map() })
    const pipeline = createPipeline({
      stages: [
        strictForm,
        createInferenceStage(),
        createLimitsStage({ store: createMemoryStore({ clock }), clock }),
      ],
      resources: () => resources,
      deadlineMs: 10_000,
    })
    await using world = await startBothFilters(pipeline, address)
    const { ports } = world
    const apis = ['ext_authz', 'ext_proc'] as const
    const call = (port: number, path: string, headers: Readonly<Record<string, string>> = {}) =>
      http({ port, path, body: '{}', headers })
    const v2 = '/v2/models/fraud/infer'
    for (const [index, api] of apis.entries()) {
      const { status, headers } = await call(ports[index] as number, v2)
      t.equal(status, 200, api)
      t.equal(headers['ratelimit-policy'], '"gold/slow";q=2;w=30', api)
      t.equal(headers['ratelimit'], `"gold/slow";r=${1 - index};t=${15 * (index + 1)}`, api)
    }
    for (const [index, api] of apis.entries()) {
      const port = ports[index] as number
      const json = await call(port, v2, { 'content-type': 'application/json' })
      t.match(json, {
        status: 429,
        headers: {
          'retry-after': '15',
          ratelimit: '"gold/slow";r=0;t=15',
          'content-type': 'application/problem+json',
        },
      })
      t.match(JSON.parse(json.body), {
        type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
        'violated-policies': ['gold/slow'],
      })
      const openAi = await call(port, '/v1/chat/completions', { 'content-type': 'application/json' })
      t.match(openAi, { status: 429, headers: { 'x-should-retry': 'true', 'retry-after': '15' } }, api)
      t.match(JSON.parse(openAi.body), { error: { code: 'rate_limit_exceeded', param: null } }, api)
      const web = await call(port, v2, { 'content-type': 'application/grpc-web+proto' })
      t.equal(web.headers['grpc-status'], '8', api)
      t.ok(web.headers['grpc-status-details-bin'], api)
      const called = await grpcInfer({ port, message: inferRequest() })
      t.equal(called.code, 8, `${api}: RESOURCE_EXHAUSTED`)
      t.equal(called.details, 'Too many requests.', api)
      const [details] = called.metadata.get('grpc-status-details-bin')
      t.ok(Buffer.isBuffer(details), `${api}: Envoy lets the details through`)
      const status = fromBinary(StatusSchema, details as Buffer)
      t.equal(status.code, 8)
      t.same(
        status.details.map(({ typeUrl }) => typeUrl.split('.').at(-1)),
        ['RetryInfo', 'QuotaFailure', 'ErrorInfo'],
        api,
      )
      t.same(called.metadata.get('retry-after'), ['15'], api)
    }
  },
)

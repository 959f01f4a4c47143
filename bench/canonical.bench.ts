import { create, toBinary } from '@bufbuild/protobuf'
import { createCanonicalStage } from '#canonical/canonical.ts'
import { configSchema } from '#config/schema.ts'
import type { Exchange } from '#decision/exchange.ts'
import { headerFacts, withBody } from '#envoy/decode-process.ts'
import { decodeProcessing } from '#envoy/processing-message.ts'
import { ProcessingRequestSchema } from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import { noResources } from '#resources/resources.ts'
import type { BenchOptions, Row } from './bench.ts'
import { cores, pinMyself } from './pin.ts'
import { rssMb } from './process-usage.ts'

const plain: Readonly<Record<string, string>> = {
  ':method': 'POST',
  ':authority': 'models.ml.svc.cluster.local:8443',
  ':scheme': 'https',
  ':path': '/v2/models/fraud/versions/1/infer',
  'content-type': 'application/json',
  'content-length': '1432',
  accept: 'application/json',
  'accept-encoding': 'gzip, deflate, br',
  'user-agent': 'a-client/1.27.0',
  'x-request-id': '6f1c3f1e-8f0d-4a54-9a3e-3f0b9f1d2c3e',
  'x-forwarded-for': '10.2.3.4',
  'x-forwarded-proto': 'https',
  'x-envoy-external-address': '10.2.3.4',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  tracestate: 'a=b',
  'x-session-id': 'session-1234',
  'grpc-timeout': '5S',
}
const cases: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  plain,
  'a token of 800': { ...plain, authorization: `Bearer ${'a'.repeat(800)}` },
  forged: { ...plain, 'x-tenant-id': 'globex', 'x-sluice-tenant': 'globex' },
}

/**
 * What it costs to judge the form of a request that nobody has looked at yet, its strings fresh from the decoder: the least
 * mean of a batch, so that what else runs on the machine does not count.
 */
export async function measure(options: BenchOptions): Promise<Row[]> {
  pinMyself(cores.measured)
  const { identity } = configSchema.parse({
    identity: { trustDomains: ['example.org'] },
    listen: { agent: 'unix:/run/agent.sock' },
  })
  const stage = createCanonicalStage({ isStrict: true, tenantHeaders: identity?.tenantHeaders ?? [] })
  return Object.entries(cases).map(([name, headers]) => {
    const bytes = messageOf(headers)
    const end = performance.now() + options.seconds * 1000
    let bestUs = Number.POSITIVE_INFINITY
    while (performance.now() < end) {
      const batch = Array.from({ length: 500 }, () => exchangeOf(bytes))
      const began = performance.now()
      for (const x of batch) if (stage.request?.(x) === undefined) throw new Error('no verdict')
      bestUs = Math.min(bestUs, ((performance.now() - began) * 1000) / batch.length)
    }
    return { name, rps: 1e6 / bestUs, cpuUs: bestUs, p50Ms: 0, p99Ms: 0, rssMb: rssMb(process.pid) }
  })
}

function messageOf(headers: Readonly<Record<string, string>>): Buffer {
  const list = Object.entries(headers).map(([key, value]) => ({ key, rawValue: Buffer.from(value) }))
  const value = { headers: { headers: list }, endOfStream: true }
  const message = create(ProcessingRequestSchema, { request: { case: 'requestHeaders', value } })
  return Buffer.from(toBinary(ProcessingRequestSchema, message))
}

function exchangeOf(bytes: Buffer): Exchange {
  const facts = headerFacts(decodeProcessing(Buffer.from(bytes)), 0)
  return {
    id: 'x',
    request: withBody(facts, '', undefined, true),
    resources: noResources,
    startedUs: 0,
  }
}

import { inferRequest as inferMessage } from '../test/harness/grpc.ts'
import { type Contender, measureBehindEnvoy } from './behind-envoy.ts'
import type { BenchOptions, Row } from './bench.ts'
import { generatedEnvoy } from './bootstraps.ts'
import { startGo, startSluice, startSluicePipeline } from './deciders.ts'
import { createPki, inferRequest, modelOf, type Pki, tenantOf } from './scene.ts'

type Case = Pick<Contender, 'bootstrap' | 'questions' | 'checks' | 'maxConnections'> & {
  readonly case: string
}

/**
 * ext_proc in Envoy as `sluice envoy config` sets it up, Sluice beside a grpc-go server that changes nothing: request and
 * response headers with a policy alone, the same with every stage, and a gRPC inference of 24 MB streamed past it.
 */
export async function measure(options: BenchOptions): Promise<Row[]> {
  using pki = createPki()
  const rows: readonly (readonly [Case, NonNullable<Contender['start']>])[] = [
    [headers, startSluice],
    [headersPipeline(pki), startSluicePipeline],
    [body24mb, startSluice],
  ]
  const contenders = rows.flatMap(([each, startOwn]): Contender[] => [
    // What decides nothing has nothing to refuse.
    {
      ...each,
      name: 'noop-grpc-go',
      start: startGo,
      checks: each.checks.filter(({ status }) => status === '200'),
    },
    { ...each, name: 'sluice', start: startOwn },
  ])
  return await measureBehindEnvoy(contenders, options)
}

const pathOf = (model: string) => `/v2/models/${model}/infer`

const headers: Case = {
  case: 'headers',
  bootstrap: (ports, decider) => generatedEnvoy(ports, { decider, measured: 'main' }),
  questions: { request: (index) => inferRequest(pathOf(modelOf(index)), tenantOf(index)) },
  checks: [
    { request: inferRequest(pathOf('fraud'), 't1'), status: '200' },
    { request: inferRequest(pathOf('other'), 't1'), status: '403' },
    { request: inferRequest(pathOf('fraud'), 'nobody'), status: '403' },
  ],
}

function headersPipeline(pki: Pki): Case {
  const ask = (path: string) => inferRequest(path, tenantOf(0))
  return {
    case: 'headers-pipeline',
    bootstrap: (ports, decider) => generatedEnvoy(ports, { decider, measured: 'main', pki }),
    questions: {
      tls: pki.tls,
      request: (index, connection) =>
        inferRequest(pathOf(modelOf(index)), tenantOf(connection), [`x-session-id: s${index % 10_000}`]),
    },
    checks: [
      { request: ask(pathOf('fraud')), status: '200' },
      { request: ask(pathOf('other')), status: '403' },
      { request: ask(pathOf('withheld')), status: '403' },
      { request: ask('/v2/models/fraud/versions/9/infer'), status: '404' },
      { request: ask(pathOf('scarce')), status: '200' },
      { request: ask(pathOf('scarce')), status: '429' },
    ],
  }
}

const floats = 6_000_000
const rawInputContents = [Buffer.alloc(floats * 4, 1)]
const inputs = [{ name: 'features', datatype: 'FP32', shape: [BigInt(floats)] }]

/** A gRPC call in HTTP/1.1: to Envoy's filters and to what they ask it is the same as in HTTP/2. */
function grpcRequest(model: string, tenant: string, more: Uint8Array = Buffer.alloc(0)): Buffer {
  const message = Buffer.concat([inferMessage({ modelName: model, inputs, rawInputContents }), more])
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(message.length, 1)
  const head = [
    'POST /inference.GRPCInferenceService/ModelInfer HTTP/1.1',
    'host: models',
    'content-type: application/grpc',
    'te: trailers',
    `x-tenant: ${tenant}`,
    `content-length: ${frame.length + message.length}`,
  ]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), frame, message])
}

const inference = grpcRequest('fraud', 't1')
/** Field 1 once more: the model's name, hidden behind the tensors. */
const renamed = Buffer.concat([Buffer.from([0x0a, 5]), Buffer.from('other')])

const body24mb: Case = {
  case: 'body24mb',
  bootstrap: (ports, decider) => generatedEnvoy(ports, { decider, measured: 'main' }),
  questions: { request: () => inference },
  checks: [
    { request: inference, status: '200' },
    { request: grpcRequest('other', 't1'), status: '200 grpc 7' },
    { request: grpcRequest('fraud', 't1', renamed), status: '200 grpc 3' },
  ],
  maxConnections: 4,
}

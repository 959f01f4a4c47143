import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js'
import {
  GRPCInferenceService,
  type ModelInferRequest,
  ModelInferRequestSchema,
  ModelInferResponseSchema,
  ServerLiveResponseSchema,
  ServerReadyResponseSchema,
} from '#gen/inference/grpc_service_pb.js'
import { fraudVersions, type ModelServer } from './triton.ts'

/** What arrived at the embedded model server. */
export interface Arrival {
  readonly path: string
  /** Lower-case names; duplicates joined as Node does. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Buffer
}

export interface EmbeddedModelServer extends ModelServer {
  /** Everything that came since the start or the last `clear`, whatever was answered. */
  readonly arrivals: readonly Arrival[]
  clear(): void
}

/**
 * A small KServe V2 server of our own that answers as the demo's Triton does. For platforms without a Triton build, and
 * for tests that have to see what reached the model server.
 */
export async function startEmbeddedModelServer(): Promise<EmbeddedModelServer> {
  const arrivals: Arrival[] = []
  const web = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const arrival = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) }
      arrivals.push(arrival)
      answerHttp(request, arrival, response)
    })
  })
  // Envoy keeps connections: one that is closed for idleness as a request comes would be nobody's fault.
  web.keepAliveTimeout = 0
  const httpPort = await new Promise<number>((resolve) => {
    web.listen(0, '127.0.0.1', () => {
      const address = web.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })

  const grpc = new Server({ 'grpc.max_receive_message_length': 64 << 20 })
  const raw = (bytes: Buffer) => bytes
  const method = (
    name: string,
    answer: (body: Buffer) => Uint8Array | { code: number; details: string },
  ) => ({
    path: `/${GRPCInferenceService.typeName}/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
    responseDeserialize: raw,
    handle: (call: ServerUnaryCall<Buffer, Uint8Array>, callback: sendUnaryData<Uint8Array>) => {
      arrivals.push({
        path: call.getPath(),
        headers: call.metadata.getMap() as Arrival['headers'],
        body: call.request,
      })
      const answered = answer(call.request)
      if (answered instanceof Uint8Array) callback(null, answered)
      else callback(answered)
    },
  })
  const methods = [
    method('ServerLive', () =>
      toBinary(ServerLiveResponseSchema, create(ServerLiveResponseSchema, { live: true })),
    ),
    method('ServerReady', () =>
      toBinary(ServerReadyResponseSchema, create(ServerReadyResponseSchema, { ready: true })),
    ),
    method('ModelInfer', (body) => inferGrpc(fromBinary(ModelInferRequestSchema, body))),
  ]
  grpc.addService(
    Object.fromEntries(methods.map((each) => [each.path, each])),
    Object.fromEntries(methods.map((each) => [each.path, each.handle])),
  )
  const grpcPort = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    )
  })

  return {
    name: 'the embedded V2 server',
    httpPort,
    grpcPort,
    arrivals,
    clear: () => {
      arrivals.length = 0
    },
    [Symbol.asyncDispose]: async () => {
      grpc.forceShutdown()
      web.closeAllConnections()
      await new Promise((resolve) => web.close(resolve))
    },
  }
}

const inferPath = /^\/v2\/models\/fraud(?:\/versions\/(\d+))?\/infer$/

function answerHttp(request: IncomingMessage, arrival: Arrival, response: ServerResponse): void {
  const reply = (code: number, body: unknown) => {
    const text = JSON.stringify(body)
    response.writeHead(code, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    })
    response.end(text)
  }
  const path = arrival.path.split('?')[0] ?? ''
  if (/^\/v2\/(health\/(live|ready)|models\/fraud\/ready)$/.test(path)) return reply(200, {})
  if (path === '/v2/models/story/generate_stream') return void tell(arrival, response)
  const match = inferPath.exec(path)
  if (match === null || request.method !== 'POST') return reply(404, { error: 'not found' })
  const version = match[1] ?? fraudVersions.at(-1)
  if (!fraudVersions.includes(version as '1')) return reply(400, { error: `unknown version ${version}` })
  try {
    const data: number[] = JSON.parse(arrival.body.toString()).inputs[0].data
    return reply(200, {
      model_name: 'fraud',
      model_version: version,
      outputs: [{ name: 'score', datatype: 'FP32', shape: [1], data: [mean(data) / Number(version)] }],
    })
  } catch {
    return reply(400, { error: 'malformed request' })
  }
}

/** The model `story`: as many words as are asked for, a token each. */
async function tell(arrival: Arrival, response: ServerResponse): Promise<void> {
  const { max_tokens: wanted } = JSON.parse(arrival.body.toString()) as { readonly max_tokens: number }
  response.on('error', () => {})
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
  for (let index = 0; index < wanted && !response.destroyed; index++) {
    const counts = { num_input_tokens: 2, num_output_tokens: 1 }
    const event = { model_name: 'story', ...counts, text_output: `word ${index} ` }
    response.write(`data: ${JSON.stringify(event)}\n\n`)
    await sleep(5)
  }
  response.end()
}

function inferGrpc(request: ModelInferRequest): Uint8Array | { code: number; details: string } {
  const version = request.modelVersion || (fraudVersions.at(-1) as string)
  if (request.modelName !== 'fraud' || !fraudVersions.includes(version as '1')) {
    return { code: status.NOT_FOUND, details: `unknown model ${request.modelName} version ${version}` }
  }
  const score = Buffer.alloc(4)
  score.writeFloatLE(mean(featuresOf(request)) / Number(version))
  const answer: MessageInitShape<typeof ModelInferResponseSchema> = {
    modelName: 'fraud',
    modelVersion: version,
    outputs: [{ name: 'score', datatype: 'FP32', shape: [1n] }],
    rawOutputContents: [score],
  }
  return toBinary(ModelInferResponseSchema, create(ModelInferResponseSchema, answer))
}

function featuresOf(request: ModelInferRequest): readonly number[] {
  const [raw] = request.rawInputContents
  if (raw === undefined) return request.inputs[0]?.contents?.fp32Contents ?? []
  const bytes = Buffer.from(raw)
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readFloatLE(index * 4))
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}

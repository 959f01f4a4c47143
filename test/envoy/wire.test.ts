import { join } from 'node:path'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import t from 'tap'
import { ALLOW, deny } from '#decision/verdict.ts'
import { startEnvoyServer } from '#envoy/envoy.ts'
import { CheckRequestSchema, CheckResponseSchema } from '#gen/envoy/service/auth/v3/external_auth_pb.js'
import {
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import { HealthCheckRequestSchema, HealthCheckResponseSchema } from '#gen/grpc/health/v1/health_pb.js'
import fc from '../fast-check.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'
import {
  type Ask,
  grpcHeaders,
  inferFrame,
  kit,
  Mode,
  requestBody,
  requestHeaders,
  requestTrailers,
  responseBody,
  responseHeaders,
  responseTrailers,
} from './kit.ts'

const checkPath = '/envoy.service.auth.v3.Authorization/Check'
const processPath = '/envoy.service.ext_proc.v3.ExternalProcessor/Process'

const folder = temporaryFolder()
// Answers at once for one method and later for another, so that both ways are run.
const bench = kit({ request: ({ request }) => (request.method === 'PUT' ? Promise.resolve(ALLOW) : ALLOW) })
const readiness = { isReady: true }
const listen = `unix:${join(folder.path, 'agent.sock')}`
const server = await startEnvoyServer({
  listen,
  pipeline: bench.pipeline,
  isReady: () => readiness.isReady,
  maxMessageBytes: 4 << 20,
  firstMessageTimeoutMs: 10_000,
  log: bench.log,
})
const client = new Client(listen, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 })
t.teardown(async () => {
  client.close()
  await server[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

const same = (bytes: Buffer) => bytes

function unary(path: string, bytes: Uint8Array): Promise<Buffer | ServiceError> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, same, same, Buffer.from(bytes), (error, answer) =>
      resolve(error ?? (answer as Buffer)),
    )
  })
}

/** Sends every message, ends, and gives what came back. */
function stream(messages: readonly Uint8Array[]): Promise<{ code: number; answers: Buffer[] }> {
  return new Promise((resolve) => {
    const call = client.makeBidiStreamRequest(processPath, same, same)
    const answers: Buffer[] = []
    call.on('data', (answer: Buffer) => answers.push(answer))
    call.on('error', () => {})
    call.on('status', ({ code }) => resolve({ code, answers }))
    for (const message of messages) call.write(Buffer.from(message))
    call.end()
  })
}

const check = (path = '/v2/models/fraud/infer', method = 'POST') =>
  toBinary(
    CheckRequestSchema,
    create(CheckRequestSchema, { attributes: { request: { http: { method, path, host: 'models' } } } }),
  )
const encode = (ask: Ask) => toBinary(ProcessingRequestSchema, create(ProcessingRequestSchema, ask))

/** A valid message that was cut, or of which one byte was changed. */
const damaged = (valid: fc.Arbitrary<Uint8Array>) =>
  fc
    .tuple(valid, fc.nat(), fc.nat(255), fc.boolean())
    .map(([bytes, at, value, isCut]) =>
      isCut ? bytes.subarray(0, at % (bytes.length + 1)) : bytes.with(at % bytes.length, value),
    )

const anyBytes = (valid: fc.Arbitrary<Uint8Array>) =>
  fc.oneof(valid, damaged(valid), fc.uint8Array({ maxLength: 300 }))

const asks = fc
  .constantFrom<Ask>(
    requestHeaders(),
    requestHeaders({ mode: Mode.BUFFERED, path: '/v2/models/../x' }),
    grpcHeaders(),
    grpcHeaders({ mode: Mode.FULL_DUPLEX_STREAMED }),
    requestBody(inferFrame()),
    requestBody(inferFrame().subarray(0, 9)),
    requestBody(new Uint8Array(), true),
    requestTrailers,
    responseHeaders(),
    responseBody(new Uint8Array(70)),
    responseTrailers,
  )
  .map(encode)

t.test('no bytes break Check: every call gets an answer or a status, and all exchanges end', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      anyBytes(fc.constantFrom('POST', 'PUT').map((method) => check('/v2/models/fraud/infer', method))),
      async (bytes) => {
        const answer = await unary(checkPath, bytes)
        if (!Buffer.isBuffer(answer)) return answer.code === 3
        return fromBinary(CheckResponseSchema, answer).httpResponse.case !== undefined
      },
    ),
    { numRuns: 300 },
  )
  t.match(await unary(checkPath, check('/v2/models/a%2fb/infer')), Buffer)
  t.ok([...bench.ends.values()].every((count) => count === 1))
})

t.test(
  'no bytes break Process: never more answers than messages outside of duplex, and all exchanges end',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyBytes(asks), { maxLength: 7 }), async (messages) => {
        const { code, answers } = await stream(messages)
        for (const answer of answers) fromBinary(ProcessingResponseSchema, answer)
        return (code === 0 || code === 3 || code === 13) && answers.length <= messages.length
      }),
      { numRuns: 300 },
    )
    await eventually('every exchange has ended', () => [...bench.ends.values()].every((count) => count > 0))
    t.ok([...bench.ends.values()].every((count) => count === 1))
  },
)

t.test('as many answers as messages, of the same kind and in the same order', async () => {
  const valid = fc
    .record({
      method: fc.constantFrom('POST', 'PUT'),
      chunks: fc.nat(5),
      hasTrailers: fc.boolean(),
      answerChunks: fc.nat(3),
      isGrpc: fc.boolean(),
    })
    .map(({ method, chunks, hasTrailers, answerChunks, isGrpc }): Ask[] => {
      const options = { mode: Mode.STREAMED, responseMode: Mode.STREAMED, headers: { ':method': method } }
      const frame = inferFrame({}, 1000)
      const size = Math.ceil(frame.length / (chunks + 1))
      return [
        isGrpc ? grpcHeaders(options) : requestHeaders(options),
        ...Array.from({ length: chunks + 1 }, (_, index) =>
          requestBody(frame.subarray(index * size, (index + 1) * size), !hasTrailers && index === chunks),
        ),
        ...(hasTrailers ? [requestTrailers] : []),
        responseHeaders(),
        ...Array.from({ length: answerChunks }, () => responseBody(frame)),
        responseTrailers,
      ]
    })
  await fc.assert(
    fc.asyncProperty(valid, async (said) => {
      const { answers } = await stream(said.map(encode))
      const heard = answers.map((answer) => fromBinary(ProcessingResponseSchema, answer).response.case)
      return JSON.stringify(heard) === JSON.stringify(said.map((ask) => ask.request?.case))
    }),
    { numRuns: 100 },
  )
})

t.test('ten megabytes of headers are refused by their size, and running calls go on', async (t) => {
  const running = stream([encode(requestHeaders()), encode(responseHeaders())])
  const huge = requestHeaders({ headers: { 'x-huge': 'a'.repeat(10_000_000) } })
  t.match(await stream([encode(huge)]), { code: 8, answers: [] })
  t.match(await unary(checkPath, check(`/${'a'.repeat(10_000_000)}`)), { code: 8 })
  t.match(await running, { code: 0 })
  t.match(await unary(checkPath, check()), Buffer)
})

t.test('a stream that is reset releases its exchange, and one that only waited had none', async (t) => {
  bench.ends.clear()
  const call = client.makeBidiStreamRequest(processPath, same, same)
  call.on('error', () => {})
  call.write(Buffer.from(encode(requestHeaders())))
  await new Promise((resolve) => call.once('data', resolve))
  const waiting = client.makeBidiStreamRequest(processPath, same, same)
  waiting.on('error', () => {})
  waiting.write(Buffer.from(encode(grpcHeaders())))
  await new Promise((resolve) => waiting.once('data', resolve))
  waiting.cancel()
  call.cancel()
  await eventually('the exchange has ended', () => [...bench.ends.values()].includes(1))
  t.strictSame([...bench.ends.values()], [1])
})

t.test(
  'health tells readiness for both services, liveness always, and watchers hear of a change',
  async (t) => {
    const request = (service: string) =>
      toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service }))
    const ask = async (service: string) => {
      const answer = await unary('/grpc.health.v1.Health/Check', request(service))
      return Buffer.isBuffer(answer) ? fromBinary(HealthCheckResponseSchema, answer).status : answer.code
    }
    const readinessNames = [
      '',
      'readiness',
      'envoy.service.auth.v3.Authorization',
      'envoy.service.ext_proc.v3.ExternalProcessor',
    ]
    const watched: number[] = []
    const watch = client.makeServerStreamRequest(
      '/grpc.health.v1.Health/Watch',
      same,
      same,
      Buffer.from(request('')),
    )
    watch.on('error', () => {})
    watch.on('data', (answer: Buffer) => watched.push(fromBinary(HealthCheckResponseSchema, answer).status))
    for (const [isReady, status] of [
      [true, 1],
      [false, 2],
    ] as const) {
      readiness.isReady = isReady
      for (const name of readinessNames) t.equal(await ask(name), status, name)
      t.equal(await ask('liveness'), 1)
      await eventually('the watcher has heard', () => watched.at(-1) === status)
    }
    t.equal(await ask('nobody'), 5)
    t.match(await unary('/grpc.health.v1.Health/Check', Buffer.from([255])), { code: 3 })
    watch.cancel()
    readiness.isReady = true
    t.strictSame(watched, [1, 2])
  },
)

t.test('a refusal reaches a client over the wire as one immediate response', async (t) => {
  const refusing = kit({ request: () => deny('policy_denied') })
  const path = `unix:${join(folder.path, 'refusing.sock')}`
  await using _ = await startEnvoyServer({
    listen: path,
    pipeline: refusing.pipeline,
    isReady: () => true,
    maxMessageBytes: 1 << 20,
    firstMessageTimeoutMs: 10_000,
    log: refusing.log,
  })
  const other = new Client(path, credentials.createInsecure())
  const answer = await new Promise<Buffer>((resolve) => {
    const call = other.makeBidiStreamRequest(processPath, same, same)
    call.on('error', () => {})
    call.once('data', resolve)
    call.write(Buffer.from(encode(requestHeaders())))
    call.once('data', () => call.end())
  })
  t.match(fromBinary(ProcessingResponseSchema, answer).response, {
    case: 'immediateResponse',
    value: { status: { code: 403 } },
  })
  other.close()
})

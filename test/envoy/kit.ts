import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { createCanonicalStage } from '#canonical/canonical.ts'
import { createPipeline, type Pipeline } from '#decision/pipeline.ts'
import type { Stage } from '#decision/stage.ts'
import { extProcMethod } from '#envoy/ext-proc.ts'
import { ProcessingMode_BodySendMode as Mode } from '#gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js'
import {
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import { ModelInferRequestSchema } from '#gen/inference/grpc_service_pb.js'
import type { CallContext, Status, StreamWriter } from '#grpc/service.ts'
import { createInferenceStage } from '#inference/inference.ts'
import { noResources } from '#resources/resources.ts'
import { createLogger, type Logger } from '#telemetry/telemetry.ts'

export { Mode }

export interface Kit {
  readonly pipeline: Pipeline
  readonly log: Logger
  /** What was logged, one JSON text a line. */
  readonly logged: string[]
  /** How often each exchange was ended, by its id. Every one opened has an entry. */
  readonly ends: Map<string, number>
}

/** A pipeline with the real inference stage and one stub behind it that says what a test wants. */
export function kit(stub: Pick<Stage, 'request' | 'response' | 'revoke' | 'end'> = {}): Kit {
  const logged: string[] = []
  const log = createLogger('debug', { write: (line: string) => void logged.push(line) })
  const ends = new Map<string, number>()
  const count: Stage = {
    name: 'count',
    failureReason: 'internal_error',
    end: (x) => void ends.set(x.id, (ends.get(x.id) ?? 0) + 1),
  }
  const inner = createPipeline({
    stages: [
      count,
      createCanonicalStage({ isStrict: false, tenantHeaders: [] }),
      createInferenceStage(),
      { name: 'stub', failureReason: 'policy_failed', ...stub },
    ],
    resources: () => noResources,
    deadlineMs: 30_000,
  })
  const open: Pipeline['open'] = (request) => {
    const x = inner.open(request)
    ends.set(x.id, 0)
    return x
  }
  return { pipeline: { ...inner, open }, log, logged, ends }
}

export type Ask = MessageInitShape<typeof ProcessingRequestSchema>

/** A scripted Envoy: what it says goes in, what it hears comes out, all without a socket. */
export interface Script {
  say(...asks: readonly Ask[]): void
  sayBytes(bytes: Uint8Array): void
  halfClose(): void
  /** Envoy resets the stream. */
  cancel(): void
  /** What was answered since the last look. */
  heard(): ProcessingResponse[]
  /** The cases of what was answered since the last look. */
  heardKinds(): string[]
  closed(): Status | 'ok' | undefined
}

export function script(
  { pipeline, log }: Kit,
  firstMessageTimeoutMs = 1000,
  /** Of several streams of one Envoy it is the same. */
  method = extProcMethod({ pipeline, log, firstMessageTimeoutMs }),
): Script {
  if (method.kind !== 'stream') throw new Error('Process is a stream')
  let answers: ProcessingResponse[] = []
  let closed: Status | 'ok' | undefined
  const end = () => {
    if (isOver) return
    isOver = true
    reader.ended()
  }
  let isOver = false
  const writer: StreamWriter = {
    send: (message) => void answers.push(fromBinary(ProcessingResponseSchema, message)),
    close: (status) => {
      closed ??= status ?? 'ok'
      end()
    },
    pause: () => {
      isPaused = true
    },
    resume: () => {
      isPaused = false
      while (!isPaused && !isOver && waiting.length > 0) waiting.shift()?.()
    },
  }
  const reader = method.open(writer, bareCall)
  const heard = () => {
    const taken = answers
    answers = []
    return taken
  }
  /** As the host does it: what comes while the session paused waits. */
  let isPaused = false
  const waiting: (() => void)[] = []
  const deliver = (step: () => void) => {
    if (isPaused) waiting.push(step)
    else if (!isOver) step()
  }
  const sayBytes = (bytes: Uint8Array) => deliver(() => reader.message(Buffer.from(bytes)))
  return {
    say: (...asks) => {
      for (const ask of asks)
        sayBytes(toBinary(ProcessingRequestSchema, create(ProcessingRequestSchema, ask)))
    },
    sayBytes,
    halfClose: () => deliver(() => reader.halfClosed()),
    cancel: end,
    heard,
    heardKinds: () =>
      heard().map(
        (answer) => answer.response.case ?? (answer.overrideMessageTimeout ? 'moreTime' : 'nothing'),
      ),
    closed: () => closed,
  }
}

const bytes = (text: string) => new TextEncoder().encode(text)

export function headerMap(headers: Readonly<Record<string, string>>): {
  headers: { key: string; rawValue: Uint8Array }[]
} {
  return { headers: Object.entries(headers).map(([key, value]) => ({ key, rawValue: bytes(value) })) }
}

/** The first message of a stream. */
export function requestHeaders(
  options: {
    readonly path?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly mode?: Mode
    readonly responseMode?: Mode
    readonly isEager?: boolean
    readonly isEnd?: boolean
    readonly attributes?: Record<string, string | boolean>
    readonly isObserved?: boolean
  } = {},
): Ask {
  return {
    request: {
      case: 'requestHeaders',
      value: {
        headers: headerMap({
          ':method': 'POST',
          ':path': options.path ?? '/v2/models/fraud/infer',
          ':authority': 'models',
          ':scheme': 'https',
          ...options.headers,
        }),
        endOfStream: options.isEnd ?? false,
      },
    },
    protocolConfig: {
      requestBodyMode: options.mode ?? Mode.NONE,
      responseBodyMode: options.responseMode ?? Mode.NONE,
      sendBodyWithoutWaitingForHeaderResponse: options.isEager ?? true,
    },
    observabilityMode: options.isObserved ?? false,
    attributes: { 'envoy.filters.http.ext_proc': options.attributes ?? {} },
  }
}

export const inferPath = '/inference.GRPCInferenceService/ModelInfer'

/** Headers of a gRPC call whose message names the model. */
export function grpcHeaders(options: Parameters<typeof requestHeaders>[0] = {}): Ask {
  return requestHeaders({
    path: inferPath,
    mode: Mode.STREAMED,
    ...options,
    headers: { 'content-type': 'application/grpc', ...options.headers },
  })
}

export function requestBody(body: Uint8Array, isEnd = false): Ask {
  return { request: { case: 'requestBody', value: { body, endOfStream: isEnd } } }
}

export function responseBody(body: Uint8Array, isEnd = false): Ask {
  return { request: { case: 'responseBody', value: { body, endOfStream: isEnd } } }
}

export function responseHeaders(
  headers: Readonly<Record<string, string>> = { ':status': '200' },
  upstreamAddress = '10.0.0.7:8001',
): Ask {
  return {
    request: { case: 'responseHeaders', value: { headers: headerMap(headers) } },
    attributes: {
      'envoy.filters.http.ext_proc': upstreamAddress === '' ? {} : { 'upstream.address': upstreamAddress },
    },
  }
}

export const requestTrailers: Ask = { request: { case: 'requestTrailers', value: {} } }
export const responseTrailers: Ask = { request: { case: 'responseTrailers', value: {} } }

/** A ModelInfer request in its gRPC frame. */
export function inferFrame(
  more: MessageInitShape<typeof ModelInferRequestSchema> = {},
  tensorBytes = 64,
): Buffer {
  const message = toBinary(
    ModelInferRequestSchema,
    create(ModelInferRequestSchema, {
      modelName: 'fraud',
      inputs: [{ name: 'features', datatype: 'UINT8', shape: [BigInt(tensorBytes)] }],
      rawInputContents: [new Uint8Array(tensorBytes).fill(7)],
      ...more,
    }),
  )
  return framed(message)
}

export function framed(message: Uint8Array): Buffer {
  const header = Buffer.alloc(5)
  header.writeUInt32BE(message.length, 1)
  return Buffer.concat([header, message])
}

/** Lets every promise that is settled already be handled. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** A call that brought nothing but its messages. */
export const bareCall: CallContext = {
  metadata: () => undefined,
  deadlineMs: undefined,
  setHeaders: () => {},
  setTrailers: () => {},
}

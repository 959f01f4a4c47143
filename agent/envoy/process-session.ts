import type { Clock } from '#base/clock.ts'
import type { Exchange, RequestFacts } from '#decision/exchange.ts'
import type { Decision, Pipeline } from '#decision/pipeline.ts'
import { deny, type Refusal } from '#decision/verdict.ts'
import { ProcessingMode_BodySendMode as Mode } from '#gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js'
import type { HttpBody, ProcessingRequest } from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import type { StreamWriter } from '#grpc/service.ts'
import {
  createFrameGuard,
  hasNamedModel,
  isModelInMessage,
  spliceModelVersion,
} from '#inference/inference.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import {
  decodeRequestHeaders,
  decodeServed,
  type HeaderFacts,
  principalOf,
  withBody,
} from './decode-process.ts'
import {
  bodyAnswer,
  bufferedBodyAnswer,
  maxDuplexChunkBytes,
  moreTime,
  refusal,
  requestHeadersAnswer,
  responseHeadersAnswer,
  unchanged,
} from './encode-process.ts'

type Permitted = Extract<Decision, { kind: 'allow' }>
type FrameGuard = ReturnType<typeof createFrameGuard>

/** The names of model and version stand at the very start; a message that hides them behind more than this is refused. */
const maxPrefixBytes = 65_536
/** How long the first message may take before Envoy is asked for patience. */
const askForTimeAfterMs = 50

/** What Envoy was configured to send, from the first message of the stream. */
interface Modes {
  readonly request: Mode
  readonly response: Mode
  /** Whether body chunks come while the answer to the headers is outstanding. */
  readonly isEager: boolean
}

/** Where the request's side of the stream stands. */
type State =
  /** Nothing has come. */
  | { readonly kind: 'start' }
  /** The decision needs the body; answers to `chunks` are outstanding, and the headers' too unless they were answered. */
  | {
      readonly kind: 'waiting'
      readonly facts: HeaderFacts
      readonly principal: string
      readonly chunks: HttpBody[]
      readonly isHeaderAnswered: boolean
    }
  /** The stages are at work; what comes meanwhile is kept in order. */
  | { readonly kind: 'deciding'; readonly later: ProcessingRequest[] }
  | {
      readonly kind: 'permitted'
      readonly x: Exchange
      readonly decision: Permitted
      readonly guard: FrameGuard | undefined
    }
  /** Refused, or never ours: nothing is answered any more, or everything as it comes. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'foreign' }

export interface SessionOptions {
  readonly pipeline: Pipeline
  readonly log: Logger
  readonly clock: Clock
  readonly firstMessageTimeoutMs: number
  readonly writer: StreamWriter
}

/**
 * One HTTP stream as Envoy tells it: request headers, body, trailers, response headers, body, trailers, each answered
 * once and in order. The decision falls at the request's headers, or at the first bytes of its body where a gRPC message
 * names the model. Whatever is not foreseen ends the stream with an error, which Envoy turns into a refusal.
 */
export class ProcessSession {
  readonly #options: SessionOptions
  #state: State = { kind: 'start' }
  #modes: Modes = { request: Mode.NONE, response: Mode.NONE, isEager: false }
  #isObserving = false
  /** Ended with the stream, however that ends. */
  #exchange: Exchange | undefined
  #isOver = false
  #patience: NodeJS.Timeout | undefined
  #limit: NodeJS.Timeout | undefined

  constructor(options: SessionOptions) {
    this.#options = options
  }

  message(message: ProcessingRequest): void {
    if (this.#state.kind === 'deciding') {
      this.#state.later.push(message)
      return
    }
    if (message.protocolConfig !== undefined) {
      const { requestBodyMode, responseBodyMode, sendBodyWithoutWaitingForHeaderResponse } =
        message.protocolConfig
      this.#modes = {
        request: requestBodyMode,
        response: responseBodyMode,
        isEager: sendBodyWithoutWaitingForHeaderResponse,
      }
    }
    if (message.observabilityMode) this.#isObserving = true
    const { case: kind, value } = message.request
    switch (kind) {
      case 'requestHeaders':
        return this.#requestHeaders(message, value.endOfStream)
      case 'requestBody':
        return this.#requestBody(value)
      case 'requestTrailers':
        return this.#requestTrailers()
      case 'responseHeaders':
        return this.#responseHeaders(message)
      case 'responseBody':
        return this.#responseBody(value)
      case 'responseTrailers':
        return this.#send(unchanged.responseTrailers)
      case undefined:
        throw new Error('a message without a request')
      default:
        return kind satisfies never
    }
  }

  /** Envoy sends no more; a decision that still waited for a body will not get it. */
  halfClosed(): void {
    if (this.#state.kind === 'waiting') this.#decide(this.#state, true)
    // A running decision still answers; then, as now, nothing is left to say.
    else if (this.#state.kind !== 'deciding') this.#options.writer.close()
  }

  ended(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stopTimers()
    if (this.#exchange !== undefined) this.#options.pipeline.end(this.#exchange)
  }

  #requestHeaders(message: ProcessingRequest, isEnd: boolean): void {
    if (this.#state.kind !== 'start') throw new Error('request headers a second time')
    const { clock } = this.#options
    const headers = message.request.case === 'requestHeaders' ? message.request.value.headers : undefined
    const facts = decodeRequestHeaders(message, headers, clock.nowMs())
    const principal = principalOf(message)
    const { request: mode, isEager } = this.#modes
    const path = facts.path.split('?', 1)[0] ?? ''
    const isNamedLater = (facts.client === 'grpc' || facts.client === 'grpc-web') && isModelInMessage(path)
    const isBuffered = mode === Mode.BUFFERED || mode === Mode.BUFFERED_PARTIAL
    if (isEnd || (!isNamedLater && !isBuffered))
      return this.#open(withBody(facts, principal, undefined, isEnd), false, [])
    if (isBuffered) {
      // Envoy holds the request back until the body has been answered; only then does anything go upstream.
      this.#state = { kind: 'waiting', facts, principal, chunks: [], isHeaderAnswered: true }
      return this.#send(unchanged.requestHeaders)
    }
    const fault = modeFault(mode, isEager)
    if (fault !== undefined) {
      this.#options.log.error(
        { path, fault },
        'ext_proc: Envoy is configured in a way that hides the model of gRPC calls',
      )
      return this.#refuseUnread(facts, principal, deny('envoy_config_unsupported', fault))
    }
    this.#state = { kind: 'waiting', facts, principal, chunks: [], isHeaderAnswered: false }
    const { firstMessageTimeoutMs } = this.#options
    if (mode === Mode.STREAMED) {
      this.#patience = setTimeout(() => this.#send(moreTime(firstMessageTimeoutMs)), askForTimeAfterMs)
      this.#patience.unref()
    }
    // A little less than what Envoy was asked for, so that the refusal is ours.
    this.#limit = setTimeout(() => this.#tooLate(), firstMessageTimeoutMs * 0.9)
    this.#limit.unref()
  }

  #tooLate(): void {
    if (this.#state.kind !== 'waiting') return
    this.#refuseUnread(this.#state.facts, this.#state.principal, deny('message_too_late'))
  }

  #requestBody(body: HttpBody): void {
    switch (this.#state.kind) {
      case 'waiting': {
        const { chunks, isHeaderAnswered } = this.#state
        chunks.push(body)
        if (isHeaderAnswered || body.endOfStream) return this.#decide(this.#state, body.endOfStream)
        const prefix = joined(chunks)
        if (prefix.length >= maxPrefixBytes || hasNamedModel(prefix, false)) this.#decide(this.#state, false)
        return
      }
      case 'permitted': {
        const { x, guard } = this.#state
        const fault = guard?.feed(body.body)
        if (fault !== undefined)
          return this.#refuse(x, this.#options.pipeline.refuse(x, deny('request_malformed', fault)))
        return this.#passBody('requestBody', this.#modes.request, body.body, body.endOfStream)
      }
      case 'foreign':
        return this.#passBody('requestBody', this.#modes.request, body.body, body.endOfStream)
      case 'refused':
        return
      case 'start':
      case 'deciding':
        throw new Error('a request body before its headers')
      default:
        return this.#state satisfies never
    }
  }

  #requestTrailers(): void {
    if (this.#state.kind === 'waiting') {
      this.#decide(this.#state, true)
      // The trailers' answer follows the body's; a decision that takes longer keeps the order.
      const state = this.#state as State
      if (state.kind === 'deciding') state.later.push(trailersMarker)
      else if (state.kind === 'permitted') this.#send(unchanged.requestTrailers)
      return
    }
    if (this.#state.kind !== 'refused') this.#send(unchanged.requestTrailers)
  }

  /** Decides with what has come of the body. */
  #decide(waiting: Extract<State, { kind: 'waiting' }>, isEnd: boolean): void {
    this.#stopTimers()
    const { facts, principal, chunks, isHeaderAnswered } = waiting
    const body = chunks.length === 0 ? undefined : joined(chunks)
    this.#open(withBody(facts, principal, body, isEnd), isHeaderAnswered, chunks)
  }

  #open(facts: RequestFacts, isHeaderAnswered: boolean, chunks: readonly HttpBody[]): void {
    const { pipeline, writer } = this.#options
    const x = pipeline.open(facts)
    this.#exchange = x
    const decision = pipeline.request(x)
    if (!(decision instanceof Promise)) return this.#decided(x, decision, isHeaderAnswered, chunks)
    const later: ProcessingRequest[] = []
    this.#state = { kind: 'deciding', later }
    decision
      .then((late) => {
        if (this.#isOver) return
        this.#decided(x, late, isHeaderAnswered, chunks)
        for (const message of later) this.message(message)
      })
      .catch((cause: unknown) => {
        this.#options.log.error({ err: cause }, 'ext_proc: session failed')
        writer.close({ code: 13, message: 'session failed' })
      })
  }

  #decided(x: Exchange, decision: Decision, isHeaderAnswered: boolean, chunks: readonly HttpBody[]): void {
    if (decision.kind !== 'allow') return this.#refuse(x, decision)
    const isInMessage = x.call?.protocol === 'v2-grpc' && x.call.model !== undefined
    const guard = isInMessage ? createFrameGuard() : undefined
    const seen = joined(chunks)
    const fault = guard?.feed(seen)
    if (fault !== undefined)
      return this.#refuse(x, this.#options.pipeline.refuse(x, deny('request_malformed', fault)))
    this.#state = { kind: 'permitted', x, decision, guard }
    const { modelVersion } = decision.mutations
    const body =
      isInMessage && modelVersion !== undefined ? spliceModelVersion(seen, modelVersion) : undefined
    if (isHeaderAnswered) return this.#send(bufferedBodyAnswer(x, decision, body))
    this.#send(requestHeadersAnswer(x, decision))
    this.#passWaiting(chunks, body ?? seen, body !== undefined)
  }

  /** Answers the chunks that waited for the decision; all that goes upstream of them goes with the first. */
  #passWaiting(chunks: readonly HttpBody[], body: Uint8Array, isChanged: boolean): void {
    if (chunks.length === 0) return
    if (this.#modes.request === Mode.FULL_DUPLEX_STREAMED) {
      return this.#passBody('requestBody', this.#modes.request, body, chunks.at(-1)?.endOfStream === true)
    }
    for (const [index] of chunks.entries()) {
      if (!isChanged) this.#send(unchanged.requestBody)
      else if (index === 0) this.#send(bodyAnswer('requestBody', { mutation: { case: 'body', value: body } }))
      else this.#send(bodyAnswer('requestBody', { mutation: { case: 'clearBody', value: true } }))
    }
  }

  #responseHeaders(message: ProcessingRequest): void {
    // A stream may begin here: an earlier filter answered, and no request of it ever reached us.
    if (this.#state.kind === 'start') this.#state = { kind: 'foreign' }
    if (this.#state.kind === 'foreign') return this.#send(unchanged.responseHeaders)
    // Envoy was told to answer by itself and shows us that answer, or answered before the decision fell.
    if (this.#state.kind !== 'permitted') return this.#send(unchanged.responseHeaders)
    const { x, decision } = this.#state
    const headers = message.request.case === 'responseHeaders' ? message.request.value.headers : undefined
    const { pipeline, log, writer } = this.#options
    const verdict = pipeline.response(x, decodeServed(message, headers))
    const answer = (final: Decision) => {
      if (final.kind !== 'allow') return this.#refuse(x, final)
      this.#send(
        responseHeadersAnswer([
          ...(decision.mutations.addResponseHeaders ?? []),
          ...(final.mutations.addResponseHeaders ?? []),
        ]),
      )
    }
    if (!(verdict instanceof Promise)) return answer(verdict)
    const permitted = this.#state
    const later: ProcessingRequest[] = []
    this.#state = { kind: 'deciding', later }
    verdict
      .then((final) => {
        if (this.#isOver) return
        this.#state = permitted
        answer(final)
        for (const each of later) this.message(each)
      })
      .catch((cause: unknown) => {
        log.error({ err: cause }, 'ext_proc: session failed')
        writer.close({ code: 13, message: 'session failed' })
      })
  }

  #responseBody(body: HttpBody): void {
    if (this.#state.kind !== 'refused')
      this.#passBody('responseBody', this.#modes.response, body.body, body.endOfStream)
  }

  /** Lets a chunk through as it is. In full duplex silence drops it, so it is sent back. */
  #passBody(direction: 'requestBody' | 'responseBody', mode: Mode, body: Uint8Array, isEnd: boolean): void {
    if (mode !== Mode.FULL_DUPLEX_STREAMED) return this.#send(unchanged[direction])
    for (let at = 0; at < body.length || at === 0; at += maxDuplexChunkBytes) {
      const value = body.subarray(at, at + maxDuplexChunkBytes)
      const endOfStream = isEnd && at + maxDuplexChunkBytes >= body.length
      this.#send(
        bodyAnswer(direction, {
          mutation: { case: 'streamedResponse', value: { body: value, endOfStream } },
        }),
      )
    }
  }

  /** Refuses what was never decided, with a record all the same. */
  #refuseUnread(facts: HeaderFacts, principal: string, why: Refusal): void {
    this.#stopTimers()
    const x = this.#options.pipeline.open(withBody(facts, principal, undefined, false))
    this.#exchange = x
    this.#refuse(x, this.#options.pipeline.refuse(x, why))
  }

  #refuse(x: Exchange, decision: Decision): void {
    if (decision.kind === 'allow') throw new Error('an allowed request cannot be refused')
    this.#state = { kind: 'refused' }
    this.#send(refusal(x, decision))
  }

  #send(message: Uint8Array): void {
    if (!this.#isOver && !this.#isObserving) this.#options.writer.send(message)
  }

  #stopTimers(): void {
    clearTimeout(this.#patience)
    clearTimeout(this.#limit)
  }
}

/** Stands for the trailers that came while the stages were at work. */
const trailersMarker = { request: { case: 'requestTrailers', value: {} } } as unknown as ProcessingRequest

/** Which field of Envoy's `ExternalProcessor` is wrong for a call whose message names the model. */
function modeFault(mode: Mode, isEager: boolean): string | undefined {
  if (mode === Mode.NONE) return 'processing_mode.request_body_mode is NONE; expected STREAMED'
  if (mode === Mode.GRPC) return 'processing_mode.request_body_mode is GRPC; expected STREAMED'
  if (mode === Mode.STREAMED && !isEager)
    return 'send_body_without_waiting_for_header_response is false; expected true'
  return undefined
}

function joined(chunks: readonly HttpBody[]): Uint8Array {
  const [first] = chunks
  if (first === undefined) return new Uint8Array()
  return chunks.length === 1 ? first.body : Buffer.concat(chunks.map((chunk) => chunk.body))
}

import type { Clock } from '#base/clock.ts'
import type { Exchange, RequestFacts, ServedFacts } from '#decision/exchange.ts'
import type { Decision, Pipeline } from '#decision/pipeline.ts'
import { deny, type Header, type Refusal } from '#decision/verdict.ts'
import type { StreamWriter } from '#grpc/service.ts'
import {
  createFrameGuard,
  hasNamedModel,
  isModelInMessage,
  spliceModelVersion,
} from '#inference/inference.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import {
  type BodyModes,
  duplexChunks,
  isBuffered,
  bodySendMode as Mode,
  noModes,
  unfitForNamedModel,
  unspokenMode,
} from './body-modes.ts'
import { type HeaderFacts, headerFacts, principalOf, servedFacts, withBody } from './decode-process.ts'
import { callFailure } from './denial.ts'
import {
  type AnswerChanges,
  bodyAnswer,
  bufferedBodyAnswer,
  bufferedResponseAnswer,
  moreTime,
  refusal,
  requestHeadersAnswer,
  responseHeadersAnswer,
  unchanged,
} from './encode-process.ts'
import type { BodyPiece, ProcessingMessage } from './processing-message.ts'

type Permitted = Extract<Decision, { kind: 'allow' }>
type FrameGuard = ReturnType<typeof createFrameGuard>

/** The names of model and version stand at the very start; a message that hides them behind more than this is refused. */
const maxPrefixBytes = 65_536
/** How long the first message may take before Envoy is asked for patience: less than the least `message_timeout`. */
const askForTimeAfterMs = 5

/** Where the request's side of the stream stands. */
type State =
  /** Nothing has come. */
  | { readonly kind: 'start' }
  /** The decision needs the body; answers to `chunks` are outstanding, and the headers' too unless they were answered. */
  | {
      readonly kind: 'waiting'
      readonly facts: HeaderFacts
      readonly principal: string
      readonly chunks: BodyPiece[]
      readonly isHeaderAnswered: boolean
    }
  /** The stages are at work; nothing comes meanwhile. */
  | { readonly kind: 'deciding' }
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
  #modes: BodyModes = noModes
  #isObserving = false
  /** Ended with the stream, however that ends. */
  #exchange: Exchange | undefined
  /** An answer whose body is to come before it is decided on. */
  #unjudged: ServedFacts | undefined
  #isOver = false
  readonly #ended = { requestBody: false, responseBody: false }
  #patience: NodeJS.Timeout | undefined
  #limit: NodeJS.Timeout | undefined

  constructor(options: SessionOptions) {
    this.#options = options
  }

  message(message: ProcessingMessage): void {
    if (message.modes !== undefined) this.#modes = message.modes
    if (message.isObserved) this.#isObserving = true
    const { kind } = message
    switch (kind) {
      case 'request_headers':
        return this.#requestHeaders(message)
      case 'request_body':
        return this.#requestBody(message)
      case 'request_trailers':
        return this.#requestTrailers(message)
      case 'response_headers':
        return this.#responseHeaders(message)
      case 'response_body':
        return this.#responseBody(message)
      case 'response_trailers':
        return this.#responseTrailers()
      case undefined:
        throw new Error('a message without a request')
      default:
        return kind satisfies never
    }
  }

  /** Envoy sends no more. A decision that waits for a body will never be needed. */
  halfClosed(): void {
    this.#options.writer.close()
  }

  ended(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stopTimers()
    // Stages that are still at work may yet take something: what they took is given back when they are done.
    if (this.#state.kind !== 'deciding') this.#release()
  }

  #release(): void {
    if (this.#exchange !== undefined) this.#options.pipeline.end(this.#exchange)
  }

  /** Goes on with `then` once the stages have answered; until then the stream is paused. */
  #whenDecided(decision: Decision | Promise<Decision>, then: (decision: Decision) => void): void {
    if (!(decision instanceof Promise)) return then(decision)
    const { log, writer } = this.#options
    const before = this.#state
    this.#state = { kind: 'deciding' }
    writer.pause()
    decision
      .then((late) => {
        this.#state = before
        if (this.#isOver) return this.#release()
        then(late)
        writer.resume()
      })
      .catch((cause: unknown) => {
        log.error({ err: cause }, 'ext_proc: session failed')
        writer.close({ code: 13, message: 'session failed' })
      })
  }

  #requestHeaders(message: ProcessingMessage): void {
    if (this.#state.kind !== 'start') throw new Error('request headers a second time')
    const { clock } = this.#options
    const { endOfStream: isEnd } = message
    const facts = headerFacts(message, clock.nowMs())
    const principal = principalOf(message)
    const { request: mode } = this.#modes
    const path = facts.path.split('?', 1)[0] ?? ''
    const isNamedLater = (facts.client === 'grpc' || facts.client === 'grpc-web') && isModelInMessage(path)
    const fault =
      unspokenMode(this.#modes) ?? (isNamedLater && !isEnd ? unfitForNamedModel(this.#modes) : undefined)
    if (fault !== undefined) return this.#refuseConfig(facts, principal, fault)
    if (isEnd || (!isNamedLater && !isBuffered(mode)))
      return this.#open(withBody(facts, principal, undefined, isEnd), false, [])
    if (isBuffered(mode)) {
      // Envoy holds the request back until the body has been answered; only then does anything go upstream.
      this.#state = { kind: 'waiting', facts, principal, chunks: [], isHeaderAnswered: true }
      return this.#send(unchanged.requestHeaders)
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

  #requestBody(body: BodyPiece): void {
    switch (this.#state.kind) {
      case 'waiting': {
        const { chunks, isHeaderAnswered } = this.#state
        // The bytes are the host's again as soon as this returns.
        chunks.push({ body: Buffer.from(body.body), endOfStream: body.endOfStream })
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
      case 'refused':
        return
      case 'start':
      case 'foreign':
      case 'deciding':
        throw new Error('a request body without its headers')
      default:
        return this.#state satisfies never
    }
  }

  #requestTrailers(message: ProcessingMessage): void {
    if (this.#state.kind === 'waiting') {
      this.#decide(this.#state, true)
      // The trailers' answer follows the body's, whenever that comes.
      return this.message(message)
    }
    if (this.#state.kind === 'permitted') this.#send(unchanged.requestTrailers)
    else if (this.#state.kind !== 'refused') throw new Error('request trailers without their headers')
  }

  /** Decides with what has come of the body. */
  #decide(waiting: Extract<State, { kind: 'waiting' }>, isEnd: boolean): void {
    this.#stopTimers()
    const { facts, principal, chunks, isHeaderAnswered } = waiting
    const body = chunks.length === 0 ? undefined : joined(chunks)
    this.#open(withBody(facts, principal, body, isEnd), isHeaderAnswered, chunks)
  }

  #open(facts: RequestFacts, isHeaderAnswered: boolean, chunks: readonly BodyPiece[]): void {
    const { pipeline } = this.#options
    const x = pipeline.open(facts)
    this.#exchange = x
    this.#whenDecided(pipeline.request(x), (decision) => this.#decided(x, decision, isHeaderAnswered, chunks))
  }

  #decided(x: Exchange, decision: Decision, isHeaderAnswered: boolean, chunks: readonly BodyPiece[]): void {
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
  #passWaiting(chunks: readonly BodyPiece[], body: Uint8Array, isChanged: boolean): void {
    if (chunks.length === 0) return
    if (this.#modes.request === Mode.FULL_DUPLEX_STREAMED) {
      return this.#passBody('requestBody', this.#modes.request, body, chunks.at(-1)?.endOfStream === true)
    }
    for (const [index] of chunks.entries()) {
      if (!isChanged) this.#send(unchanged.requestBody)
      else if (index === 0) this.#send(bodyAnswer('requestBody', { kind: 'replace', body }))
      else this.#send(bodyAnswer('requestBody', { kind: 'clear' }))
    }
  }

  #responseHeaders(message: ProcessingMessage): void {
    const { clock } = this.#options
    const served = servedFacts(message)
    if (this.#state.kind === 'start') {
      // A stream may begin here: an earlier filter answered, and no request went anywhere.
      this.#state = { kind: 'foreign' }
      if (served.upstreamAddress !== undefined) {
        const fault = 'processing_mode.request_header_mode is SKIP; expected SEND'
        return this.#refuseConfig(headerFacts(message, clock.nowMs()), '', fault)
      }
    }
    // Envoy shows an answer of another filter, or one that it gave before the decision fell.
    if (this.#state.kind !== 'permitted') return this.#send(unchanged.responseHeaders)
    if (isBuffered(this.#modes.response) && !served.isBodyComplete) {
      // Envoy holds the answer back until its body has been answered; the decision can wait for it.
      this.#unjudged = served
      return this.#send(unchanged.responseHeaders)
    }
    this.#judge(this.#state, served, responseHeadersAnswer)
  }

  #responseBody(body: BodyPiece): void {
    const served = this.#unjudged
    if (served !== undefined && this.#state.kind === 'permitted') {
      this.#unjudged = undefined
      // The bytes are the host's again as soon as this returns.
      const seen = { ...served, body: Buffer.from(body.body), isBodyComplete: body.endOfStream }
      return this.#judge(this.#state, seen, bufferedResponseAnswer)
    }
    if (this.#state.kind !== 'refused')
      this.#passBody('responseBody', this.#modes.response, body.body, body.endOfStream)
  }

  /** Where there was no body to judge the answer at, it is judged here, and Envoy has its headers still. */
  #responseTrailers(): void {
    const served = this.#unjudged
    if (served === undefined || this.#state.kind !== 'permitted')
      return this.#send(unchanged.responseTrailers)
    this.#unjudged = undefined
    const { x, decision } = this.#state
    const { pipeline } = this.#options
    this.#whenDecided(pipeline.response(x, { ...served, isBodyComplete: true }), (final) => {
      if (final.kind !== 'allow') return this.#refuse(x, final)
      const { addResponseHeaders: add = [], removeResponseHeaders: remove = [] } = final.mutations
      const changes = add.length + remove.length + (decision.mutations.addResponseHeaders?.length ?? 0)
      // An answer to trailers can say nothing of headers, which would go out as they came.
      if (changes === 0) return this.#send(unchanged.responseTrailers)
      const why = 'trailers without a body: the headers cannot be changed any more'
      this.#refuse(x, pipeline.refuse(x, deny('redaction_impossible', why)))
    })
  }

  /** Decides about the answer, and sends the decision in the form that fits what Envoy waits for. */
  #judge(
    { x, decision }: Extract<State, { kind: 'permitted' }>,
    served: ServedFacts,
    answer: (changes: AnswerChanges) => Uint8Array,
  ): void {
    this.#whenDecided(this.#options.pipeline.response(x, served), (final) => {
      if (final.kind !== 'allow') return this.#refuse(x, final)
      const { mutations } = final
      const { addResponseHeaders: before = [] } = decision.mutations
      const { addResponseHeaders: now = [], removeResponseHeaders: remove = [] } = mutations
      // A rule that serves both phases says the same twice.
      const isNew = ([name, value]: Header) =>
        !before.some(([known, said]) => known === name && said === value)
      const { responseBody: body, dynamicMetadata } = mutations
      this.#send(answer({ add: [...before, ...now.filter(isNew)], remove, body, dynamicMetadata }))
    })
  }

  /** Lets a chunk through as it is. In full duplex silence drops it, so it is sent back. */
  #passBody(direction: 'requestBody' | 'responseBody', mode: number, body: Uint8Array, isEnd: boolean): void {
    if (mode !== Mode.FULL_DUPLEX_STREAMED) return this.#send(unchanged[direction])
    // Envoy has been seen to repeat the last chunk; the end may be said only once.
    if (this.#ended[direction]) return
    this.#ended[direction] = isEnd
    for (const piece of duplexChunks(body, isEnd))
      this.#send(bodyAnswer(direction, { kind: 'streamed', piece }))
  }

  /** Refuses what was never decided, with a record all the same. */
  #refuseUnread(facts: HeaderFacts, principal: string, why: Refusal): void {
    this.#stopTimers()
    const x = this.#options.pipeline.open(withBody(facts, principal, undefined, false))
    this.#exchange = x
    this.#refuse(x, this.#options.pipeline.refuse(x, why))
  }

  /** Refuses because of how Envoy is configured, and tells its owner which field to mend. */
  #refuseConfig(facts: HeaderFacts, principal: string, fault: string): void {
    this.#options.log.error({ path: facts.path, fault }, 'ext_proc: Envoy is not configured for what it asks')
    this.#refuseUnread(facts, principal, deny('envoy_config_unsupported', fault))
  }

  #refuse(x: Exchange, decision: Decision): void {
    if (decision.kind === 'allow') throw new Error('an allowed request cannot be refused')
    this.#state = { kind: 'refused' }
    const failure = callFailure(decision)
    if (failure === undefined) this.#send(refusal(x, decision))
    else if (!this.#isOver && !this.#isObserving) this.#options.writer.close(failure)
  }

  #send(message: Uint8Array): void {
    if (!this.#isOver && !this.#isObserving) this.#options.writer.send(message)
  }

  #stopTimers(): void {
    clearTimeout(this.#patience)
    clearTimeout(this.#limit)
  }
}

function joined(chunks: readonly BodyPiece[]): Uint8Array {
  const [first] = chunks
  if (first === undefined) return new Uint8Array()
  return chunks.length === 1 ? first.body : Buffer.concat(chunks.map((chunk) => chunk.body))
}

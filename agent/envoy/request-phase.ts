import type { Exchange, RequestFacts } from '#decision/exchange.ts'
import type { Decision } from '#decision/pipeline.ts'
import { deny, failure, type Refusal } from '#decision/verdict.ts'
import {
  createFrameGuard,
  hasNamedModel,
  isModelInMessage,
  spliceModelVersion,
} from '#inference/inference.ts'
import {
  isBuffered,
  bodySendMode as Mode,
  unfitForMetering,
  unfitForNamedModel,
  unspokenMode,
} from './body-modes.ts'
import { BodyWay } from './body-way.ts'
import type { Conversation } from './conversation.ts'
import { type HeaderFacts, headerFacts, principalOf, withBody } from './decode-process.ts'
import { bodyAnswer, bufferedBodyAnswer, requestHeadersAnswer, unchanged } from './encode-process.ts'
import { MessageWait } from './message-wait.ts'
import { isMetered } from './metered-answer.ts'
import type { BodyPiece, ProcessingMessage } from './processing-message.ts'

export type Permitted = Extract<Decision, { kind: 'allow' }>
type FrameGuard = ReturnType<typeof createFrameGuard>

/** The names of model and version stand at the very start; a message that hides them behind more than this is refused. */
const maxPrefixBytes = 65_536

/** Where the request's side of the stream stands, unless it was refused. */
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
  /** The stages have it. */
  | { readonly kind: 'deciding' }
  | {
      readonly kind: 'permitted'
      readonly x: Exchange
      readonly decision: Permitted
      readonly guard: FrameGuard | undefined
    }
  /** Never ours: everything is answered as it comes. */
  | { readonly kind: 'foreign' }

/**
 * The request: headers, body, trailers. The decision falls at its headers, or at the first bytes of its body where a gRPC
 * message names the model, or at its body where Envoy keeps it back.
 */
export class RequestPhase {
  readonly #talk: Conversation
  readonly #way: BodyWay
  /** There while a first message is waited for. */
  #wait: MessageWait | undefined
  #state: State = { kind: 'start' }

  constructor(talk: Conversation) {
    this.#talk = talk
    this.#way = new BodyWay(talk, 'requestBody')
  }

  /** What was permitted; `undefined` before, and where nothing was. */
  get permitted(): { readonly x: Exchange; readonly decision: Permitted } | undefined {
    return this.#state.kind === 'permitted' && !this.#talk.isRefused ? this.#state : undefined
  }

  headers(message: ProcessingMessage): void {
    if (this.#state.kind !== 'start') throw new Error('request headers a second time')
    const { options, modes } = this.#talk
    const { endOfStream: isEnd } = message
    const facts = headerFacts(message, options.clock.nowMs())
    const principal = principalOf(message)
    const path = facts.path.split('?', 1)[0] ?? ''
    const isNamedLater = (facts.client === 'grpc' || facts.client === 'grpc-web') && isModelInMessage(path)
    const fault = unspokenMode(modes) ?? (isNamedLater && !isEnd ? unfitForNamedModel(modes) : undefined)
    if (fault !== undefined) return this.#refuseConfig(facts, principal, fault)
    if (isEnd || (!isNamedLater && !isBuffered(modes.request)))
      return this.#open(withBody(facts, principal, undefined, isEnd), { isHeaderAnswered: false, chunks: [] })
    if (isBuffered(modes.request)) {
      // Envoy holds the request back until the body has been answered; only then does anything go upstream.
      this.#state = { kind: 'waiting', facts, principal, chunks: [], isHeaderAnswered: true }
      return this.#talk.send(unchanged.requestHeaders)
    }
    this.#state = { kind: 'waiting', facts, principal, chunks: [], isHeaderAnswered: false }
    this.#wait = new MessageWait(this.#talk)
    this.#wait.start(modes.request === Mode.STREAMED, () => this.#tooLate())
  }

  body(body: BodyPiece): void {
    if (this.#talk.isRefused) return
    switch (this.#state.kind) {
      case 'waiting': {
        const { chunks, isHeaderAnswered } = this.#state
        // The bytes are the host's again as soon as this returns.
        chunks.push({ body: Buffer.from(body.body), endOfStream: body.endOfStream })
        if (isHeaderAnswered || body.endOfStream) return this.#decide(this.#state, body.endOfStream, false)
        const prefix = joined(chunks)
        if (prefix.length >= maxPrefixBytes || hasNamedModel(prefix, false))
          this.#decide(this.#state, false, false)
        return
      }
      case 'permitted': {
        const { x, guard } = this.#state
        const fault = guard?.feed(body.body)
        if (fault !== undefined) return this.#refuse(x, deny('request_malformed', fault))
        return this.#way.pass(this.#talk.modes.request, body.body, body.endOfStream)
      }
      case 'start':
      case 'foreign':
      case 'deciding':
        throw new Error('a request body without its headers')
      default:
        return this.#state satisfies never
    }
  }

  trailers(): void {
    if (this.#talk.isRefused) return
    // Their answer follows the body's, whenever that comes.
    if (this.#state.kind === 'waiting') this.#decide(this.#state, true, true)
    else if (this.#state.kind === 'permitted') this.#talk.send(unchanged.requestTrailers)
    else throw new Error('request trailers without their headers')
  }

  /**
   * An answer came: where nothing had been asked an earlier filter gave it, or Envoy does not show requests.
   *
   * @returns `refused` where that is how Envoy is configured, and was answered so
   */
  answered(message: ProcessingMessage, upstreamAddress: string | undefined): 'refused' | undefined {
    if (this.#state.kind !== 'start') return undefined
    this.#state = { kind: 'foreign' }
    if (upstreamAddress === undefined) return undefined
    const fault = 'processing_mode.request_header_mode is SKIP; expected SEND'
    this.#refuseConfig(headerFacts(message, this.#talk.options.clock.nowMs()), '', fault)
    return 'refused'
  }

  ended(): void {
    this.#wait?.stop()
  }

  #tooLate(): void {
    if (this.#state.kind !== 'waiting' || this.#talk.isRefused) return
    this.#refuseUnread(this.#state.facts, this.#state.principal, deny('message_too_late'))
  }

  /** Decides with what has come of the body. */
  #decide(waiting: Extract<State, { kind: 'waiting' }>, isEnd: boolean, hasTrailers: boolean): void {
    this.#wait?.stop()
    const { facts, principal, chunks, isHeaderAnswered } = waiting
    const body = chunks.length === 0 ? undefined : joined(chunks)
    this.#open(withBody(facts, principal, body, isEnd), { isHeaderAnswered, chunks, hasTrailers })
  }

  #open(facts: RequestFacts, waited: Waited): void {
    const { pipeline } = this.#talk.options
    const x = pipeline.open(facts)
    this.#talk.exchange = x
    const waits = () => this.#talk.waits()
    x.whenWaiting = waits
    this.#state = { kind: 'deciding' }
    this.#talk.whenDecided(pipeline.request(x), (decision) => this.#decided(x, decision, waited))
  }

  #decided(x: Exchange, decision: Decision, { isHeaderAnswered, chunks, hasTrailers }: Waited): void {
    if (decision.kind !== 'allow') return this.#talk.refuse(x, decision)
    const isInMessage = x.call?.protocol === 'v2-grpc' && x.call.model !== undefined
    const guard = isInMessage ? createFrameGuard() : undefined
    const seen = joined(chunks)
    const fault = guard?.feed(seen)
    if (fault !== undefined) return this.#refuse(x, deny('request_malformed', fault))
    const unfit = isMetered(x) ? unfitForMetering(this.#talk.modes) : undefined
    if (unfit !== undefined) return this.#refuseOpen(x, unfit)
    const { modelVersion, requestBody } = decision.mutations
    if (requestBody !== undefined && (x.request.body === undefined || !x.request.isBodyComplete))
      return this.#refuse(
        x,
        failure('internal_error', new Error('a body that was not seen cannot be replaced')),
      )
    this.#state = { kind: 'permitted', x, decision, guard }
    const body =
      isInMessage && modelVersion !== undefined ? spliceModelVersion(seen, modelVersion) : requestBody
    if (isHeaderAnswered) this.#talk.send(bufferedBodyAnswer(x, decision, body))
    else {
      this.#talk.send(requestHeadersAnswer(x, decision))
      this.#passWaiting(chunks, body ?? seen, body !== undefined)
    }
    if (hasTrailers === true) this.#talk.send(unchanged.requestTrailers)
  }

  /** Answers the chunks that waited for the decision; all that goes upstream of them goes with the first. */
  #passWaiting(chunks: readonly BodyPiece[], body: Uint8Array, isChanged: boolean): void {
    if (chunks.length === 0) return
    const { request: mode } = this.#talk.modes
    if (mode === Mode.FULL_DUPLEX_STREAMED)
      return this.#way.pass(mode, body, chunks.at(-1)?.endOfStream === true)
    for (const [index] of chunks.entries()) {
      if (!isChanged) this.#talk.send(unchanged.requestBody)
      else if (index === 0) this.#talk.send(bodyAnswer('requestBody', { kind: 'replace', body }))
      else this.#talk.send(bodyAnswer('requestBody', { kind: 'clear' }))
    }
  }

  #refuse(x: Exchange, why: Refusal): void {
    this.#talk.refuse(x, this.#talk.options.pipeline.refuse(x, why))
  }

  /** Refuses what was never decided, with a record all the same. */
  #refuseUnread(facts: HeaderFacts, principal: string, why: Refusal): void {
    this.#wait?.stop()
    const x = this.#talk.options.pipeline.open(withBody(facts, principal, undefined, false))
    this.#talk.exchange = x
    this.#refuse(x, why)
  }

  /** Refuses because of how Envoy is configured, and tells its owner which field to mend. */
  #refuseConfig(facts: HeaderFacts, principal: string, fault: string): void {
    this.#logConfig(facts.path, fault)
    this.#refuseUnread(facts, principal, deny('envoy_config_unsupported', fault))
  }

  #refuseOpen(x: Exchange, fault: string): void {
    this.#logConfig(x.request.path, fault)
    this.#refuse(x, deny('envoy_config_unsupported', fault))
  }

  #logConfig(path: string, fault: string): void {
    this.#talk.options.log.error({ path, fault }, 'ext_proc: Envoy is not configured for what it asks')
  }
}

/** What of a request waited for the decision, to be answered after it. */
interface Waited {
  readonly isHeaderAnswered: boolean
  readonly chunks: readonly BodyPiece[]
  readonly hasTrailers?: boolean
}

function joined(chunks: readonly BodyPiece[]): Uint8Array {
  const [first] = chunks
  if (first === undefined) return new Uint8Array()
  return chunks.length === 1 ? first.body : Buffer.concat(chunks.map((chunk) => chunk.body))
}

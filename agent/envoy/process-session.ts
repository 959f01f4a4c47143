import { AnswerPhase } from './answer-phase.ts'
import { BodyWay } from './body-way.ts'
import { Conversation, type SessionOptions } from './conversation.ts'
import { servedFacts } from './decode-process.ts'
import { unchanged } from './encode-process.ts'
import type { BodyPiece, ProcessingMessage } from './processing-message.ts'
import { RequestPhase } from './request-phase.ts'

/**
 * One HTTP stream as Envoy tells it: request headers, body, trailers, response headers, body, trailers, each answered
 * once and in order. Whatever is not foreseen ends the stream with an error, which Envoy turns into a refusal.
 */
export class ProcessSession {
  readonly #talk: Conversation
  readonly #request: RequestPhase
  /** There once a request that was permitted is answered. */
  #answer: AnswerPhase | undefined
  /** For answers that are nobody's to judge. */
  #others: BodyWay | undefined

  constructor(options: SessionOptions) {
    this.#talk = new Conversation(options)
    this.#request = new RequestPhase(this.#talk)
  }

  message(message: ProcessingMessage): void {
    if (message.modes !== undefined) this.#talk.modes = message.modes
    if (message.isObserved) this.#talk.isObserving = true
    if (this.#talk.isDeciding) throw new Error('a message while the stages are at work')
    const { kind } = message
    switch (kind) {
      case 'request_headers':
        return this.#request.headers(message)
      case 'request_body':
        return this.#request.body(message)
      case 'request_trailers':
        return this.#request.trailers()
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
    this.#talk.options.writer.close()
  }

  ended(): void {
    this.#request.ended()
    this.#talk.ended()
  }

  #responseHeaders(message: ProcessingMessage): void {
    const served = servedFacts(message)
    // A stream may begin here.
    this.#request.answered(message, served.upstreamAddress)
    if (this.#talk.isRefused) return
    const { permitted } = this.#request
    if (permitted !== undefined) {
      this.#answer = new AnswerPhase(this.#talk, permitted)
      return this.#answer.headers(served)
    }
    // Envoy shows an answer of another filter, or one that it gave before the decision fell.
    this.#talk.send(unchanged.responseHeaders)
  }

  #responseBody(piece: BodyPiece): void {
    if (this.#talk.isRefused) return
    if (this.#answer !== undefined) return this.#answer.body(piece)
    this.#others ??= new BodyWay(this.#talk, 'responseBody')
    this.#others.pass(this.#talk.modes.response, piece.body, piece.endOfStream)
  }

  #responseTrailers(): void {
    if (this.#talk.isRefused) return
    if (this.#answer !== undefined) this.#answer.trailers()
    else this.#talk.send(unchanged.responseTrailers)
  }
}

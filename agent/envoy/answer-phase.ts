import type { Exchange, ServedFacts } from '#decision/exchange.ts'
import { reasons } from '#decision/reasons.ts'
import { deny, type Header, type Refusal } from '#decision/verdict.ts'
import { answerMode, isBuffered, bodySendMode as Mode } from './body-modes.ts'
import { BodyWay } from './body-way.ts'
import type { Conversation } from './conversation.ts'
import {
  type AnswerChanges,
  bufferedResponseAnswer,
  responseHeadersAnswer,
  unchanged,
} from './encode-process.ts'
import { MeteredAnswer } from './metered-answer.ts'
import type { BodyPiece } from './processing-message.ts'
import type { Permitted } from './request-phase.ts'

/** The answer to a request that was permitted: judged at its headers or with its body, and measured as it passes. */
export class AnswerPhase {
  readonly #talk: Conversation
  readonly #x: Exchange
  readonly #decision: Permitted
  readonly #way: BodyWay
  readonly #metered: MeteredAnswer | undefined
  /** How its body comes. */
  #mode: number
  /** An answer whose body is to come before it is decided on. */
  #unjudged: ServedFacts | undefined

  constructor(talk: Conversation, { x, decision }: { readonly x: Exchange; readonly decision: Permitted }) {
    this.#talk = talk
    this.#x = x
    this.#decision = decision
    this.#way = new BodyWay(talk, 'responseBody')
    this.#metered = MeteredAnswer.of(x)
    this.#mode = talk.modes.response
  }

  headers(served: ServedFacts): void {
    const { modes } = this.#talk
    const isStream = isStreamed(this.#x)
    if (!served.isBodyComplete)
      this.#mode = answerMode(modes, { isMetered: this.#metered !== undefined, isStream })
    if (this.#metered !== undefined) {
      this.#x.isAnswerShown = modes.response !== Mode.NONE || this.#talk.options.overrides.areTaken
      this.#metered.begin(served)
    }
    if (isBuffered(this.#mode) && !served.isBodyComplete) {
      // Envoy holds the answer back until its body has been answered; the decision can wait for it.
      this.#unjudged = served
      return this.#talk.send(unchanged.responseHeaders)
    }
    if (this.#metered === undefined && this.#mode === modes.response)
      return this.#judge(served, responseHeadersAnswer)
    const override = this.#mode === modes.response ? undefined : { ...modes, response: this.#mode }
    // What only we asked for is taken out again: the length that was said may not be the one that arrives.
    const mayChange =
      this.#metered !== undefined && (isStream || this.#decision.mutations.requestBody !== undefined)
    this.#judge(served, (changes) =>
      responseHeadersAnswer({
        ...changes,
        ...(mayChange && { remove: [...changes.remove, 'content-length'] }),
        ...(override && { override }),
      }),
    )
  }

  body({ body, endOfStream }: BodyPiece): void {
    if (this.#talk.modes.response === Mode.NONE) this.#talk.options.overrides.areTaken = true
    const served = this.#unjudged
    if (served !== undefined) return this.#bufferedBody(served, body, endOfStream)
    if (this.#metered === undefined) return this.#way.pass(this.#mode, body, endOfStream)
    const given = this.#metered.feed(body, endOfStream)
    if (this.#metered.isUsedUp) return this.#stop(this.#metered, body, given)
    this.#way.give(this.#mode, body, given, endOfStream)
  }

  trailers(): void {
    const rest = this.#metered?.finish()
    const served = this.#unjudged
    if (served !== undefined) {
      this.#unjudged = undefined
      return this.#judgeLate(served)
    }
    if (rest !== undefined && rest.length > 0) {
      if (this.#mode !== Mode.FULL_DUPLEX_STREAMED)
        throw new Error('the meter kept back what cannot be sent any more')
      this.#way.pass(this.#mode, rest, false)
    }
    this.#talk.send(unchanged.responseTrailers)
  }

  #bufferedBody(served: ServedFacts, body: Buffer, isEnd: boolean): void {
    this.#unjudged = undefined
    // The bytes are the host's again as soon as this returns.
    const seen = Buffer.from(body)
    const given = this.#metered === undefined ? seen : this.#metered.feed(seen, isEnd)
    // Its headers are still here.
    if (this.#metered?.isUsedUp === true) return this.#refuse(usedUp)
    const ours = given === seen ? undefined : given
    this.#judge({ ...served, body: given, isBodyComplete: isEnd }, (changes) =>
      bufferedResponseAnswer(ours === undefined ? changes : { ...changes, body: changes.body ?? ours }),
    )
  }

  /**
   * Ends the answer behind a piece, as politely as its protocol and Envoy know; what is on its way from the model is dropped.
   * The piece was measured, so it is given.
   */
  #stop(metered: MeteredAnswer, piece: Uint8Array, given: Uint8Array): void {
    const { pipeline } = this.#talk.options
    const farewell = metered.farewell(reasons.quota_exceeded.text)
    const last = farewell === undefined ? given : Buffer.concat([given, farewell])
    if (farewell === undefined || this.#mode !== Mode.FULL_DUPLEX_STREAMED) {
      this.#way.give(this.#mode, piece, last, false)
      // The headers are gone: Envoy resets both sides.
      return this.#refuse(usedUp)
    }
    // Envoy takes the end from us, ends the client's side and resets the model server's.
    pipeline.refuse(this.#x, usedUp)
    this.#way.pass(this.#mode, last, true)
    this.#talk.isRefused = true
  }

  /** Where there was no body to judge the answer at, it is judged at its trailers, and Envoy has its headers still. */
  #judgeLate(served: ServedFacts): void {
    const { pipeline } = this.#talk.options
    this.#talk.whenDecided(pipeline.response(this.#x, { ...served, isBodyComplete: true }), (final) => {
      if (final.kind !== 'allow') return this.#talk.refuse(this.#x, final)
      const { addResponseHeaders: add = [], removeResponseHeaders: remove = [] } = final.mutations
      const changes = add.length + remove.length + (this.#decision.mutations.addResponseHeaders?.length ?? 0)
      // An answer to trailers can say nothing of headers, which would go out as they came.
      if (changes === 0) return this.#talk.send(unchanged.responseTrailers)
      const why = 'trailers without a body: the headers cannot be changed any more'
      this.#refuse(deny('redaction_impossible', why))
    })
  }

  /** Decides about the answer, and sends the decision in the form that fits what Envoy waits for. */
  #judge(served: ServedFacts, answer: (changes: AnswerChanges) => Uint8Array): void {
    this.#talk.whenDecided(this.#talk.options.pipeline.response(this.#x, served), (final) => {
      if (final.kind !== 'allow') return this.#talk.refuse(this.#x, final)
      const { mutations } = final
      const { addResponseHeaders: before = [] } = this.#decision.mutations
      const { addResponseHeaders: now = [], removeResponseHeaders: remove = [] } = mutations
      // A rule that serves both phases says the same twice.
      const isNew = ([name, value]: Header) =>
        !before.some(([known, said]) => known === name && said === value)
      const { responseBody: body, dynamicMetadata } = mutations
      this.#talk.send(answer({ add: [...before, ...now.filter(isNew)], remove, body, dynamicMetadata }))
    })
  }

  #refuse(why: Refusal): void {
    this.#talk.refuse(this.#x, this.#talk.options.pipeline.refuse(this.#x, why))
  }
}

const usedUp = deny('quota_exceeded', 'used up while the answer came')

/** Whether the client asked for an answer that comes piece by piece, and nobody may keep back. */
function isStreamed({ call }: Exchange): boolean {
  return (
    call?.verb === 'generate_stream' || call?.verb === 'stream_infer' || call?.generation?.isStream === true
  )
}

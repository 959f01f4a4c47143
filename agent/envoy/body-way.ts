import { duplexChunks, bodySendMode as Mode } from './body-modes.ts'
import type { Conversation } from './conversation.ts'
import { bodyAnswer, unchanged } from './encode-process.ts'

/** The way of one direction's body through the agent: what is said of each piece, in the form that the mode wants. */
export class BodyWay {
  readonly #talk: Conversation
  readonly #direction: 'requestBody' | 'responseBody'
  #isEnded = false

  constructor(talk: Conversation, direction: 'requestBody' | 'responseBody') {
    this.#talk = talk
    this.#direction = direction
  }

  /** Lets a piece through as it is. */
  pass(mode: number, piece: Uint8Array, isEnd: boolean): void {
    this.give(mode, piece, piece, isEnd)
  }

  /** Answers `piece`, in whose place `given` goes on: the same bytes, others, or none. */
  give(mode: number, piece: Uint8Array, given: Uint8Array, isEnd: boolean): void {
    if (mode === Mode.FULL_DUPLEX_STREAMED) return this.#sendBack(given, isEnd)
    if (given === piece) this.#talk.send(unchanged[this.#direction])
    else if (given.length === 0) this.#talk.send(bodyAnswer(this.#direction, { kind: 'clear' }))
    else this.#talk.send(bodyAnswer(this.#direction, { kind: 'replace', body: given }))
  }

  /** In full duplex silence drops a piece, so what is to go on is sent back. */
  #sendBack(body: Uint8Array, isEnd: boolean): void {
    // Envoy has been seen to repeat the last chunk; the end may be said only once.
    if (this.#isEnded) return
    this.#isEnded = isEnd
    for (const piece of duplexChunks(body, isEnd))
      this.#talk.send(bodyAnswer(this.#direction, { kind: 'streamed', piece }))
  }
}

import type { Conversation } from './conversation.ts'
import { moreTime } from './encode-process.ts'

/** How long the first message may take before Envoy is asked for patience: less than the least `message_timeout`. */
const askForTimeAfterMs = 5

/** The wait for the first message of a call: asks Envoy for patience, and has an end. */
export class MessageWait {
  readonly #talk: Conversation
  #patience: NodeJS.Timeout | undefined
  #limit: NodeJS.Timeout | undefined

  constructor(talk: Conversation) {
    this.#talk = talk
  }

  /** @param isTimed whether Envoy's `message_timeout` runs meanwhile */
  start(isTimed: boolean, tooLate: () => void): void {
    const { firstMessageTimeoutMs } = this.#talk.options
    if (isTimed) {
      this.#patience = setTimeout(() => this.#talk.send(moreTime(firstMessageTimeoutMs)), askForTimeAfterMs)
      this.#patience.unref()
    }
    // A little less than what Envoy was asked for, so that the refusal is ours.
    this.#limit = setTimeout(tooLate, firstMessageTimeoutMs * 0.9)
    this.#limit.unref()
  }

  stop(): void {
    clearTimeout(this.#patience)
    clearTimeout(this.#limit)
  }
}

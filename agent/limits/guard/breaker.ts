import type { After } from '#base/timers.ts'
import type { StoreFault } from '../store/store.ts'

/** Answers missed in a row until nobody is asked any more. */
const maxMissed = 3
/** Pause before the store is tried again. */
const openMs = 250

/**
 * Keeps requests from waiting for a store that does not answer. Open, nobody is asked but by the probe, which no request
 * waits for.
 */
export class Breaker {
  readonly #options: {
    readonly after: After
    /** Asks the store something that changes nothing; whether it answered. */
    readonly probe: () => boolean | Promise<boolean>
    readonly onOpen: () => void
    readonly onClose: () => void
  }
  #missed = 0
  #isOpen = false
  #isDisposed = false
  #stopTimer = () => {}

  constructor(options: {
    readonly after: After
    readonly probe: () => boolean | Promise<boolean>
    readonly onOpen: () => void
    readonly onClose: () => void
  }) {
    this.#options = options
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /**
   * Told of each answer, or why there is none. What was asked before it opened does not close it; a store that was not asked
   * for too many wait already says nothing of itself.
   */
  heard(fault: StoreFault | undefined): void {
    if (this.#isOpen || fault === 'busy') return
    if (fault === 'unavailable') this.#miss()
    else this.#missed = 0
  }

  #miss(): void {
    if (++this.#missed < maxMissed) return
    this.#isOpen = true
    this.#options.onOpen()
    this.#probeLater()
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#stopTimer()
  }

  #probeLater(): void {
    this.#stopTimer = this.#options.after(openMs, async () => {
      const hasAnswered = await this.#options.probe()
      if (this.#isDisposed) return
      if (!hasAnswered) return this.#probeLater()
      this.#isOpen = false
      this.#missed = 0
      this.#options.onClose()
    })
  }
}

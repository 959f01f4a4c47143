import type { Clock } from '#base/clock.ts'
import type { After } from '#base/timers.ts'

/** What runs, and is to be kept alive as long as it does. */
export interface Renewable {
  /** When it is due, in microseconds of the clock. */
  renewAtUs: number
  renew(): void
}

/** So many are renewed at once, and the next ones a little later: a thousand calls may have begun in the same moment. */
const batch = 64
const pauseMs = 20

/**
 * Renews what runs every so often, the oldest first. What was reserved for a call ends by itself, so that nothing stays
 * behind of an agent that is killed; while the agent lives a call may take as long as it likes and keeps its place.
 */
export class Renewals {
  readonly #running = new Set<Renewable>()
  readonly #options: { readonly everyMs: number; readonly clock: Clock; readonly after: After }
  #isWaiting = false

  constructor(options: { readonly everyMs: number; readonly clock: Clock; readonly after: After }) {
    this.#options = options
  }

  add(each: Renewable): void {
    const { everyMs, clock } = this.#options
    each.renewAtUs = clock.monotonicUs() + everyMs * 1000
    this.#running.add(each)
    if (!this.#isWaiting) this.#wait(everyMs)
  }

  delete(each: Renewable): void {
    this.#running.delete(each)
  }

  #wait(ms: number): void {
    this.#isWaiting = true
    this.#options.after(ms, () => this.#renewDue())
  }

  #renewDue(): void {
    this.#isWaiting = false
    const { everyMs, clock } = this.#options
    const nowUs = clock.monotonicUs()
    let done = 0
    for (const each of this.#running) {
      if (each.renewAtUs > nowUs) return this.#wait(Math.ceil((each.renewAtUs - nowUs) / 1000))
      if (done++ >= batch) return this.#wait(pauseMs)
      // Behind the others: they stand in the order in which they are due.
      this.#running.delete(each)
      this.#running.add(each)
      each.renewAtUs = nowUs + everyMs * 1000
      each.renew()
    }
  }
}

/** Ids that were settled; of each generation so many. */
const rememberedIds = 4096
/** Holds that one look for expired ones ends at most. */
const sweptAtOnce = 1024

/** Calls that run, by the id of their hold, until they are settled or their life is over. */
export class OpenHolds<T extends { endUs: number }> {
  readonly #open = new Map<string, T>()
  #settled = new Set<string>()
  #settledBefore = new Set<string>()

  get(id: string): T | undefined {
    return this.#open.get(id)
  }

  values(): Iterable<T> {
    return this.#open.values()
  }

  set(id: string, hold: T): void {
    this.#open.set(id, hold)
  }

  /** Forgets a hold that came to nothing. */
  delete(id: string): void {
    this.#open.delete(id)
  }

  /** Moves it behind the others: they end in the order of the list. */
  prolong(id: string, hold: T, endUs: number): void {
    hold.endUs = endUs
    this.#open.delete(id)
    this.#open.set(id, hold)
  }

  /** Remembers for a while that an id came to its end. */
  end(id: string): void {
    this.#open.delete(id)
    if (this.#settled.size >= rememberedIds) {
      this.#settledBefore = this.#settled
      this.#settled = new Set()
    }
    this.#settled.add(id)
  }

  hasEnded(id: string): boolean {
    return this.#settled.has(id) || this.#settledBefore.has(id)
  }

  /** Ends the holds whose life is over; `ended` is told each of them. */
  sweep(nowUs: number, ended: (hold: T) => void): void {
    let looked = 0
    for (const [id, hold] of this.#open) {
      if (hold.endUs > nowUs || looked++ >= sweptAtOnce) return
      this.#open.delete(id)
      ended(hold)
    }
  }
}

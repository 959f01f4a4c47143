/** A fleet that ends one by one, or is replaced, is not taken for a smaller one. */
const fewerAfterUs = 3_600_000_000

/**
 * Which number of replicas is worth keeping for a start without the store: the present one where it is larger than what is kept,
 * or has been smaller for an hour.
 */
export class ReplicasKept {
  #kept: number
  /** Since when there are fewer, and how many at most. */
  #fewer: { readonly sinceUs: number; most: number } | undefined

  constructor(kept = 0) {
    this.#kept = kept
  }

  /** @returns what is to be kept from now on, where that is another number */
  note(replicas: number, nowUs: number): number | undefined {
    if (replicas >= this.#kept) {
      this.#fewer = undefined
      return this.#keep(replicas)
    }
    this.#fewer ??= { sinceUs: nowUs, most: 0 }
    const { sinceUs, most } = this.#fewer
    this.#fewer.most = Math.max(most, replicas)
    if (nowUs - sinceUs < fewerAfterUs) return undefined
    const next = this.#fewer.most
    this.#fewer = undefined
    return this.#keep(next)
  }

  #keep(replicas: number): number | undefined {
    if (replicas === this.#kept) return undefined
    this.#kept = replicas
    return replicas
  }
}

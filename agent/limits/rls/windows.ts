interface Window {
  readonly endsAtSeconds: number
  used: number
}

/** How many counters are kept at once. Descriptors hold what clients send: without a bound they would be the memory's. */
const maxWindows = 200_000

/** Counters that begin anew when their window has passed. */
export class Windows {
  readonly #windows = new Map<string, Window>()
  readonly #max: number

  constructor(max = maxWindows) {
    this.#max = max
  }

  /** What is counted under `key` in the window of `nowSeconds`. */
  used(key: string, nowSeconds: number): number {
    const window = this.#windows.get(key)
    return window === undefined || window.endsAtSeconds <= nowSeconds ? 0 : window.used
  }

  /** Counts `hits` more, or fewer where negative but never below zero. False where there is no room for one more key. */
  add(options: {
    readonly key: string
    readonly hits: number
    readonly endsAtSeconds: number
    readonly nowSeconds: number
  }): boolean {
    const { key, hits, endsAtSeconds, nowSeconds } = options
    const window = this.#windows.get(key)
    if (window !== undefined && window.endsAtSeconds > nowSeconds) {
      window.used = Math.max(0, window.used + hits)
      return true
    }
    if (hits <= 0) return true
    if (window === undefined && this.#windows.size >= this.#max) this.#sweep(nowSeconds)
    if (window === undefined && this.#windows.size >= this.#max) return false
    this.#windows.set(key, { endsAtSeconds, used: hits })
    return true
  }

  #sweep(nowSeconds: number): void {
    for (const [key, { endsAtSeconds }] of this.#windows) {
      if (endsAtSeconds <= nowSeconds) this.#windows.delete(key)
    }
  }
}

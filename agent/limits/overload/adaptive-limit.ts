export interface LimitSettings {
  /** Never fewer calls at once, whatever is measured: what the server can compute at the same time. */
  readonly floor: number
  /** What it begins with, and goes back to while nothing is measured. */
  readonly initial: number
  readonly ceiling: number
  /** The mean wait in the server's own queue that is aimed at. */
  readonly queueTargetMs: number
}

/** What was measured of the calls that ended within one period. */
export interface LoadSample {
  /** Mean wait in the server's queue. */
  readonly queueMs: number
  /** Mean time from there to the end; `undefined` where the server does not say it. */
  readonly serviceMs: number | undefined
}

/**
 * How many calls may run at once, found by how long they wait in the server's queue. Round-trip times would not do: they
 * differ with what is asked, above all with how much is generated.
 *
 * With L the limit, q the mean wait, s the mean service, T the target:
 * - q > T: `L := max(floor, min(L, p) * clamp((s + T) / (s + q), 1/2, 1))`, p the most calls that ran in the period. A server of
 *   capacity c calls/s has c(s + q) calls in it (Little), so that this many leave a wait of T. Without s it counts as 0.
 * - q ≤ T, and the limit was reached: `L := min(ceiling, L + sqrt(L) * (1 - q / T))`.
 * - otherwise nothing is known of what more calls would do, and L stays.
 *
 * After each change nothing is changed until calls under the new limit can have ended: for s + q.
 */
export class AdaptiveLimit {
  readonly #settings: LimitSettings
  #limit: number
  #settledAtUs = 0

  constructor(settings: LimitSettings) {
    this.#settings = settings
    this.#limit = settings.initial
  }

  /** Whole, at least 1. */
  get calls(): number {
    return Math.floor(this.#limit)
  }

  /**
   * Takes what one period showed.
   *
   * @param most calls that ran at once within it
   */
  learn(sample: LoadSample, most: number, nowUs: number): void {
    const { floor, ceiling, queueTargetMs } = this.#settings
    const { queueMs, serviceMs = 0 } = sample
    if (most === 0 || nowUs < this.#settledAtUs) return
    const before = this.#limit
    if (queueMs > queueTargetMs) {
      const ratio = Math.max(0.5, (serviceMs + queueTargetMs) / (serviceMs + queueMs))
      this.#limit = Math.max(floor, Math.min(before, most) * ratio)
    } else if (most >= this.calls) {
      this.#limit = Math.min(ceiling, before + Math.sqrt(before) * (1 - queueMs / queueTargetMs))
    }
    if (this.#limit !== before) this.#settledAtUs = nowUs + (serviceMs + queueMs) * 1000
  }

  /** A period of which nothing is known: a step back to what is known to be right without measuring. */
  forget(): void {
    const { initial } = this.#settings
    const step = Math.sqrt(this.#limit)
    const away = initial - this.#limit
    this.#limit = Math.abs(away) <= step ? initial : this.#limit + Math.sign(away) * step
  }
}

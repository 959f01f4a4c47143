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
  /** How many those are, at least 1. */
  readonly completed: number
  /** Mean wait in the server's queue. */
  readonly queueMs: number
  /** Mean time from there to the end; `undefined` where the server does not say it. */
  readonly serviceMs: number | undefined
}

/** The part of a period that may still show what was before. */
const tolerated = 0.25

/**
 * How many calls may run at once, found by how long they wait in the server's queue. Round-trip times would not do: they
 * differ with what is asked, above all with how much is generated.
 *
 * With L the limit, q the mean wait, s the mean service, T the target:
 * - q > T: `L := max(floor, min(L, p) * clamp((s + T) / (s + q), 1/2, 1))`, p the most calls that ran in the period. A server of
 *   capacity c calls/s has c(s + q) calls in it (Little), so that this many leave a wait of T. Without s it counts as 0.
 * - q ≤ T, and the limit was reached: `L := min(ceiling, L + min(sqrt(L), g) * (1 - q / T))`, where g is 1 after a step down and
 *   doubles with each step up: what was too much is not tried again in one leap.
 * - otherwise nothing is known of what more calls would do, and L stays.
 *
 * It is judged by as many calls as may run at once: fewer may be those that happened to wait, or not to. After each change
 * nothing is learnt from what ends before calls under the new limit do, after s + q: it tells of the old one.
 */
export class AdaptiveLimit {
  readonly #settings: LimitSettings
  #limit: number
  /** A step up is no larger than this. */
  #growth = Number.POSITIVE_INFINITY
  #settledAtUs = 0
  #learntUs = 0
  /** Since the last judgement. */
  #completed = 0
  #queueSumMs = 0
  #serviceSumMs = 0
  #most = 0

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
  learn({ completed, queueMs, serviceMs = 0 }: LoadSample, most: number, nowUs: number): void {
    const beganUs = this.#learntUs
    this.#learntUs = nowUs
    if (this.#settledAtUs - beganUs > (nowUs - beganUs) * tolerated) return
    this.#completed += completed
    this.#queueSumMs += queueMs * completed
    this.#serviceSumMs += serviceMs * completed
    this.#most = Math.max(this.#most, most)
    if (this.#completed >= this.calls) this.#judge(nowUs)
  }

  #judge(nowUs: number): void {
    const { floor, ceiling, queueTargetMs } = this.#settings
    const queueMs = this.#queueSumMs / this.#completed
    const serviceMs = this.#serviceSumMs / this.#completed
    const before = this.#limit
    if (this.#most > 0 && queueMs > queueTargetMs) {
      const ratio = Math.max(0.5, (serviceMs + queueTargetMs) / (serviceMs + queueMs))
      this.#limit = Math.max(floor, Math.min(before, this.#most) * ratio)
      this.#growth = 1
    } else if (this.#most >= this.calls) {
      const step = Math.min(Math.sqrt(before), this.#growth)
      this.#limit = Math.min(ceiling, before + step * (1 - queueMs / queueTargetMs))
      this.#growth *= 2
    }
    if (this.#limit !== before) this.#settledAtUs = nowUs + (serviceMs + queueMs) * 1000
    this.#startOver()
  }

  #startOver(): void {
    this.#completed = 0
    this.#queueSumMs = 0
    this.#serviceSumMs = 0
    this.#most = 0
  }

  /** A period of which nothing is known: a step back to what is known to be right without measuring. */
  forget(): void {
    const { initial } = this.#settings
    this.#startOver()
    const step = Math.sqrt(this.#limit)
    const away = initial - this.#limit
    this.#limit = Math.abs(away) <= step ? initial : this.#limit + Math.sign(away) * step
  }
}

/** A token bucket as OPA's: `perSecond` events, and that many (at least one) at once. */
export class RateLimit {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #atMs: number | undefined

  constructor(perSecond: number) {
    this.#perSecond = perSecond
    this.#burst = Math.max(1, Math.trunc(perSecond))
    this.#tokens = this.#burst
  }

  allows(nowMs: number): boolean {
    const passedMs = Math.max(0, nowMs - (this.#atMs ?? nowMs))
    this.#atMs = Math.max(nowMs, this.#atMs ?? nowMs)
    this.#tokens = Math.min(this.#burst, this.#tokens + (passedMs / 1000) * this.#perSecond)
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}

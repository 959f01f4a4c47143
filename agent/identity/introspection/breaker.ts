export interface BreakerOptions {
  /** Failures in a row after which nobody is asked any more, */
  readonly failures: number
  /** for this long. Then one is let through to see. */
  readonly pauseMs: number
}

/** Stops asking a server that does not answer: requests are refused at once, and it is left alone. */
export class CircuitBreaker {
  readonly #options: BreakerOptions
  #failures = 0
  #opensAtUs = 0
  #isTrying = false

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  /** Whether the server may be asked now. Each `true` is followed by `succeeded` or `failed`. */
  admits(nowUs: number): boolean {
    if (this.#failures < this.#options.failures) return true
    if (nowUs < this.#opensAtUs || this.#isTrying) return false
    this.#isTrying = true
    return true
  }

  succeeded(): void {
    this.#failures = 0
    this.#isTrying = false
  }

  failed(nowUs: number): void {
    this.#failures++
    this.#isTrying = false
    this.#opensAtUs = nowUs + this.#options.pauseMs * 1000
  }
}

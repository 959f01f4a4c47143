export interface BreakerSettings {
  /** One after the other. */
  readonly failures: number
  readonly errorPercent: number
  readonly minCalls: number
  readonly windowSeconds: number
  readonly openSeconds: number
  readonly maxOpenSeconds: number
}

export type BreakerState = 'closed' | 'open' | 'half_open'

/** `probe`: let through as the one call that tries whether the server is well again. */
export type Passage = 'pass' | 'probe' | 'refuse'

/** Parts of the window; what is older than all of them counts no more. */
const sliceCount = 10

/**
 * Opens after failures of a server, one after the other or too many of all; then lets one call at a time try. Told of nothing
 * but what the server itself answered: what a client did wrong says nothing about it.
 *
 * k failures in a row are chance with probability p^k where the server fails each call with p: for p = 1/2 and one chance in
 * a million k = ⌈ln 10^-6 / ln 1/2⌉ = 20.
 */
export class Breaker {
  readonly #settings: BreakerSettings
  readonly #onChange: (state: BreakerState) => void
  #state: BreakerState = 'closed'
  #inRow = 0
  #openUntilUs = 0
  #openSeconds: number
  #isProbing = false
  readonly #calls = new Float64Array(sliceCount)
  readonly #failed = new Float64Array(sliceCount)
  #slice = 0

  constructor(settings: BreakerSettings, onChange: (state: BreakerState) => void) {
    this.#settings = settings
    this.#openSeconds = settings.openSeconds
    this.#onChange = onChange
  }

  get state(): BreakerState {
    return this.#state
  }

  passage(nowUs: number): Passage {
    if (this.#state === 'closed') return 'pass'
    if (this.#state === 'open') {
      if (nowUs < this.#openUntilUs) return 'refuse'
      this.#become('half_open')
    }
    if (this.#isProbing) return 'refuse'
    this.#isProbing = true
    return 'probe'
  }

  /** After how long a refused client may be let through. */
  retryAfterSeconds(nowUs: number): number {
    return Math.max(1, Math.ceil((this.#openUntilUs - nowUs) / 1e6))
  }

  /** What the server answered. Of those that were let through before it opened nothing more is learnt. */
  learn(passage: Passage, isFailure: boolean, nowUs: number): void {
    if (passage === 'probe') {
      this.#isProbing = false
      if (isFailure) this.#open(nowUs)
      else this.#close()
    } else if (this.#state === 'closed') {
      this.#count(isFailure, nowUs)
    }
  }

  /** A call of which the server never said anything, or nothing that tells: somebody else may try. */
  untold(passage: Passage): void {
    if (passage === 'probe') this.#isProbing = false
  }

  #count(isFailure: boolean, nowUs: number): void {
    const { failures, errorPercent, minCalls, windowSeconds } = this.#settings
    const slice = Math.floor((nowUs / 1e6) * (sliceCount / windowSeconds))
    for (let each = Math.max(this.#slice + 1, slice - sliceCount + 1); each <= slice; each++) {
      this.#calls[each % sliceCount] = 0
      this.#failed[each % sliceCount] = 0
    }
    this.#slice = Math.max(this.#slice, slice)
    const at = this.#slice % sliceCount
    this.#calls[at] = (this.#calls[at] as number) + 1
    if (!isFailure) {
      this.#inRow = 0
      return
    }
    this.#inRow++
    this.#failed[at] = (this.#failed[at] as number) + 1
    const calls = sum(this.#calls)
    const isTooMany = calls >= minCalls && sum(this.#failed) * 100 >= calls * errorPercent
    if (this.#inRow >= failures || isTooMany) this.#open(nowUs)
  }

  #open(nowUs: number): void {
    const { openSeconds, maxOpenSeconds } = this.#settings
    this.#openSeconds =
      this.#state === 'closed' ? openSeconds : Math.min(maxOpenSeconds, this.#openSeconds * 2)
    this.#openUntilUs = nowUs + this.#openSeconds * 1e6
    this.#become('open')
  }

  #close(): void {
    this.#inRow = 0
    this.#calls.fill(0)
    this.#failed.fill(0)
    this.#become('closed')
  }

  #become(state: BreakerState): void {
    this.#state = state
    this.#onChange(state)
  }
}

function sum(counts: Float64Array): number {
  let total = 0
  for (const count of counts) total += count
  return total
}

import type { Counter, Instant, Part } from './counter.ts'
import type { CounterRule } from './store.ts'

/** Counters become idle all the time: how long it is worth to wait. */
const guessUs = 1_000_000

/** In place of a counter for which there is no room: nothing passes, and what may not be refused is not counted. */
export class NoRoom implements Counter {
  readonly kind: CounterRule['kind']
  key = undefined
  /** As if it were kept: it never has to be. */
  place = 0
  isReset = false

  constructor(kind: CounterRule['kind']) {
    this.kind = kind
  }

  waitUs(): number {
    return guessUs
  }

  remaining(): number {
    return 0
  }

  resetUs(): number {
    return guessUs
  }

  take(_rule: CounterRule, cost: number, _now: Instant, part: Part | undefined): Part {
    if (part === undefined) return { counter: this, reserved: cost, left: 0, at: 0, scale: 1, earlier: none }
    part.reserved += cost
    return part
  }

  giveBack(): void {}

  owe(): void {}

  end(): void {}

  adjust(): void {}

  isIdle(): boolean {
    return true
  }
}

/** Only sliding windows have earlier slices. */
const none: number[] = []

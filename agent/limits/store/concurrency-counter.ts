import type { Counter, Instant, Part } from './counter.ts'
import { type CounterKey, type CounterRule, maxUnits } from './store.ts'

type ConcurrencyRule = Extract<CounterRule, { kind: 'concurrency' }>

/** Nobody knows when a call ends: how long it is worth to wait. */
const guessUs = 1_000_000

/** What runs at this moment. */
export class ConcurrencyCounter implements Counter {
  readonly kind = 'concurrency'
  key: CounterKey | undefined
  place = -1
  isReset = false
  #running = 0

  waitUs({ limit }: ConcurrencyRule, cost: number): number {
    const need = Math.max(cost, 1)
    if (need > Math.min(limit, maxUnits)) return Number.POSITIVE_INFINITY
    return this.#running + need <= limit ? 0 : guessUs
  }

  remaining({ limit }: ConcurrencyRule): number {
    return Math.max(0, limit - this.#running)
  }

  resetUs(): number {
    return 0
  }

  take(_rule: ConcurrencyRule, cost: number, _now: Instant, part: Part | undefined): Part {
    const left = Math.min(cost, maxUnits - this.#running)
    this.#running += left
    if (part === undefined) return { counter: this, reserved: cost, left, at: 0, scale: 1, earlier: none }
    part.left += left
    part.reserved += cost
    return part
  }

  giveBack(): void {}

  owe(): void {}

  end(part: Part): void {
    this.#running -= part.left
  }

  adjust(): void {}

  isIdle(): boolean {
    return this.#running === 0
  }
}

/** Only sliding windows have earlier slices. */
const none: number[] = []

import {
  type Bucket,
  charge,
  drainUs,
  isEmpty,
  levelAt,
  maxLevel,
  type Rate,
  takeOut,
  undrained,
  waitUs,
} from '#base/gcra.ts'
import type { Counter, Instant, Part } from './counter.ts'
import type { CounterKey, CounterRule } from './store.ts'

type GcraRule = Extract<CounterRule, { kind: 'gcra' }>

/** A bucket that drains. */
export class GcraCounter implements Counter {
  readonly kind = 'gcra'
  key: CounterKey | undefined
  place = -1
  isReset = false
  readonly #bucket: Bucket = { level: 0, atUs: 0 }
  /** Of the last write: what the level is measured in. */
  #rate: Rate | undefined

  waitUs({ rate }: GcraRule, cost: number, now: Instant): number {
    return waitUs(this.#seenBy(rate), rate, now.monotonicUs, Math.max(cost, 1))
  }

  remaining({ rate }: GcraRule, now: Instant): number {
    const level = levelAt(this.#seenBy(rate), rate, now.monotonicUs)
    return Math.max(0, Math.floor((rate.capacity - level) / rate.weight))
  }

  resetUs({ rate }: GcraRule, now: Instant): number {
    return drainUs(this.#seenBy(rate), rate, now.monotonicUs, 0)
  }

  take({ rate }: GcraRule, cost: number, now: Instant, part: Part | undefined): Part {
    this.#follow(rate)
    const left = charge(this.#bucket, rate, now.monotonicUs, cost)
    const at = now.monotonicUs
    if (part === undefined)
      return { counter: this, reserved: cost, left, at, scale: rate.weight, earlier: none }
    part.left = stillIn(part, rate, at) + left
    part.reserved += cost
    part.at = at
    part.scale = rate.weight
    return part
  }

  giveBack(units: number, part: Part, now: Instant): void {
    const rate = this.#rate
    if (rate === undefined) return
    const back = Math.min(units * rate.weight, stillIn(part, rate, now.monotonicUs))
    takeOut(this.#bucket, rate, now.monotonicUs, back)
  }

  owe(rule: GcraRule, units: number, debtCap: number, now: Instant): void {
    // An edit since the hold was taken goes before what the hold knows.
    this.#rate ??= rule.rate
    const cap = this.#rate.capacity + debtCap * this.#rate.weight
    charge(this.#bucket, this.#rate, now.monotonicUs, units, cap)
  }

  end(): void {}

  adjust({ rate }: GcraRule, back: number, now: Instant): void {
    this.#follow(rate)
    if (back < 0) charge(this.#bucket, rate, now.monotonicUs, -back)
    else takeOut(this.#bucket, rate, now.monotonicUs, back * rate.weight)
  }

  isIdle(now: Instant): boolean {
    return this.#rate === undefined || isEmpty(this.#bucket, this.#rate, now.monotonicUs)
  }

  #seenBy(rate: Rate): Bucket {
    const { level, atUs } = this.#bucket
    if (this.#rate === undefined || this.#rate.weight === rate.weight || level === 0) return this.#bucket
    return { level: Math.min(maxLevel, Math.ceil((level / this.#rate.weight) * rate.weight)), atUs }
  }

  #follow(rate: Rate): void {
    this.#bucket.level = this.#seenBy(rate).level
    this.#rate = rate
  }
}

/** Only sliding windows have earlier slices. */
const none: number[] = []

/** What cannot have drained of a part. */
function stillIn({ left, scale, at }: Part, rate: Rate, nowUs: number): number {
  const weight = scale === rate.weight ? left : Math.floor((left / scale) * rate.weight)
  return undrained(weight, rate, at, nowUs)
}

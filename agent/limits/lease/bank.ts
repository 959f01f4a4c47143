import type { Charge, CounterKey, CounterRule, CounterState } from '../store/store.ts'
import { Pace } from './pace.ts'

/** What was drawn from a counter in one go: a hold at the store, of which calls take their part. */
export interface Lease {
  readonly id: string
  readonly bank: Bank
  readonly size: number
  /** Nothing is drawn from it afterwards. Monotonic. */
  endUs: number
  /** What settled calls took. */
  spent: number
  /** What running calls have reserved. */
  held: number
  /** How many they are. */
  calls: number
  isClosed: boolean
}

export function leftOf(lease: Lease): number {
  return lease.size - lease.spent - lease.held
}

/** A lease is worth its two calls to the store when it serves so many. */
const minCalls = 4

/** The leases of one counter, and what is known of it. */
export class Bank {
  readonly key: CounterKey
  readonly rule: CounterRule
  /** Leases that calls are granted from, the oldest first. */
  readonly live: Lease[] = []
  /** All that the store still holds for us: the live ones, and those that wait for their calls. */
  readonly unclosed = new Set<Lease>()
  usedUs: number
  /** Whether the store is being asked for a lease. */
  isDrawing = false
  /** After a refusal the store is not asked again before. */
  pauseUntilUs = 0
  readonly #pace: Pace
  #remaining = 0
  #resetAtUs = 0
  #lastSize = 0

  constructor(charge: Charge, leaseUs: number, nowUs: number) {
    this.key = charge.key
    this.rule = charge.rule
    this.usedUs = nowUs
    this.#pace = new Pace(leaseUs, nowUs)
  }

  /** Counts what is asked for, wherever it is granted from. */
  ask(cost: number, nowUs: number): void {
    this.usedUs = nowUs
    this.#pace.take(cost, nowUs)
  }

  /** The lease that has enough left, the oldest one. A cost of 0 needs what a cost of 1 needs. */
  find(cost: number, nowUs: number): Lease | undefined {
    const needed = Math.max(cost, 1)
    for (const lease of this.live) if (lease.endUs > nowUs && leftOf(lease) >= needed) return lease
    return undefined
  }

  /** What the live leases have left. */
  left(nowUs: number): number {
    let sum = 0
    for (const lease of this.live) if (lease.endUs > nowUs) sum += leftOf(lease)
    return sum
  }

  /** Whether a lease could serve enough calls to be worth it; near the limit none may, however busy it is. */
  isBusy(nowUs: number): boolean {
    return this.#pace.unitsPerSpan(nowUs) / 2 > (minCalls - 1) * this.#pace.unitsPerCall()
  }

  /** Whether it is time to draw: less than half of what was drawn last is left. */
  isLow(nowUs: number): boolean {
    return this.left(nowUs) * 2 <= this.#lastSize
  }

  /**
   * How much to draw: what is taken in half the life of a lease, so that it is used up before it ends, but with all that we
   * have out no more than our part of half of what the store has left.
   *
   * @returns 0 where a lease would serve too few calls to be worth it: near the limit each call asks the store
   */
  sizeToDraw(replicas: number, nowUs: number): number {
    let unspent = 0
    for (const lease of this.unclosed) unspent += Math.max(0, leftOf(lease))
    const wanted = Math.ceil(this.#pace.unitsPerSpan(nowUs) / 2)
    const size = Math.min(wanted, Math.floor(this.#remaining / (2 * replicas)) - unspent)
    return size < minCalls * this.#pace.unitsPerCall() ? 0 : size
  }

  add(lease: Lease): void {
    this.#lastSize = lease.size
    this.live.push(lease)
    this.unclosed.add(lease)
  }

  /** Takes what the store says of its counter. */
  learn(state: CounterState, nowUs: number): void {
    this.#remaining = state.remaining
    this.#resetAtUs = nowUs + state.resetUs
  }

  /** What the counter says after a call that a lease has served: what the store had left then, and what is left here. */
  state(nowUs: number): CounterState {
    const resetUs = this.#resetAtUs - nowUs
    return {
      isOver: false,
      remaining: this.#remaining + this.left(nowUs),
      retryUs: 0,
      resetUs: Math.max(resetUs, 0),
    }
  }
}

/** Whether two rules count alike. */
export function isSameRule(a: CounterRule, b: CounterRule): boolean {
  if (a === b) return true
  switch (a.kind) {
    case 'gcra':
      return (
        b.kind === 'gcra' &&
        a.rate.weight === b.rate.weight &&
        a.rate.drain === b.rate.drain &&
        a.rate.capacity === b.rate.capacity &&
        a.rate.tickUs === b.rate.tickUs
      )
    case 'sliding':
      return (
        b.kind === 'sliding' &&
        a.limit === b.limit &&
        a.sliceUs === b.sliceUs &&
        a.sliceCount === b.sliceCount
      )
    case 'calendar':
      return b.kind === 'calendar' && a.limit === b.limit && a.calendar === b.calendar
    case 'concurrency':
      return b.kind === 'concurrency' && a.limit === b.limit
    default:
      return a satisfies never
  }
}

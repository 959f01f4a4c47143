import type { Clock } from '#base/clock.ts'
import { mostAtOnce } from '../store/most-at-once.ts'
import type {
  Charge,
  CounterKey,
  CounterRule,
  CounterState,
  QuotaStore,
  ReserveAnswer,
} from '../store/store.ts'
import { partOfRule } from './part-of-rule.ts'

/** What the store said last of one counter. */
interface Seen {
  remaining: number
  atMs: number
}

/** Our part of one counter while the store is away. */
interface Part {
  /** Of the counter in this process. */
  readonly key: CounterKey
  readonly replicas: number
  /** The rule that `part` was made of. */
  rule: CounterRule
  part: CounterRule
}

/** Counters of which the last answer is remembered, and of which there are parts. */
const defaultMaxCounters = 100_000

/**
 * This process's part of limits that are shared while their store is away. A part counts as the limit does, with its
 * numbers divided by the number of replicas, and starts as full as the limit was at the store's last answer, divided alike;
 * what the store never told us of starts used up.
 */
export class LocalShare {
  readonly #store: QuotaStore
  readonly #clock: Clock
  readonly #replicas: () => number
  readonly #maxCounters: number
  readonly #seen = new Map<string, Seen>()
  readonly #parts = new Map<string, Part>()
  #made = 0

  constructor(options: {
    /** Counters of this process alone. */
    readonly store: QuotaStore
    readonly clock: Clock
    readonly replicas: () => number
    readonly maxCounters?: number | undefined
  }) {
    this.#maxCounters = options.maxCounters ?? defaultMaxCounters
    this.#store = options.store
    this.#clock = options.clock
    this.#replicas = options.replicas
  }

  /** Takes what the store says; from here on a new absence starts from it. */
  see(charges: readonly Charge[], states: readonly CounterState[]): void {
    for (let index = 0; index < charges.length; index++) {
      const charge = charges[index] as Charge
      const state = states[index]
      if (charge.onStoreFailure !== 'share' || !charge.isEnforced || state === undefined) continue
      const name = nameOf(charge.key)
      this.#parts.delete(name)
      const seen = this.#seen.get(name)
      if (seen !== undefined) {
        seen.remaining = state.remaining
        seen.atMs = this.#clock.nowMs()
      } else {
        if (this.#seen.size >= this.#maxCounters) this.#forgetOldest()
        this.#seen.set(name, { remaining: state.remaining, atMs: this.#clock.nowMs() })
      }
    }
  }

  /** Charges our parts of all counters or of none. `failed` where there are too many counters to keep parts of. */
  reserve(id: string, charges: readonly Charge[], ttlMs: number): ReserveAnswer | Promise<ReserveAnswer> {
    const parts: Charge[] = []
    for (let index = 0; index < charges.length; index++) {
      const part = this.#partOf(charges[index] as Charge)
      if (part === undefined) return { kind: 'failed', fault: 'unavailable', index }
      parts.push(part)
    }
    return this.#store.reserve(id, parts, ttlMs)
  }

  settle(id: string, actuals: readonly number[]): void {
    void this.#store.settle(id, actuals)
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#store[Symbol.asyncDispose]()
  }

  #partOf(charge: Charge): Charge | undefined {
    const name = nameOf(charge.key)
    let part = this.#parts.get(name)
    if (part === undefined) {
      // A part that is forgotten would be given once more.
      if (this.#parts.size >= this.#maxCounters) return undefined
      part = this.#newPart(charge, name)
      this.#parts.set(name, part)
    } else if (part.rule !== charge.rule) {
      // Other numbers, the same counter: what was used stays.
      part.rule = charge.rule
      part.part = partOfRule(charge.rule, part.replicas)
    }
    return { ...charge, key: part.key, rule: part.part }
  }

  #newPart(charge: Charge, name: string): Part {
    const replicas = Math.max(1, this.#replicas())
    const part: Part = {
      key: { ...charge.key, id: `${charge.key.id}#${this.#made++}` },
      replicas,
      rule: charge.rule,
      part: partOfRule(charge.rule, replicas),
    }
    const used = mostAtOnce(part.part) - Math.floor(this.#remaining(charge.rule, name) / replicas)
    // What runs is freed one by one as it ends; of it nothing is known.
    if (used > 0 && charge.rule.kind !== 'concurrency') {
      const start = { ...charge, key: part.key, rule: part.part, cost: used, isEnforced: false }
      const hold = `#${part.key.id}`.slice(-64)
      void this.#store.reserve(hold, [start], 1000)
      void this.#store.settle(hold, [used])
    }
    return part
  }

  #remaining(rule: CounterRule, name: string): number {
    const seen = this.#seen.get(name)
    if (rule.kind === 'calendar') {
      const span = rule.calendar.spanAt(this.#clock.nowMs())
      // Whatever was used before it began does not matter any more.
      if (seen !== undefined && seen.atMs < span.startMs) return rule.limit
    }
    return Math.min(mostAtOnce(rule), seen?.remaining ?? 0)
  }

  #forgetOldest(): void {
    for (const name of this.#seen.keys()) {
      this.#seen.delete(name)
      return
    }
  }
}

/** One text for each counter. */
export function nameOf(key: CounterKey): string {
  return `${key.partition.length}:${key.partition}${key.id}`
}

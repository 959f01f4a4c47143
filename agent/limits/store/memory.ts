import { type Clock, systemClock } from '#base/clock.ts'
import type { Counter, Instant, Part } from './counter.ts'
import { Counters } from './counters.ts'
import { noCounts } from './counts.ts'
import { Expiry } from './expiry.ts'
import type { Hold } from './hold.ts'
import type { Charge, CounterState, QuotaStore, ReserveAnswer, SettleAnswer, StoreHealth } from './store.ts'
import { Tombstones } from './tombstones.ts'

export interface MemoryStoreOptions {
  readonly clock?: Clock
  /** Counters that are kept one by one; keys beyond share one a limit. */
  readonly maxCounters?: number
}

/** Counters in the memory of this process. Always answers at once. */
export interface MemoryStore extends QuotaStore {
  reserve(id: string, charges: readonly Charge[], ttlMs: number): ReserveAnswer
  topUp(id: string, step: number, charges: readonly Charge[], ttlMs: number): ReserveAnswer
  settle(id: string, actuals: readonly number[]): SettleAnswer
  peek(charges: readonly Charge[]): readonly CounterState[]
  adjust(id: string, charge: Charge, change: { readonly back: number } | 'reset'): CounterState
  /** How many counters are kept. */
  readonly size: number
}

/** What all counters of a call said before anything was written. */
interface Judged {
  readonly counters: readonly Counter[]
  readonly waitsUs: readonly number[]
  readonly isRefused: boolean
}

/** Ids that are remembered after their end. */
const maxTombstones = 8192
const maxCounters = 200_000

export function createMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  return new Memory(options)
}

class Memory implements MemoryStore {
  readonly #clock: Clock
  readonly #counters: Counters
  readonly #holds = new Map<string, Hold>()
  readonly #expiry = new Expiry<Hold>()
  readonly #over = new Tombstones(maxTombstones)
  readonly #adjusted = new Tombstones(maxTombstones)
  readonly health = memoryHealth()
  /** One object for all operations: none outlives its operation. */
  readonly #now = { monotonicUs: 0, wallMs: 0 }

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock ?? systemClock
    this.#counters = new Counters(options.maxCounters ?? maxCounters)
  }

  get size(): number {
    return this.#counters.size
  }

  reserve(id: string, charges: readonly Charge[], ttlMs: number): ReserveAnswer {
    const now = this.#begin()
    if (ttlMs === 0) return this.#charge(charges, now)
    const known = this.#holds.get(id)
    if (known !== undefined) return known.answer
    if (this.#over.has(id)) return { kind: 'refused', states: this.#look(charges, now) }
    const judged = this.#judge(charges, now, false)
    if (judged.isRefused) return { kind: 'refused', states: statesOf(judged, charges, now) }
    const parts = new Array<Part>(charges.length)
    for (let index = 0; index < charges.length; index++)
      parts[index] = this.#take(judged.counters[index] as Counter, charges[index] as Charge, now, undefined)
    const answer: ReserveAnswer = { kind: 'granted', states: statesOf(judged, charges, now) }
    const expiresUs = now.monotonicUs + ttlMs * 1000
    const hold = { id, charges, parts, answer, expiresUs, step: 0, stepAnswer: answer, place: 0 }
    this.#holds.set(id, hold)
    this.#expiry.add(hold)
    return answer
  }

  topUp(id: string, step: number, charges: readonly Charge[], ttlMs: number): ReserveAnswer {
    const now = this.#begin()
    const hold = this.#holds.get(id)
    if (hold === undefined || charges.length !== hold.charges.length)
      return { kind: 'refused', states: this.#look(charges, now) }
    if (step <= hold.step) return hold.stepAnswer
    const judged = this.#judge(charges, now, true)
    if (judged.isRefused) return { kind: 'refused', states: statesOf(judged, charges, now) }
    for (let index = 0; index < charges.length; index++) {
      const charge = charges[index] as Charge
      if (charge.cost > 0) this.#addTo(hold, index, judged.counters[index] as Counter, charge, now)
    }
    hold.step = step
    hold.stepAnswer = { kind: 'granted', states: statesOf(judged, charges, now) }
    hold.expiresUs = now.monotonicUs + ttlMs * 1000
    this.#expiry.moved(hold)
    return hold.stepAnswer
  }

  settle(id: string, actuals: readonly number[]): SettleAnswer {
    const now = this.#begin()
    if (this.#over.has(id)) return 'already'
    const hold = this.#holds.get(id)
    if (hold === undefined) {
      if (actuals.every((actual) => actual === 0)) this.#over.add(id)
      return 'unknown'
    }
    this.#end(hold)
    this.#expiry.remove(hold)
    this.#over.add(id)
    for (let index = 0; index < hold.parts.length; index++) {
      const part = hold.parts[index] as Part
      const charge = hold.charges[index] as Charge
      const more = (actuals[index] ?? part.reserved) - part.reserved
      if (more < 0) this.#giveBack(part, charge, -more, now)
      else if (more > 0) this.#owe(charge, more, now)
    }
    return 'settled'
  }

  peek(charges: readonly Charge[]): readonly CounterState[] {
    return this.#look(charges, this.#begin())
  }

  adjust(id: string, charge: Charge, change: { readonly back: number } | 'reset'): CounterState {
    const now = this.#begin()
    const counter = this.#counters.find(charge, now)
    if (!this.#adjusted.has(id) && charge.rule.kind !== 'concurrency') {
      this.#adjusted.add(id)
      if (change === 'reset') this.#counters.reset(counter, charge)
      else {
        counter.adjust(charge.rule, change.back, now)
        this.#counters.keep(counter, charge.key, now)
      }
    }
    return this.#look([charge], now)[0] as CounterState
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Reads the clock, and ends the holds whose life is over. */
  #begin(): Instant {
    this.#now.monotonicUs = Math.max(this.#now.monotonicUs, Math.floor(this.#clock.monotonicUs()))
    this.#now.wallMs = this.#clock.nowMs()
    for (;;) {
      const hold = this.#expiry.popUntil(this.#now.monotonicUs)
      if (hold === undefined) return this.#now
      this.#end(hold)
    }
  }

  #end(hold: Hold): void {
    this.#holds.delete(hold.id)
    for (const part of hold.parts) part.counter.end(part)
  }

  /** Charges what is over at once. */
  #charge(charges: readonly Charge[], now: Instant): ReserveAnswer {
    const judged = this.#judge(charges, now, false)
    if (!judged.isRefused)
      for (let index = 0; index < charges.length; index++) {
        const counter = judged.counters[index] as Counter
        counter.end(this.#take(counter, charges[index] as Charge, now, undefined))
      }
    return { kind: judged.isRefused ? 'refused' : 'granted', states: statesOf(judged, charges, now) }
  }

  #look(charges: readonly Charge[], now: Instant): readonly CounterState[] {
    return statesOf(this.#judge(charges, now, false), charges, now)
  }

  /** Looks at all counters. What is topped up for nothing asks nothing. */
  #judge(charges: readonly Charge[], now: Instant, isTopUp: boolean): Judged {
    const counters = new Array<Counter>(charges.length)
    const waitsUs = new Array<number>(charges.length)
    let isRefused = false
    for (let index = 0; index < charges.length; index++) {
      const charge = charges[index] as Charge
      const counter = this.#counters.find(charge, now)
      const isFree = isTopUp && charge.cost === 0
      const waitUs = isFree ? 0 : counter.waitUs(charge.rule, charge.cost, now)
      if (waitUs > 0 && charge.isEnforced) isRefused = true
      counters[index] = counter
      waitsUs[index] = waitUs
    }
    return { counters, waitsUs, isRefused }
  }

  #take(counter: Counter, { key, rule, cost }: Charge, now: Instant, part: Part | undefined): Part {
    const taken = counter.take(rule, cost, now, part)
    this.#counters.keep(counter, key, now)
    return taken
  }

  #addTo(hold: Hold, index: number, counter: Counter, charge: Charge, now: Instant): void {
    const part = hold.parts[index] as Part
    const isSame = !part.counter.isReset && part.counter.kind === counter.kind
    const taken = this.#take(counter, charge, now, isSame ? part : undefined)
    if (isSame) part.counter = counter
    else {
      taken.reserved += part.reserved
      hold.parts[index] = taken
    }
  }

  /** Where it was taken, or in its place; what people forgot does not come back. */
  #giveBack(part: Part, charge: Charge, units: number, now: Instant): void {
    if (part.counter.isReset) return
    const counter = part.counter.place >= 0 ? part.counter : this.#counters.find(charge, now)
    if (counter.kind === part.counter.kind) counter.giveBack(units, part, now)
  }

  #owe(charge: Charge, units: number, now: Instant): void {
    const counter = this.#counters.find(charge, now)
    counter.owe(charge.rule, units, charge.debtCap, now)
    this.#counters.keep(counter, charge.key, now)
  }
}

/** What is to be answered, with the numbers that the counters have now. */
function statesOf(
  { counters, waitsUs }: Judged,
  charges: readonly Charge[],
  now: Instant,
): readonly CounterState[] {
  const states = new Array<CounterState>(charges.length)
  for (let index = 0; index < charges.length; index++) {
    const counter = counters[index] as Counter
    const { rule } = charges[index] as Charge
    const retryUs = waitsUs[index] as number
    const remaining = counter.remaining(rule, now)
    states[index] = { isOver: retryUs > 0, remaining, retryUs, resetUs: counter.resetUs(rule, now) }
  }
  return states
}

function memoryHealth(): StoreHealth {
  return {
    kind: 'memory',
    counts: noCounts(),
    problem: () => undefined,
    lostAtMs: () => undefined,
    replicas: () => 1,
  }
}

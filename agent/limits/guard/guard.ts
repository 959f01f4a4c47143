import { andThen } from '#base/and-then.ts'
import { type Clock, systemClock } from '#base/clock.ts'
import { type After, keepingAfter, systemAfter } from '#base/timers.ts'
import { countsOf, noCounts } from '../store/counts.ts'
import { OpenHolds } from '../store/open-holds.ts'
import { costsOf, indexesOf, pick, zeros } from '../store/split.ts'
import type {
  Charge,
  CounterState,
  QuotaStore,
  ReserveAnswer,
  SettleAnswer,
  StoreCount,
  StoreFault,
  StoreHealth,
} from '../store/store.ts'
import { Away } from './away.ts'
import { Breaker } from './breaker.ts'
import { Debts } from './debts.ts'
import type { LocalCall } from './local-grant.ts'
import {
  type Held,
  isAway,
  isRefusedByOne,
  merge,
  neverSeen,
  type Part,
  partAtStore,
  reservedBy,
} from './parts.ts'
import { SettleQueue } from './settle-queue.ts'
import { LocalShare } from './share.ts'
import { Underway } from './underway.ts'

export interface GuardOptions {
  readonly clock?: Clock
  readonly after?: After
  /** Counters of this process, for its part of what is shared. Disposed with the guard. */
  readonly local: QuotaStore
  /** Settlements, and counters with debts, that may wait for the store. */
  readonly maxQueued?: number
  /** How long the end may take, for what still waits. */
  readonly flushMs?: number
  /** Told when the store is given up for the time being, and when it answers again. */
  readonly onChange?: (problem: string | undefined) => void
}

/** A call that the store cannot be asked for. */
type Asked = Omit<LocalCall, 'indexes' | 'parts'>

/** Pause before the store is told again what it was not told. */
const retryMs = 500
const flushPauseMs = 50
const defaults = { maxQueued: 50_000, flushMs: 1000 }

/**
 * A store that always has an answer at once, whatever becomes of the one behind it: what each charge says in
 * `onStoreFailure`. What could not be delivered is delivered later, once.
 */
export function createGuardedStore(inner: QuotaStore, options: GuardOptions): QuotaStore {
  return new GuardedStore(inner, options)
}

class GuardedStore implements QuotaStore {
  readonly #inner: QuotaStore
  readonly #clock: Clock
  readonly #breaker: Breaker
  readonly #queue: SettleQueue
  readonly #away: Away
  readonly #held = new OpenHolds<Held>()
  readonly #underway = new Underway()
  readonly #flushMs: number
  readonly #own: Record<StoreCount, number>
  #probed: Charge | undefined
  readonly #after: After
  readonly #keepingAfter: After
  #stopRetry: (() => void) | undefined
  readonly health: StoreHealth

  constructor(inner: QuotaStore, options: GuardOptions) {
    const { clock = systemClock, after = systemAfter, local, onChange = () => {} } = options
    const maxEntries = options.maxQueued ?? defaults.maxQueued
    const own = noCounts()
    const onDrop = () => {
      own.dropped++
    }
    this.#inner = inner
    this.#after = after
    this.#keepingAfter = options.after ?? keepingAfter
    this.#clock = clock
    this.#own = own
    this.#flushMs = options.flushMs ?? defaults.flushMs
    this.#breaker = new Breaker({
      after,
      probe: () => this.#probe(),
      onOpen: () => {
        own.breaker_opened++
        onChange(this.health.problem())
      },
      onClose: () => {
        onChange(undefined)
        this.#catchUp()
        this.#queue.kick()
      },
    })
    this.#queue = new SettleQueue({
      after,
      keepingAfter: this.#keepingAfter,
      maxEntries,
      onDrop,
      isReachable: () => !this.#breaker.isOpen,
      deliver: (id, actuals) => this.#tell(inner.settle(id, actuals)),
    })
    const share = new LocalShare({ store: local, clock, replicas: () => inner.health.replicas() })
    const debts = new Debts({
      clock,
      maxEntries,
      onDrop,
      reserve: async (id, charges, ttlMs) => {
        const answer = await inner.reserve(id, charges, ttlMs)
        this.#heard(answer)
        return answer.kind === 'granted'
      },
      settle: (id, actuals) => void this.#deliver(id, actuals, true),
    })
    this.#away = new Away({
      share,
      debts,
      counts: own,
      deliver: (id, actuals, isDebt) => this.#deliver(id, actuals, isDebt),
    })
    this.health = {
      kind: inner.health.kind,
      problem: () =>
        inner.health.problem() ?? (this.#breaker.isOpen ? 'it does not answer in time' : undefined),
      lostAtMs: () => inner.health.lostAtMs(),
      replicas: () => inner.health.replicas(),
      get counts() {
        return countsOf(inner.health.counts, own)
      },
    }
  }

  reserve(id: string, charges: readonly Charge[], ttlMs: number): ReserveAnswer | Promise<ReserveAnswer> {
    const known = this.#held.get(id)
    if (known?.answer !== undefined) return known.answer
    this.#sweep()
    if (this.#breaker.isOpen) return this.#without({ id, charges, ttlMs, fault: 'unavailable' })
    this.#probed = charges[0]
    // An answer that does not yet contain what was granted here says too much is left.
    const { isLevel } = this.#away
    return andThen(this.#underway.follow(this.#inner.reserve(id, charges, ttlMs)), (answer) => {
      this.#heard(answer)
      if (answer.kind !== 'failed') {
        if (isLevel) this.#away.see(charges, answer.states)
        if (answer.kind === 'granted' && ttlMs > 0)
          this.#hold(id, { charges, ttlMs, parts: undefined, costs: costsOf(charges), answer: undefined })
        return answer
      }
      if (answer.fault === 'lost') return this.#withoutLost(id, charges, ttlMs, [answer.index])
      // Whether it was written nobody knows: once this is delivered, it was not.
      if (ttlMs > 0 && answer.fault !== 'busy') this.#queue.add(id, zeros(charges), false)
      return this.#without({ id, charges, ttlMs, fault: 'unavailable' })
    })
  }

  topUp(
    id: string,
    step: number,
    charges: readonly Charge[],
    ttlMs: number,
  ): ReserveAnswer | Promise<ReserveAnswer> {
    const held = this.#held.get(id)
    if (held === undefined && !this.#breaker.isOpen) return this.#inner.topUp(id, step, charges, ttlMs)
    if (held === undefined) return { kind: 'refused', states: charges.map(neverSeen) }
    this.#held.prolong(id, held, this.#clock.monotonicUs() + ttlMs * 1000)
    // Not `+step`: so a lease around this calls what it reserves for the same step.
    const partId = `${id}+g${step}`
    if (held.parts?.some((part) => part.id === partId))
      return { kind: 'granted', states: charges.map(neverSeen) }
    if (this.#breaker.isOpen)
      return this.#addLocal(held, { id: partId, charges, ttlMs, fault: 'unavailable' })
    const asked =
      held.parts === undefined
        ? this.#inner.topUp(id, step, charges, ttlMs)
        : this.#inner.reserve(partId, charges, ttlMs)
    return andThen(this.#underway.follow(asked), (answer) => {
      this.#heard(answer)
      if (answer.kind === 'failed') {
        // Whether it was written nobody knows: once this is delivered, it was not.
        if (held.parts !== undefined && answer.fault === 'unavailable')
          this.#queue.add(partId, zeros(charges), false)
        return this.#addLocal(held, { id: partId, charges, ttlMs, fault: answer.fault })
      }
      if (answer.kind === 'refused') {
        const isGone = held.parts === undefined && !isRefusedByOne(charges, answer.states)
        if (!isGone || this.#held.get(id) !== held) return answer
        // Nothing is over: the store has lost the hold. What comes now is a hold of its own.
        held.parts = [partAtStore(id, held.costs ?? zeros(charges))]
        return this.topUp(id, step, charges, ttlMs)
      }
      if (held.parts === undefined && held.costs !== undefined)
        for (let index = 0; index < charges.length; index++)
          held.costs[index] = (held.costs[index] ?? 0) + (charges[index] as Charge).cost
      if (held.parts !== undefined) {
        const part = partAtStore(partId, costsOf(charges))
        if (this.#held.get(id) === held) held.parts.push(part)
        else void this.#deliver(partId, zeros(charges), false)
      }
      return answer
    })
  }

  settle(id: string, actuals: readonly number[]): SettleAnswer | Promise<SettleAnswer> {
    const held = this.#held.get(id)
    this.#held.end(id)
    if (held === undefined)
      return this.#deliver(
        id,
        actuals,
        actuals.some((actual) => actual > 0),
      )
    if (held.parts === undefined) {
      const isDebt = actuals.some((actual, index) => actual > (held.costs?.[index] ?? 0))
      return this.#deliver(id, actuals, isDebt)
    }
    const answer = this.#away.settle(held, held.parts, actuals)
    if (!this.#breaker.isOpen) this.#catchUp()
    return answer
  }

  peek(charges: readonly Charge[]): readonly CounterState[] | Promise<readonly CounterState[] | StoreFault> {
    if (this.#breaker.isOpen) return Promise.resolve('unavailable' as const)
    return this.#heardState(this.#inner.peek(charges))
  }

  adjust(
    id: string,
    charge: Charge,
    change: { readonly back: number } | 'reset',
  ): CounterState | Promise<CounterState | StoreFault> {
    if (this.#breaker.isOpen) return Promise.resolve('unavailable' as const)
    return this.#heardState(this.#inner.adjust(id, charge, change))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const endUs = this.#clock.monotonicUs() + this.#flushMs * 1000
    await this.#underway.none(this.#flushMs, this.#keepingAfter)
    await this.#flush(endUs)
    await this.#queue.close(Math.max(0, (endUs - this.#clock.monotonicUs()) / 1000))
    this.#stopRetry?.()
    this.#breaker[Symbol.dispose]()
    await this.#away.close()
    await this.#inner[Symbol.asyncDispose]()
  }

  /** Answers for charges of which the store cannot be asked. */
  #without(call: Asked): ReserveAnswer | Promise<ReserveAnswer> {
    const { id, charges, ttlMs, fault } = call
    if (this.#held.hasEnded(id)) return { kind: 'refused', states: charges.map(neverSeen) }
    const parts: Part[] = []
    return andThen(this.#away.grant({ ...call, indexes: indexesOf(charges), parts }), (answer) => {
      if (answer.kind === 'failed') return { ...answer, fault }
      if (answer.kind === 'granted') this.#hold(id, { charges, ttlMs, parts, costs: undefined, answer })
      return answer
    })
  }

  /** Answers where the store has lost what it knew of some charges: those are answered here, the others there. */
  #withoutLost(
    id: string,
    charges: readonly Charge[],
    ttlMs: number,
    lost: readonly number[],
  ): ReserveAnswer | Promise<ReserveAnswer> {
    const parts: Part[] = []
    const local = this.#away.grant({ id, charges, ttlMs, indexes: lost, parts, fault: 'lost' })
    return andThen(local, (local) => {
      if (local.kind !== 'granted') return local
      const rest = indexesOf(charges).filter((index) => !lost.includes(index))
      const done = (answer: ReserveAnswer): ReserveAnswer => {
        this.#hold(id, { charges, ttlMs, parts, costs: undefined, answer })
        return answer
      }
      if (rest.length === 0) return done(local)
      const asked = pick(charges, rest)
      // Where some charges were cancelled because others are lost, the store takes nothing more under their id.
      const restId = `${id}~${lost.length}`.slice(-64)
      return andThen(this.#inner.reserve(restId, asked, ttlMs), (answer) => {
        this.#heard(answer)
        if (answer.kind === 'granted') {
          parts.push({ where: 'store', id: restId, indexes: rest, costs: costsOf(asked) })
          return done({ kind: 'granted', states: merge(local.states, rest, answer.states) })
        }
        this.#away.undo(parts)
        if (answer.kind === 'refused')
          return { kind: 'refused', states: merge(local.states, rest, answer.states) }
        if (answer.fault === 'lost')
          return this.#withoutLost(id, charges, ttlMs, [...lost, rest[answer.index] as number])
        if (ttlMs > 0) this.#queue.add(restId, zeros(rest), false)
        return this.#without({ id, charges, ttlMs, fault: 'unavailable' })
      })
    })
  }

  #addLocal(held: Held, more: Asked): ReserveAnswer | Promise<ReserveAnswer> {
    const { id, charges, ttlMs, fault } = more
    const parts: Part[] = []
    return andThen(
      this.#away.grant({ id, charges, ttlMs, fault, parts, indexes: indexesOf(charges) }),
      (answer) => {
        if (answer.kind !== 'granted') return answer
        const holdId = id.slice(0, id.lastIndexOf('+'))
        const own = partAtStore(holdId, held.costs ?? [])
        // Settled while it was asked for: nothing took place.
        if (this.#held.get(holdId) !== held) this.#away.undo(parts)
        else this.#away.add(held, own, parts)
        return answer
      },
    )
  }

  #deliver(id: string, actuals: readonly number[], isDebt: boolean): SettleAnswer | Promise<SettleAnswer> {
    if (this.#breaker.isOpen) return this.#wait(id, actuals, isDebt)
    return andThen(this.#tell(this.#inner.settle(id, actuals)), (answer) =>
      answer === 'queued' ? this.#wait(id, actuals, isDebt) : answer,
    )
  }

  #wait(id: string, actuals: readonly number[], isDebt: boolean): SettleAnswer {
    this.#own.queued++
    this.#queue.add(id, actuals, isDebt)
    return 'queued'
  }

  #tell(answer: SettleAnswer | Promise<SettleAnswer>): SettleAnswer | Promise<SettleAnswer> {
    return andThen(this.#underway.follow(answer), (answer) => {
      // Why it was not taken is not said; the next reservation finds out.
      if (answer !== 'queued') this.#breaker.heard(undefined)
      return answer
    })
  }

  #hold(id: string, held: Omit<Held, 'endUs' | 'atMs'>): void {
    const atMs = this.#clock.nowMs()
    const whole: Held = { ...held, atMs, endUs: this.#clock.monotonicUs() + held.ttlMs * 1000 }
    this.#away.begin(whole)
    if (held.ttlMs === 0 && whole.parts !== undefined)
      return void this.#away.settle(whole, whole.parts, reservedBy(whole))
    if (!this.#held.hasEnded(id)) this.#held.set(id, whole)
    // Settled while the store was asked: nothing took place.
    else if (whole.parts !== undefined) void this.#away.settle(whole, whole.parts, zeros(held.charges))
  }

  #heard(answer: ReserveAnswer): void {
    const fault = answer.kind === 'failed' ? answer.fault : undefined
    this.#breaker.heard(fault)
    if ((fault === undefined || fault === 'lost') && !this.#breaker.isOpen) this.#catchUp()
  }

  #heardState<T>(answer: T | Promise<T | StoreFault>): T | Promise<T | StoreFault> {
    if (!(answer instanceof Promise)) return answer
    return answer.then((answer) => {
      this.#breaker.heard(typeof answer === 'string' ? (answer as StoreFault) : undefined)
      return answer
    })
  }

  #probe(): boolean | Promise<boolean> {
    if (this.#probed === undefined) return true
    return andThen(this.#inner.peek([this.#probed]), (answer) => answer !== 'unavailable')
  }

  /** Tells the store again and again until it knows everything, or the time is over. */
  async #flush(endUs: number): Promise<void> {
    for (;;) {
      await this.#away.catchUp(this.#held.values())
      if (this.#away.isLevel || this.#clock.monotonicUs() >= endUs) return
      await new Promise<void>((resolve) => this.#keepingAfter(flushPauseMs, resolve))
    }
  }

  #catchUp(): void {
    if (this.#away.isLevel) return
    void this.#away.catchUp(this.#held.values()).then(() => {
      // One that failed is tried again even if nobody else asks the store.
      if (this.#away.isLevel || this.#breaker.isOpen) return
      this.#stopRetry?.()
      this.#stopRetry = this.#after(retryMs, () => this.#catchUp())
    })
  }

  /** Past its life a hold is what it reserved. */
  #sweep(): void {
    this.#held.sweep(this.#clock.monotonicUs(), (held) => {
      if (held.parts !== undefined && isAway(held)) void this.#away.settle(held, held.parts, reservedBy(held))
    })
  }
}

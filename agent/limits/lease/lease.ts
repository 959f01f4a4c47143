import { andThen } from '#base/and-then.ts'
import { type Clock, systemClock } from '#base/clock.ts'
import { type After, systemAfter } from '#base/timers.ts'
import { OpenHolds } from '../store/open-holds.ts'
import { costsOf, dealOut, pick, zeros } from '../store/split.ts'
import type {
  Charge,
  CounterState,
  QuotaStore,
  ReserveAnswer,
  SettleAnswer,
  StoreFault,
  StoreHealth,
} from '../store/store.ts'
import type { Bank } from './bank.ts'
import { Banks } from './banks.ts'
import type { Draw, LeasedHold, Rest } from './hold.ts'

export interface LeasedStoreOptions {
  readonly clock?: Clock
  readonly after?: After
  /** How long what is drawn may be used. */
  readonly leaseMs: number
  readonly maxBanks?: number
}

const defaultMaxBanks = 10_000

/**
 * A store that grants charges with `isLeased` from what it has drawn from another one beforehand. What is drawn is charged
 * there, so the limit holds over all processes; at most what they have drawn and not spent is refused too early.
 *
 * A lease is a hold of the other store on one counter. Calls are granted from it until its life is over; then, once the last
 * of them is settled, it is settled at what they took. A call that no lease can serve is charged at the other store as if
 * there were no leases, in one step with its charges that are not leased.
 */
export function createLeasedStore(inner: QuotaStore, options: LeasedStoreOptions): QuotaStore {
  return new LeasedStore(inner, options)
}

class LeasedStore implements QuotaStore {
  readonly #inner: QuotaStore
  readonly #clock: Clock
  readonly #banks: Banks
  readonly #holds = new OpenHolds<LeasedHold>()
  #leased = 0
  #debts = 0
  readonly health: StoreHealth

  constructor(inner: QuotaStore, options: LeasedStoreOptions) {
    const { clock = systemClock, after = systemAfter, leaseMs, maxBanks = defaultMaxBanks } = options
    this.#inner = inner
    this.#clock = clock
    this.#banks = new Banks({ inner, clock, after, leaseMs, maxBanks })
    // Past its life a hold is charged what it reserved.
    this.#banks.onTick = (nowUs) =>
      this.#holds.sweep(nowUs, (hold) => {
        hold.isSettled = true
        for (const draw of hold.draws) this.#release(draw, draw.cost, nowUs)
      })
    const leased = () => this.#leased
    this.health = {
      kind: inner.health.kind,
      problem: () => inner.health.problem(),
      lostAtMs: () => inner.health.lostAtMs(),
      replicas: () => inner.health.replicas(),
      get counts() {
        return { ...inner.health.counts, leased: inner.health.counts.leased + leased() }
      },
    }
  }

  reserve(id: string, charges: readonly Charge[], ttlMs: number): ReserveAnswer | Promise<ReserveAnswer> {
    const nowUs = this.#clock.monotonicUs()
    if (ttlMs === 0) return this.#charge(id, charges, nowUs)
    const known = this.#holds.get(id)
    if (known !== undefined) return known.answer
    if (this.#holds.hasEnded(id)) return { kind: 'refused', states: charges.map(() => ended) }
    const drawn = this.#draw(charges, ttlMs, nowUs)
    if (drawn.draws.length === 0) return this.#ask(id, charges, ttlMs, nowUs)
    const { draws, rest } = drawn
    const hold: LeasedHold = {
      charges,
      draws,
      rests: [],
      answer: pending,
      step: 0,
      stepAnswer: undefined,
      endUs: nowUs + ttlMs * 1000,
      isSettled: false,
    }
    this.#holds.set(id, hold)
    if (rest.length === 0) {
      this.#leased++
      hold.answer = { kind: 'granted', states: this.#states(charges, [], [], nowUs) }
    } else {
      const asked = pick(charges, rest)
      hold.rests.push({ id, indexes: rest, costs: costsOf(asked) })
      hold.answer = andThen(this.#ask(id, asked, ttlMs, nowUs), (answer) => {
        if (answer.kind !== 'granted') this.#giveBack(id, hold)
        return this.#whole(answer, charges, rest)
      })
    }
    return hold.answer
  }

  topUp(
    id: string,
    step: number,
    charges: readonly Charge[],
    ttlMs: number,
  ): ReserveAnswer | Promise<ReserveAnswer> {
    const hold = this.#holds.get(id)
    const nowUs = this.#clock.monotonicUs()
    if (hold === undefined || hold.isSettled) return this.#inner.topUp(id, step, charges, ttlMs)
    if (hold.endUs <= nowUs) return { kind: 'refused', states: charges.map(() => ended) }
    if (step <= hold.step && hold.stepAnswer !== undefined) return hold.stepAnswer
    hold.step = step
    hold.stepAnswer = this.#more(id, hold, charges, ttlMs, nowUs)
    this.#holds.prolong(id, hold, nowUs + ttlMs * 1000)
    return hold.stepAnswer
  }

  settle(id: string, actuals: readonly number[]): SettleAnswer | Promise<SettleAnswer> {
    const hold = this.#holds.get(id)
    if (hold === undefined) {
      if (this.#holds.hasEnded(id)) return 'already'
      this.#holds.end(id)
      return this.#inner.settle(id, actuals)
    }
    const nowUs = this.#clock.monotonicUs()
    const isExpired = hold.endUs <= nowUs
    this.#holds.end(id)
    hold.isSettled = true
    const taken = hold.rests.map(({ costs }) => costs.slice())
    for (let index = 0; index < hold.charges.length; index++)
      this.#settleCharge({ hold, index, actual: isExpired ? undefined : (actuals[index] ?? 0), taken, nowUs })
    if (isExpired) return 'unknown'
    const answers = hold.rests.map((rest, index) => this.#inner.settle(rest.id, taken[index] as number[]))
    const waiting = answers.filter((answer) => answer instanceof Promise)
    if (waiting.length > 0) return Promise.all(waiting).then(([first]) => first as SettleAnswer)
    return answers[0] ?? 'settled'
  }

  peek(charges: readonly Charge[]): readonly CounterState[] | Promise<readonly CounterState[] | StoreFault> {
    return this.#inner.peek(charges)
  }

  adjust(
    id: string,
    charge: Charge,
    change: { readonly back: number } | 'reset',
  ): CounterState | Promise<CounterState | StoreFault> {
    // What was drawn would outlive a counter that forgets.
    this.#banks.retire(charge, this.#clock.monotonicUs())
    return this.#inner.adjust(id, charge, change)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#banks.close()
    await this.#inner[Symbol.asyncDispose]()
  }

  /** Charges what is over at once: what leases give is spent, of the rest nothing is held. */
  #charge(id: string, charges: readonly Charge[], nowUs: number): ReserveAnswer | Promise<ReserveAnswer> {
    const { draws, rest } = this.#draw(charges, 0, nowUs)
    if (draws.length === 0) return this.#ask(id, charges, 0, nowUs)
    const end = (isGranted: boolean) => {
      const endUs = this.#clock.monotonicUs()
      for (const draw of draws) this.#release(draw, isGranted ? draw.cost : 0, endUs)
    }
    if (rest.length === 0) {
      this.#leased++
      end(true)
      return { kind: 'granted', states: this.#states(charges, [], [], nowUs) }
    }
    return andThen(this.#ask(id, pick(charges, rest), 0, nowUs), (answer) => {
      end(answer.kind === 'granted')
      return this.#whole(answer, charges, rest)
    })
  }

  /** Takes what leases can give; of the other charges it says which they are. */
  #draw(
    charges: readonly Charge[],
    ttlMs: number,
    nowUs: number,
  ): { readonly draws: Draw[]; readonly rest: number[] } {
    const draws: Draw[] = []
    const rest: number[] = []
    for (let index = 0; index < charges.length; index++) {
      const charge = charges[index] as Charge
      const bank = charge.isLeased ? this.#banks.bankOf(charge, nowUs) : undefined
      bank?.ask(charge.cost, nowUs)
      const lease = bank?.find(charge.cost, nowUs)
      if (lease === undefined) rest.push(index)
      else {
        lease.held += charge.cost
        lease.calls++
        draws.push({ index, lease, cost: charge.cost })
      }
      if (bank !== undefined) this.#banks.refill(bank, charge, ttlMs, nowUs)
    }
    return { draws, rest }
  }

  /** Asks the store, and learns what is left of what may be leased. */
  #ask(
    id: string,
    charges: readonly Charge[],
    ttlMs: number,
    nowUs: number,
  ): ReserveAnswer | Promise<ReserveAnswer> {
    return andThen(this.#inner.reserve(id, charges, ttlMs), (answer) => {
      if (answer.kind === 'failed') return answer
      for (let index = 0; index < charges.length; index++) {
        const charge = charges[index] as Charge
        const state = answer.states[index]
        if (charge.isLeased && state !== undefined) this.#banks.bankOf(charge, nowUs)?.learn(state, nowUs)
      }
      return answer
    })
  }

  #more(
    id: string,
    hold: LeasedHold,
    charges: readonly Charge[],
    ttlMs: number,
    nowUs: number,
  ): ReserveAnswer | Promise<ReserveAnswer> {
    const { draws, rest } = this.#draw(charges, ttlMs, nowUs)
    hold.draws.push(...draws)
    const main = hold.rests.find((part) => part.id === id)
    const apart = rest.filter((index) => !main?.indexes.includes(index))
    const steps: (() => ReserveAnswer | Promise<ReserveAnswer>)[] = []
    const added: Rest[] = []
    if (apart.length > 0) {
      const part = pick(charges, apart)
      const partId = `${id}+${hold.step}`
      added.push({ id: partId, indexes: apart, costs: costsOf(part) })
      steps.push(() => this.#whole(this.#ask(partId, part, ttlMs, nowUs), charges, apart))
    }
    if (main !== undefined) {
      // All of them once more, so that the hold lives on; what a lease has served takes nothing.
      const again = main.indexes.map((index) => {
        const charge = charges[index] as Charge
        return rest.includes(index) ? charge : { ...charge, cost: 0, isEnforced: false }
      })
      steps.push(() =>
        andThen(this.#inner.topUp(id, hold.step, again, ttlMs), (answer) => {
          if (answer.kind === 'granted' && !hold.isSettled)
            again.forEach(({ cost }, index) => {
              main.costs[index] = (main.costs[index] as number) + cost
            })
          return this.#whole(answer, charges, main.indexes)
        }),
      )
    }
    return andThen(inTurn(steps), (answer) => {
      const isGranted = answer === undefined || answer.kind === 'granted'
      if (isGranted && !hold.isSettled) hold.rests.push(...added)
      // Refused, or settled meanwhile: as if it had not been asked.
      else for (const part of added) void this.#inner.settle(part.id, zeros(part.indexes))
      if (!isGranted && !hold.isSettled) {
        for (const draw of draws) {
          hold.draws.splice(hold.draws.indexOf(draw), 1)
          this.#release(draw, 0, nowUs)
        }
      }
      return answer ?? { kind: 'granted', states: this.#states(charges, [], [], nowUs) }
    })
  }

  #giveBack(id: string, hold: LeasedHold): void {
    if (hold.isSettled) return
    hold.isSettled = true
    this.#holds.delete(id)
    const nowUs = this.#clock.monotonicUs()
    for (const draw of hold.draws) this.#release(draw, 0, nowUs)
  }

  /** @param settled.actual `undefined` where what was reserved is what it took */
  #settleCharge(settled: {
    readonly hold: LeasedHold
    readonly index: number
    readonly actual: number | undefined
    readonly taken: number[][]
    readonly nowUs: number
  }): void {
    const { hold, index, actual, taken, nowUs } = settled
    const draws = hold.draws.filter((draw) => draw.index === index)
    const rests = hold.rests.flatMap(({ indexes }, part) => {
      const position = indexes.indexOf(index)
      return position < 0 ? [] : [{ part, position }]
    })
    const costs = [
      ...draws.map(({ cost }) => cost),
      ...rests.map(({ part, position }) => (taken[part] as number[])[position] as number),
    ]
    const parts = actual === undefined ? costs : dealOut(actual, costs)
    draws.forEach((draw, position) => {
      const part = parts[position] as number
      this.#release(draw, Math.min(part, draw.cost), nowUs)
      if (part > draw.cost) this.#owe(draw, hold.charges[index] as Charge, part - draw.cost, nowUs)
    })
    rests.forEach(({ part, position }, at) => {
      ;(taken[part] as number[])[position] = parts[draws.length + at] as number
    })
  }

  #release(draw: Draw, actual: number, nowUs: number): void {
    const { lease, cost } = draw
    if (lease.isClosed) return
    lease.held -= cost
    lease.calls--
    lease.spent += actual
    this.#banks.closeIfDone(lease, nowUs)
  }

  /** Charges more than was reserved: what leases have left first, the rest as a debt at the store. */
  #owe(draw: Draw, charge: Charge, units: number, nowUs: number): void {
    const bank: Bank = draw.lease.bank
    let left = units
    for (const lease of bank.live) {
      if (lease.endUs <= nowUs) continue
      const part = Math.min(left, Math.max(0, lease.size - lease.spent - lease.held))
      lease.spent += part
      left -= part
    }
    if (left === 0) return
    const id = `${draw.lease.id}-${this.#debts++}d`
    const nothing = { ...charge, cost: 0, isEnforced: false, onStoreFailure: 'allow' as const }
    // The store applies the cap of the debt where it settles a hold.
    void andThen(this.#inner.reserve(id, [nothing], debtTtlMs), () => this.#inner.settle(id, [left]))
  }

  /** The answer for all charges, where the store was asked for some of them. */
  #whole(
    answer: ReserveAnswer | Promise<ReserveAnswer>,
    charges: readonly Charge[],
    asked: readonly number[],
  ): ReserveAnswer | Promise<ReserveAnswer>
  #whole(answer: ReserveAnswer, charges: readonly Charge[], asked: readonly number[]): ReserveAnswer
  #whole(
    answer: ReserveAnswer | Promise<ReserveAnswer>,
    charges: readonly Charge[],
    asked: readonly number[],
  ): ReserveAnswer | Promise<ReserveAnswer> {
    return andThen(answer, (answer) => {
      if (answer.kind === 'failed') return { ...answer, index: asked[answer.index] ?? 0 }
      const states = this.#states(charges, asked, answer.states, this.#clock.monotonicUs())
      return { kind: answer.kind, states }
    })
  }

  #states(
    charges: readonly Charge[],
    asked: readonly number[],
    told: readonly CounterState[],
    nowUs: number,
  ): CounterState[] {
    const states: CounterState[] = []
    for (let index = 0; index < charges.length; index++) {
      const at = asked.indexOf(index)
      const charge = charges[index] as Charge
      states.push(told[at] ?? this.#banks.bankOf(charge, nowUs)?.state(nowUs) ?? ended)
    }
    return states
  }
}

/** How long the store keeps a debt open; it is settled right behind. */
const debtTtlMs = 60_000
/** What a hold says that has come to its end. */
const ended: CounterState = { isOver: true, remaining: 0, retryUs: 0, resetUs: 0 }
const pending: ReserveAnswer = { kind: 'failed', fault: 'unavailable', index: 0 }

/** Takes one step after the other until one is not granted; the last answer. */
function inTurn(
  steps: readonly (() => ReserveAnswer | Promise<ReserveAnswer>)[],
  at = 0,
  last?: ReserveAnswer,
): ReserveAnswer | undefined | Promise<ReserveAnswer | undefined> {
  const step = steps[at]
  if (step === undefined) return last
  return andThen(step(), (answer) => (answer.kind === 'granted' ? inTurn(steps, at + 1, answer) : answer))
}

import { dealOut, zeros } from '../store/split.ts'
import type { Charge, CounterState, ReserveAnswer, SettleAnswer, StoreCount } from '../store/store.ts'
import type { Debts } from './debts.ts'
import { grantLocally, type LocalCall } from './local-grant.ts'
import { type Held, isAway, type Part } from './parts.ts'
import type { LocalShare } from './share.ts'

export interface AwayOptions {
  readonly share: LocalShare
  readonly debts: Debts
  readonly counts: Record<StoreCount, number>
  /** Settles a hold of the store. */
  readonly deliver: (
    id: string,
    actuals: readonly number[],
    isDebt: boolean,
  ) => SettleAnswer | Promise<SettleAnswer>
}

/** What is granted without the store, until the store knows it. */
export class Away {
  readonly #options: AwayOptions
  /** Calls of which the store does not know all. */
  #calls = 0

  constructor(options: AwayOptions) {
    this.#options = options
  }

  /** Whether the store knows everything that we granted. */
  get isLevel(): boolean {
    return this.#calls === 0 && this.#options.debts.isEmpty
  }

  /** Takes what the store says while it knows everything. */
  see(charges: readonly Charge[], states: readonly CounterState[]): void {
    this.#options.share.see(charges, states)
  }

  grant(call: LocalCall): ReserveAnswer | Promise<ReserveAnswer> {
    return grantLocally(call, this.#options)
  }

  /** Takes back what was granted for a call that is refused after all. */
  undo(parts: readonly Part[]): void {
    for (const { where, id, costs } of parts)
      if (where === 'share') this.#options.share.settle(id, zeros(costs))
  }

  /** Counts a call that begins. */
  begin(held: Held): void {
    if (isAway(held)) this.#calls++
  }

  /** Adds to a call that runs. */
  add(held: Held, own: Part, more: readonly Part[]): void {
    const wasAway = isAway(held)
    held.parts ??= [own]
    held.parts.push(...more)
    if (!wasAway && isAway(held)) this.#calls++
  }

  /** Ends a call: each part of it at what fell to it. */
  settle(
    held: Held,
    parts: readonly Part[],
    actuals: readonly number[],
  ): SettleAnswer | Promise<SettleAnswer> {
    const { share, debts, deliver } = this.#options
    if (isAway(held)) this.#calls--
    const taken = dealToParts(held.charges.length, parts, actuals)
    let last: SettleAnswer | Promise<SettleAnswer> = 'settled'
    parts.forEach((part, at) => {
      const units = taken[at] as number[]
      if (part.where === 'store') {
        const isDebt = units.some((unit, position) => unit > (part.costs[position] ?? 0))
        last = debts.settle(part.id, units) ? 'queued' : deliver(part.id, units, isDebt)
        return
      }
      if (part.where === 'share') share.settle(part.id, units)
      part.indexes.forEach((index, position) => {
        debts.owe(held.charges[index] as Charge, units[position] as number)
      })
    })
    return last
  }

  /** Tells the store everything: calls that run get holds there. */
  catchUp(helds: Iterable<Held>): Promise<void> {
    if (this.#calls > 0) for (const held of helds) this.#carryOver(held)
    this.#calls = 0
    return this.#options.debts.deliver()
  }

  async close(): Promise<void> {
    this.#options.debts.drop()
    await this.#options.share[Symbol.asyncDispose]()
  }

  #carryOver(held: Held): void {
    const { share, debts } = this.#options
    for (const part of held.parts ?? []) {
      if (part.where === 'store') continue
      if (part.where === 'share') share.settle(part.id, part.costs)
      const charges = part.indexes.map((index, position) => ({
        ...(held.charges[index] as Charge),
        cost: part.costs[position] as number,
      }))
      part.where = 'store'
      part.id = debts.carry(charges, held)
    }
  }
}

/** What each part of a call is settled at. */
function dealToParts(count: number, parts: readonly Part[], actuals: readonly number[]): number[][] {
  const taken = parts.map(({ costs }) => zeros(costs))
  for (let index = 0; index < count; index++) {
    const places = parts.flatMap((part, at) => {
      const position = part.indexes.indexOf(index)
      return position < 0 ? [] : [{ at, position, cost: part.costs[position] as number }]
    })
    const costs = places.map(({ cost }) => cost)
    const dealt = dealOut(actuals[index] ?? 0, costs)
    places.forEach(({ at, position }, place) => {
      ;(taken[at] as number[])[position] = dealt[place] as number
    })
  }
  return taken
}

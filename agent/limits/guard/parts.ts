import { mostAtOnce } from '../store/most-at-once.ts'
import type { Charge, CounterState, ReserveAnswer } from '../store/store.ts'

/** Where some of the charges of a call were written. */
export interface Part {
  /** `owed`: nowhere yet; the store will be told. */
  where: 'store' | 'share' | 'owed'
  id: string
  readonly indexes: readonly number[]
  readonly costs: number[]
}

/** A call that was granted and not settled. */
export interface Held {
  readonly charges: readonly Charge[]
  /** Absent where all is at the store under the id of the call. */
  parts: Part[] | undefined
  /** What was reserved, where all is at the store. */
  readonly costs: number[] | undefined
  /** What it was told, for who asks again; absent where the store knows. */
  readonly answer: ReserveAnswer | undefined
  readonly ttlMs: number
  /** When it was granted, wall time. */
  readonly atMs: number
  endUs: number
}

/** Whether the store does not know all of it. */
export function isAway({ parts }: Held): boolean {
  return parts?.some(({ where }) => where !== 'store') ?? false
}

/** All that was reserved, in the order of the charges. */
export function reservedBy({ charges, parts }: Held): number[] {
  const sums = charges.map(() => 0)
  for (const { indexes, costs } of parts ?? [])
    indexes.forEach((index, position) => {
      sums[index] = (sums[index] ?? 0) + (costs[position] ?? 0)
    })
  return sums
}

/** What the store holds of all charges of a call, in their order. */
export function partAtStore(id: string, costs: number[]): Part {
  return { where: 'store', id, indexes: costs.map((_, index) => index), costs }
}

/** Whether a limit refuses. Where none does, a hold is gone. */
export function isRefusedByOne(charges: readonly Charge[], states: readonly CounterState[]): boolean {
  return states.some(({ isOver }, index) => isOver && charges[index]?.isEnforced)
}

/** Puts what was told of some charges among the states of all. */
export function merge(
  states: readonly CounterState[],
  indexes: readonly number[],
  told: readonly CounterState[],
): readonly CounterState[] {
  const all = [...states]
  indexes.forEach((index, position) => {
    const state = told[position]
    if (state !== undefined) all[index] = state
  })
  return all
}

/** What is said of a counter that nobody could ask. */
export function neverSeen({ rule }: Charge): CounterState {
  return { isOver: false, remaining: mostAtOnce(rule), retryUs: 0, resetUs: 0 }
}

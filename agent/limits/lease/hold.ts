import type { Charge, ReserveAnswer } from '../store/store.ts'
import type { Lease } from './bank.ts'

/** What one call took from one lease. */
export interface Draw {
  /** Of the charge. */
  readonly index: number
  readonly lease: Lease
  readonly cost: number
}

/** What the store holds for one call: some of its charges. */
export interface Rest {
  readonly id: string
  readonly indexes: readonly number[]
  readonly costs: number[]
}

/** A call of which at least one charge came from a lease. */
export interface LeasedHold {
  readonly charges: readonly Charge[]
  readonly draws: Draw[]
  readonly rests: Rest[]
  /** What it was told, for who asks again. */
  answer: ReserveAnswer | Promise<ReserveAnswer>
  step: number
  stepAnswer: ReserveAnswer | Promise<ReserveAnswer> | undefined
  endUs: number
  /** A call that was settled before the store answered is not given back twice. */
  isSettled: boolean
}

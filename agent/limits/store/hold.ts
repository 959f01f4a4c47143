import type { Part } from './counter.ts'
import type { Ending } from './expiry.ts'
import type { Charge, ReserveAnswer } from './store.ts'

/** What one call has reserved. */
export interface Hold extends Ending {
  readonly id: string
  readonly charges: readonly Charge[]
  /** In the order of the charges. */
  readonly parts: Part[]
  /** What a repeated reserve is told. */
  readonly answer: ReserveAnswer
  /** The last step that was topped up, and what its repetition is told. */
  step: number
  stepAnswer: ReserveAnswer
}

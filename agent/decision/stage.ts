import type { Exchange } from './exchange.ts'
import type { ReasonCode } from './reasons.ts'
import type { Verdict } from './verdict.ts'

/** One step of a decision. It answers synchronously when it can. */
export interface Stage {
  readonly name: string
  /** The refusal when this stage throws or rejects: each room has a code of its own for "went wrong in here". */
  readonly failureReason: ReasonCode
  request?(x: Exchange): Verdict | Promise<Verdict>
  response?(x: Exchange): Verdict | Promise<Verdict>
  /** A later stage refused what this one let through: give back what was taken. */
  revoke?(x: Exchange): void
  /** Called exactly once for every exchange, after its last event. */
  end?(x: Exchange): void
}

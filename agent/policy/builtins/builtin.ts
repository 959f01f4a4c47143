import type { RegoValue } from '../values/value.ts'

/** What one evaluation may know of the world besides its input and data. */
export interface EvaluationContext {
  /** Wall time, nanoseconds since the epoch; the same during the whole evaluation, as in OPA. */
  readonly nowNs: bigint
  /** What `opa.runtime()` gives: the version and the labels of this agent, never its environment. */
  readonly runtime?: RegoValue
  /** What a builtin must answer alike twice in one evaluation (`rand.intn`, `uuid.rfc4122`), by name and operands. */
  memo?: Map<string, RegoValue>
  /** Where calls whose answer is not a function of their operands are written down, for the decision log. */
  recorded?: NondeterministicCalls
  /** What such a call said when it was recorded; `undefined` where it was not, and the builtin is asked. */
  readonly answer?: (name: string, operands: readonly RegoValue[]) => RegoValue | undefined
}

/** OPA's `nd_builtin_cache`: by builtin, by the text of its operands. */
export type NondeterministicCalls = Map<string, Map<string, RegoValue>>

/**
 * A host function: operands in, value out. `undefined` makes the call undefined in Rego, and so does anything it throws:
 * that is what OPA does with a builtin's error.
 */
export type Builtin = (context: EvaluationContext, ...operands: RegoValue[]) => RegoValue | undefined

/** The builtins of one file, by name. */
export type Family = Readonly<Record<string, Builtin>>

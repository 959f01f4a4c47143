import type { JsonValue } from '#base/json.ts'

/** What one evaluation may know of the world besides its input and data. */
export interface EvaluationContext {
  /** Wall time, nanoseconds since the epoch; the same during the whole evaluation, as in OPA. */
  readonly nowNs: bigint
}

/** A value in the text form that `opa_value_dump` gives, where JSON would lose what the builtin needs. */
export interface RegoText {
  readonly text: string
}

/**
 * A host function. `undefined` makes the call undefined in Rego, and so does anything it throws: that is what OPA does
 * with a builtin's error.
 */
export type Builtin =
  | { readonly takes: 'json'; call(context: EvaluationContext, ...args: JsonValue[]): JsonValue | undefined }
  | { readonly takes: 'text'; call(context: EvaluationContext, ...args: RegoText[]): JsonValue | undefined }

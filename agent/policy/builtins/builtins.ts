import type { JsonValue } from '#base/json.ts'
import { encodingBuiltins } from './encoding.ts'
import { hashBuiltins } from './hash.ts'
import { jwtBuiltins } from './jwt.ts'
import { regexBuiltins } from './regex.ts'
import { stringBuiltins } from './strings.ts'
import { timeBuiltins } from './time.ts'

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

/** Everything the host gives a policy beyond what is compiled into the wasm module. */
export const builtins: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ...jwtBuiltins,
  ...timeBuiltins,
  ...stringBuiltins,
  ...regexBuiltins,
  ...hashBuiltins,
  ...encodingBuiltins,
])

/** What will never run on the request's way, and what to do instead. */
export const refusedBuiltins: ReadonlyMap<string, string> = new Map([
  ['http.send', "put what it would fetch into the bundle's data"],
  ['net.lookup_ip_addr', "put the addresses into the bundle's data"],
])

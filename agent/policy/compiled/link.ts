import type { Builtin, EvaluationContext } from '../builtins/builtin.ts'
import { nondeterministicBuiltins, recordCall } from '../builtins/builtins.ts'
import { EvaluationError } from '../engine/engine.ts'
import { isEqual, lookup } from '../values/compare.ts'
import { isAnyObject, type RegoValue } from '../values/value.ts'
import type { Generated, runtimeNames } from './generate.ts'
import { lookups, total } from './native/native.ts'
import type { Plan } from './plan.ts'
import * as runtime from './runtime.ts'

/** Evaluates a plan by its number; `undefined` where it has no result. */
export type Evaluate = (
  plan: number,
  input: RegoValue | undefined,
  data: RegoValue,
  context: EvaluationContext,
  steps: number,
) => RegoValue | undefined

/** Makes generated text a function, with its tables and the builtins that it calls. */
export function link(generated: Generated, plan: Plan, builtins: ReadonlyMap<string, Builtin>): Evaluate {
  const { tables, text } = generated
  const gauge = new runtime.Gauge()
  const functions = (plan.funcs?.funcs ?? []).filter(({ path, params }) => path && params.length === 2)
  const byPath = new Map(functions.map(({ path }, index) => [JSON.stringify(path), index]))
  const parts: Readonly<Record<(typeof runtimeNames)[number], unknown>> = {
    ...runtime,
    gauge,
    isAnyObject,
    isEqual,
    lookup,
    find: (dynamic: readonly unknown[], path: readonly RegoValue[]) =>
      dynamic[byPath.get(JSON.stringify(path)) ?? -1],
  }
  const called = tables.builtins.map((name) => {
    const builtin = builtins.get(name) as Builtin
    return total.has(name) ? builtin : guarded(name, builtin, gauge)
  })
  return new Function('K', 'P', 'B', 'R', text)(tables.values, tables.paths, called, parts) as Evaluate
}

/** A builtin whose error is undefined, and which pays for what it reads and makes. */
function guarded(name: string, builtin: Builtin, gauge: runtime.Gauge): Builtin {
  const isRecorded = nondeterministicBuiltins.has(name)
  const isLookup = lookups.has(name)
  return (context, ...operands) => {
    gauge.left--
    if (!isLookup) for (const each of operands) gauge.charge(each)
    let result: RegoValue | undefined
    try {
      // A decision that is repeated gets what was said then.
      const known = isRecorded ? context.answer?.(name, operands) : undefined
      result = known ?? builtin(context, ...operands)
    } catch (thrown) {
      // What does not fit in here is no answer of the builtin, and must not become one that a policy can negate.
      if (thrown instanceof EvaluationError || isTooMuch(thrown)) throw thrown
      return undefined
    }
    if (!isLookup) gauge.charge(result)
    if (isRecorded && result !== undefined) recordCall(context, name, operands, result)
    return result
  }
}

/** A stack that is full, a text or an array longer than JavaScript has them. */
function isTooMuch(thrown: unknown): boolean {
  return (
    thrown instanceof RangeError &&
    /^(Maximum call stack|Invalid string length|Invalid array length|Array buffer allocation failed)/.test(
      thrown.message,
    )
  )
}

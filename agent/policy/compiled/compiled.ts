import { messageOf, SluiceError } from '#base/errors.ts'
import type { JsonObject } from '#base/json.ts'
import { builtins, refusedBuiltins } from '../builtins/builtins.ts'
import { EvaluationError, type SyncEngine } from '../engine/engine.ts'
import type { PolicyInput } from '../engine/input-document.ts'
import { fromJson, toJson } from '../values/json.ts'
import type { RegoValue } from '../values/value.ts'
import { generate } from './generate.ts'
import { link } from './link.ts'
import { natives } from './native/native.ts'
import { parsePlan } from './plan.ts'

/** Enough for a second or so; a policy that takes more answers nobody in time. */
const defaultMaxSteps = 5_000_000

/**
 * Compiles a plan built by `opa build -t plan` to JavaScript, with its data. Nothing is written or parsed as text for an
 * evaluation, and one that does not end is stopped after `maxSteps` calls and turns of loops.
 *
 * @throws SluiceError when it is no such plan or needs a builtin that there is not.
 */
export function createCompiledEngine(options: {
  /** The text of `plan.json`. */
  readonly plan: string
  readonly data: JsonObject
  /** Named in errors. */
  readonly place: string
  readonly maxSteps?: number
}): SyncEngine {
  const { place, maxSteps = defaultMaxSteps } = options
  const plan = parsePlan(options.plan, place)
  const written = refusing(place, () => generate(plan))
  const missing = written.tables.builtins.filter((name) => !natives.has(name) && !builtins.has(name))
  if (missing.length > 0) {
    const hints = missing.map((name) =>
      refusedBuiltins.has(name) ? `${name} (${refusedBuiltins.get(name)})` : name,
    )
    throw new SluiceError({
      code: 'policy_plan_refused',
      place,
      found: `needs ${hints.join(', ')}`,
      expected: 'only builtins of policies/capabilities.json',
    })
  }
  const evaluate = refusing(place, () => link(written, plan, new Map([...builtins, ...natives])))
  const data = frozen(fromJson(options.data))
  const plans = new Map(plan.plans.plans.map(({ name }, index) => [name, index]))
  return {
    entrypoints: new Set(plans.keys()),
    readsValue: true,
    builtins: written.tables.builtins.filter((name) => !natives.has(name)),
    evaluate: (entrypoint, input, context) => {
      const index = plans.get(entrypoint)
      if (index === undefined) throw new EvaluationError(`the policy has no entrypoint ${entrypoint}`)
      let found: RegoValue | undefined
      try {
        found = evaluate(index, input && readable(input), data, context, maxSteps)
      } catch (thrown) {
        throw new EvaluationError(`policy evaluation failed: ${messageOf(thrown)}`, { cause: thrown })
      }
      const result = (found as { readonly result?: RegoValue } | undefined)?.result
      return typeof result === 'boolean' || result === undefined ? result : toJson(result)
    },
  }
}

/** An input is read as it stands where nothing in it stands for something else. */
function readable({ value, isExact }: PolicyInput): RegoValue {
  return isExact ? (value as RegoValue) : fromJson(value)
}

/** What a plan is refused for: it refers to what is not there, or nests deeper than the stack. */
function refusing<T>(place: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    throw new SluiceError({
      code: 'policy_plan_refused',
      place,
      found: messageOf(cause),
      expected: 'a plan of `opa build -t plan`',
      cause,
    })
  }
}

/** So that nothing that runs for one request can change what the next one sees. */
function frozen(value: RegoValue): RegoValue {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const item of Object.values(value)) frozen(item as RegoValue)
  return Object.freeze(value) as RegoValue
}

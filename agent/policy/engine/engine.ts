import { messageOf } from '#base/errors.ts'
import type { JsonObject, JsonValue } from '#base/json.ts'
import type { EvaluationContext } from '../builtins/builtin.ts'
import { jsonOfRegoText } from '../values/json.ts'
import type { PolicyInput } from './input-document.ts'
import { keptFor, type Live, restartLive, startLive, startLiveInSlices } from './live.ts'
import { pageBytes } from './memory.ts'
import { type Prepared, preparePolicy } from './prepared.ts'

/** A policy with its data, ready to be asked. One that holds more than memory is disposed of when nobody asks it any more. */
export interface Engine extends Partial<AsyncDisposable> {
  readonly entrypoints: ReadonlySet<string>
  /** Names of the host functions that it calls. */
  readonly builtins: readonly string[]
  /** Whether it takes the input as it is, so that no text of it need be made. */
  readonly readsValue?: boolean
  /**
   * Evaluates an entrypoint; an `input` of `undefined` is no input at all.
   *
   * @returns the result, or `undefined` where Rego says undefined.
   * @throws EvaluationError when the policy aborted or trapped, as a rejection where the engine answers later; the
   *   engine is fit for the next evaluation by then.
   */
  evaluate(
    entrypoint: string,
    input: PolicyInput | undefined,
    context: EvaluationContext,
  ): JsonValue | undefined | Promise<JsonValue | undefined>
}

/** An engine that answers before it returns. */
export interface SyncEngine extends Engine {
  evaluate(
    entrypoint: string,
    input: PolicyInput | undefined,
    context: EvaluationContext,
  ): JsonValue | undefined
}

/** One on a module, which has a memory of its own. */
export interface ModuleEngine extends SyncEngine {
  /** What its memory takes now. */
  readonly memoryBytes: number
}

/** The policy itself failed: it aborted, trapped, or ran out of memory. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError'
}

/** What most evaluations end in, letter for letter as the module writes it. */
const allowed = '{{"result": true}}'
const denied = '{{"result": false}}'

// As JSON the module writes sets in an order of its own; OPA writes them in Rego's.
const asRego = 1

/**
 * Loads a module built by `opa build -t wasm` with its data, at once.
 *
 * @throws SluiceError when it is no such module or needs a builtin that the host has not got.
 */
export function createEngine(options: {
  readonly wasm: Uint8Array
  readonly data: JsonObject
  /** Named in errors. */
  readonly place: string
}): ModuleEngine {
  const prepared = preparePolicy(options)
  return engineOn(prepared, startLive(prepared))
}

/** How an engine is started on what was prepared. */
export type StartEngine = (prepared: Prepared) => Promise<Engine>

/** An engine on what was prepared, perhaps by another thread. Its data is copied in slices: nobody has to wait. */
export async function startEngine(prepared: Prepared): Promise<ModuleEngine> {
  return engineOn(prepared, await startLiveInSlices(prepared))
}

function engineOn(prepared: Prepared, first: Live): ModuleEngine {
  const { policy, dataAddress, heapAddress } = prepared
  const kept = keptFor(prepared)
  let live = first
  return {
    entrypoints: new Set(policy.entrypoints.keys()),
    builtins: policy.builtins,
    get memoryBytes() {
      return live.memory.pages * pageBytes
    },
    evaluate: (entrypoint, input, context) => {
      const id = policy.entrypoints.get(entrypoint)
      if (id === undefined) throw new EvaluationError(`the policy has no entrypoint ${entrypoint}`)
      const { memory, exports } = live
      live.context = context
      try {
        const length = input === undefined ? 0 : memory.write(input.text, heapAddress)
        const heap = (heapAddress + length + 7) & ~7
        const inputAddress = input === undefined ? 0 : heapAddress
        const result = memory.textAt(exports.opa_eval(0, id, dataAddress, inputAddress, length, heap, asRego))
        // Without these two, reading the row again takes 0.8 µs (`bench -- policy`).
        if (result === allowed) return true
        if (result === denied) return false
        return answerOf(result)
      } catch (thrown) {
        live = restartLive(kept, live)
        throw new EvaluationError(`policy evaluation failed: ${messageOf(thrown)}`, { cause: thrown })
      }
    },
  }
}

/** Of a set of rows, of which there is one at most. Alone a row is JSON unless it holds a set, and nothing need be thrown. */
function answerOf(rows: string): JsonValue | undefined {
  if (rows === 'set()') return undefined
  const isRow = rows.startsWith('{{"result":') && rows.endsWith('}}')
  const row = jsonOfRegoText(isRow ? rows.slice(1, -1) : rows)
  const [only] = (Array.isArray(row) ? row : [row]) as readonly { readonly result: JsonValue }[]
  return only?.result
}

import * as library from '@open-policy-agent/opa-wasm'
import { messageOf } from '#base/errors.ts'
import type { JsonObject, JsonValue } from '#base/json.ts'
import type { EvaluationContext } from '../builtins/builtin.ts'
import { callBuiltin } from './bridge.ts'
import type { PolicyInput } from './input-document.ts'
import type { ModuleMemory } from './memory.ts'
import { compilePolicyModule, instantiate, type PolicyExports, type PolicyModule } from './module.ts'

/** A policy with its data, ready to be asked. */
export interface Engine {
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

/** The policy itself failed: it aborted, trapped, or ran out of memory. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError'
}

/** The library's loader: it holds the data and the heap's base of an instance. */
interface Loaded {
  readonly dataAddr: number
  readonly dataHeapPtr: number
  setData(data: unknown): void
}

interface LibraryDefault {
  readonly LoadedPolicy: new (
    instance: WebAssembly.Instance,
    memory: WebAssembly.Memory,
    minor: number,
  ) => Loaded
}

// The class is only on the default export, which the library's types leave out.
const { LoadedPolicy } = (library as unknown as { default: LibraryDefault }).default

/** What most evaluations end in. */
const allowed = '[{"result":true}]'

/**
 * Loads a module built by `opa build -t wasm` with its data.
 *
 * @throws SluiceError when it is no such module or needs a builtin that the host has not got.
 */
export function createEngine(options: {
  readonly wasm: Uint8Array
  readonly data: JsonObject
  /** Named in errors. */
  readonly place: string
}): SyncEngine {
  const policy = compilePolicyModule(options.wasm, options.place)
  let live = load(policy, options.data)
  return {
    entrypoints: new Set(policy.entrypoints.keys()),
    builtins: policy.builtins,
    evaluate: (entrypoint, input, context) => {
      const id = policy.entrypoints.get(entrypoint)
      if (id === undefined) throw new EvaluationError(`the policy has no entrypoint ${entrypoint}`)
      const { loaded, memory, exports } = live
      live.context = context
      try {
        const address = loaded.dataHeapPtr
        const length = input === undefined ? 0 : memory.write(input.text, address)
        const heap = (address + length + 7) & ~7
        const inputAddress = input === undefined ? 0 : address
        const result = memory.textAt(exports.opa_eval(0, id, loaded.dataAddr, inputAddress, length, heap, 0))
        if (result === allowed) return true
        const [first] = JSON.parse(result) as { readonly result: JsonValue }[]
        return first?.result
      } catch (thrown) {
        live = load(policy, options.data)
        throw new EvaluationError(`policy evaluation failed: ${messageOf(thrown)}`, { cause: thrown })
      }
    },
  }
}

interface Live {
  readonly memory: ModuleMemory
  readonly exports: PolicyExports
  readonly loaded: Loaded
  /** Of the evaluation that runs; the host functions read it. */
  context: EvaluationContext
}

function load(policy: PolicyModule, data: JsonObject): Live {
  const { instance, exports, memory } = instantiate(policy.module, {
    abort: (message) => {
      throw new Error(message)
    },
    builtin: (id, operands) =>
      callBuiltin(memory, exports, policy.builtins[id] ?? '', live.context, operands),
  })
  const loaded = new LoadedPolicy(instance, memory.memory, policy.minorVersion)
  loaded.setData(data)
  const live: Live = { memory, exports, loaded, context: { nowNs: 0n } }
  return live
}

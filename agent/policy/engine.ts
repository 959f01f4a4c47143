import * as library from '@open-policy-agent/opa-wasm'
import { messageOf, SluiceError } from '#base/errors.ts'
import type { JsonObject, JsonValue } from '#base/json.ts'
import type { EvaluationContext } from './builtins/builtin.ts'
import { builtins, refusedBuiltins } from './builtins/builtins.ts'
import { wellFormedJson } from './json-text.ts'

/** One entrypoint of one module with its data, ready to be asked. */
export interface Engine {
  /**
   * Evaluates with `input` as JSON text.
   *
   * @returns the result, or `undefined` where Rego says undefined.
   * @throws Error when the module aborted or trapped; the engine has a fresh instance by then.
   */
  evaluate(input: string, context: EvaluationContext): JsonValue | undefined
}

interface PolicyExports {
  readonly opa_malloc: (size: number) => number
  readonly opa_json_parse: (address: number, length: number) => number
  readonly opa_json_dump: (address: number) => number
  readonly opa_value_dump: (address: number) => number
  readonly opa_eval: (
    reserved: number,
    entrypoint: number,
    data: number,
    input: number,
    inputLength: number,
    heap: number,
    format: number,
  ) => number
  readonly builtins: () => number
  readonly opa_wasm_abi_version: WebAssembly.Global
  readonly opa_wasm_abi_minor_version: WebAssembly.Global
}

/** The library's loader: it holds the data, the heap's base and the entrypoints of an instance. */
interface Loaded {
  readonly dataAddr: number
  readonly dataHeapPtr: number
  readonly entrypoints: Readonly<Record<string, number>>
  setData(data: unknown): void
}

// The class is only on the default export, which the library's types leave out.
const { LoadedPolicy } = (library as unknown as { default: LibraryDefault }).default

interface LibraryDefault {
  readonly LoadedPolicy: new (
    instance: WebAssembly.Instance,
    memory: WebAssembly.Memory,
    minor: number,
  ) => Loaded
}

/** What most evaluations end in. */
const allowed = '[{"result":true}]'
const pageBytes = 65_536
/** 256 MiB: about 13 MB of JSON data, as the runtime lays it out. */
const maxPages = 4096

/**
 * Compiles a module built by `opa build -t wasm`.
 *
 * @throws SluiceError when it is no such module, lacks the entrypoint, or needs a builtin that the host has not got.
 * @see https://www.openpolicyagent.org/docs/wasm for the ABI
 */
export function createEngine(options: {
  readonly wasm: Uint8Array
  readonly data: JsonObject
  readonly entrypoint: string
  /** Named in errors. */
  readonly place: string
}): Engine {
  const { place, entrypoint } = options
  const refuse = (found: string, expected: string, cause?: unknown) =>
    new SluiceError({ code: 'policy_module_refused', place, found, expected, cause })
  let module: WebAssembly.Module
  try {
    module = new WebAssembly.Module(options.wasm as BufferSource)
  } catch (cause) {
    throw refuse(messageOf(cause), 'a WebAssembly module', cause)
  }
  let live = instantiate(module, options.data, refuse)
  const entrypointId = live.loaded.entrypoints[entrypoint]
  if (entrypointId === undefined) {
    const found = `entrypoints ${Object.keys(live.loaded.entrypoints).join(', ')}`
    throw refuse(found, `the entrypoint ${entrypoint} (opa build -e ${entrypoint})`)
  }

  return {
    evaluate: (input, context) => {
      const { loaded, memory, exports } = live
      live.context = context
      try {
        const address = loaded.dataHeapPtr
        const length = Buffer.byteLength(input)
        grow(memory, address + length)
        Buffer.from(memory.buffer).write(input, address, length, 'utf8')
        const heap = (address + length + 7) & ~7
        const result = exports.opa_eval(0, entrypointId, loaded.dataAddr, address, length, heap, 0)
        const text = textAt(memory, result)
        if (text === allowed) return true
        const [first] = JSON.parse(text) as { result: JsonValue }[]
        return first?.result
      } catch (thrown) {
        live = instantiate(module, options.data, refuse)
        throw new Error(`policy evaluation failed: ${messageOf(thrown)}`, { cause: thrown })
      }
    },
  }
}

interface Live {
  readonly memory: WebAssembly.Memory
  readonly exports: PolicyExports
  readonly loaded: Loaded
  /** Of the evaluation that runs; the host functions read it. */
  context: EvaluationContext
}

function instantiate(
  module: WebAssembly.Module,
  data: JsonObject,
  refuse: (found: string, expected: string, cause?: unknown) => SluiceError,
): Live {
  const memory = new WebAssembly.Memory({ initial: 8, maximum: maxPages })
  let live: Live | undefined
  let names: readonly string[] = []
  const host = (id: number, _context: number, ...addresses: number[]): number => {
    if (live === undefined) throw new Error('a builtin was called before the policy was ready')
    return callBuiltin(live, names[id] ?? '', addresses)
  }
  let instance: WebAssembly.Instance
  try {
    instance = new WebAssembly.Instance(module, {
      env: {
        memory,
        opa_abort: (address: number) => {
          throw new Error(textAt(memory, address))
        },
        opa_println: () => {},
        opa_builtin0: host,
        opa_builtin1: host,
        opa_builtin2: host,
        opa_builtin3: host,
        opa_builtin4: host,
      },
    })
  } catch (cause) {
    throw refuse(messageOf(cause), 'a module built by `opa build -t wasm`', cause)
  }
  const exports = instance.exports as unknown as PolicyExports
  const major = exports.opa_wasm_abi_version?.value
  const minor = exports.opa_wasm_abi_minor_version?.value
  if (major !== 1 || !(minor >= 2)) throw refuse(`OPA wasm ABI ${major}.${minor}`, 'ABI 1.2 or a later 1.x')
  names = namesById(JSON.parse(textAt(memory, exports.opa_json_dump(exports.builtins()))))
  const missing = names.filter((name) => !builtins.has(name))
  if (missing.length > 0) {
    const hints = missing.map((name) =>
      refusedBuiltins.has(name) ? `${name} (${refusedBuiltins.get(name)})` : name,
    )
    throw refuse(`needs ${hints.join(', ')}`, 'only builtins of policies/capabilities.json')
  }
  const loaded = new LoadedPolicy(instance, memory, minor)
  loaded.setData(data)
  live = { memory, exports, loaded, context: { nowNs: 0n } }
  return live
}

/** 0 is the runtime's "undefined": an error of one call must not end the evaluation. */
function callBuiltin(live: Live, name: string, addresses: readonly number[]): number {
  const { memory, exports, context } = live
  const builtin = builtins.get(name)
  if (builtin === undefined) throw new Error(`no builtin ${name}`)
  let result: JsonValue | undefined
  try {
    result =
      builtin.takes === 'text'
        ? builtin.call(
            context,
            ...addresses.map((each) => ({ text: textAt(memory, exports.opa_value_dump(each)) })),
          )
        : builtin.call(
            context,
            ...addresses.map((each) => JSON.parse(textAt(memory, exports.opa_json_dump(each)))),
          )
  } catch {
    // Whatever the operands were, OPA calls it undefined; a policy that wants to know asks for the type first.
    return 0
  }
  if (result === undefined) return 0
  const text = wellFormedJson(JSON.stringify(result))
  const length = Buffer.byteLength(text)
  const address = exports.opa_malloc(length)
  Buffer.from(memory.buffer).write(text, address, length, 'utf8')
  return exports.opa_json_parse(address, length)
}

function namesById(idsByName: Readonly<Record<string, number>>): string[] {
  const names: string[] = []
  for (const [name, id] of Object.entries(idsByName)) names[id] = name
  return names
}

function textAt(memory: WebAssembly.Memory, address: number): string {
  const bytes = Buffer.from(memory.buffer)
  const end = bytes.indexOf(0, address)
  return bytes.toString('utf8', address, end === -1 ? bytes.length : end)
}

function grow(memory: WebAssembly.Memory, neededBytes: number): void {
  const missing = neededBytes + pageBytes - memory.buffer.byteLength
  if (missing > 0) memory.grow(Math.ceil(missing / pageBytes))
}

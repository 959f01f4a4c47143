import { messageOf, SluiceError } from '#base/errors.ts'
import { builtins, refusedBuiltins } from '../builtins/builtins.ts'
import type { BridgeExports } from './bridge.ts'
import { declaredPages } from './declared-memory.ts'
import { ModuleMemory } from './memory.ts'

/** What the runtime in a module offers. @see https://www.openpolicyagent.org/docs/wasm */
export interface PolicyExports extends BridgeExports {
  readonly opa_json_dump: (address: number) => number
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
  readonly entrypoints: () => number
  readonly opa_wasm_abi_version: WebAssembly.Global
  readonly opa_wasm_abi_minor_version: WebAssembly.Global
}

/** A module that `opa build -t wasm` made, fit to be instantiated. */
export interface PolicyModule {
  readonly module: WebAssembly.Module
  readonly minorVersion: number
  /** Pages that an instance needs before there is any data. */
  readonly pages: number
  /** Entrypoints by name, `envoy/authz/allow`. */
  readonly entrypoints: ReadonlyMap<string, number>
  /** Names of the host functions it calls, by their number. */
  readonly builtins: readonly string[]
}

/** The functions of the host. `abort` gets the message; it must throw. */
export interface HostFunctions {
  abort(message: string): never
  builtin(id: number, operands: readonly number[]): number
}

/**
 * Compiles a module and looks at what it needs, before any request depends on it.
 *
 * @param place named in errors.
 * @throws SluiceError when it is no such module or needs a builtin that the host has not got.
 */
export function compilePolicyModule(wasm: Uint8Array, place: string): PolicyModule {
  const refuse = (found: string, expected: string, cause?: unknown) =>
    new SluiceError({ code: 'policy_module_refused', place, found, expected, cause })
  let module: WebAssembly.Module
  try {
    module = new WebAssembly.Module(wasm as BufferSource)
  } catch (cause) {
    throw refuse(messageOf(cause), 'a WebAssembly module', cause)
  }
  const fault = importFault(module)
  if (fault !== undefined) throw refuse(fault, 'only what `opa build -t wasm` imports: memory and builtins')
  const host: HostFunctions = {
    abort: (message) => {
      throw new Error(message)
    },
    builtin: () => {
      throw new Error('a builtin was called before the policy was ready')
    },
  }
  let names: Readonly<Record<string, number>>
  let entrypoints: Readonly<Record<string, number>>
  let minorVersion: number
  const pages = declaredPages(wasm) + initialPages
  try {
    const { exports, memory } = instantiate(module, host, { initial: pages, maximum: maxDataPages })
    const major = exports.opa_wasm_abi_version?.value
    minorVersion = exports.opa_wasm_abi_minor_version?.value
    if (major !== 1 || !(minorVersion >= 2))
      throw refuse(`OPA wasm ABI ${major}.${minorVersion}`, 'ABI 1.2 or a later 1.x')
    names = JSON.parse(memory.textAt(exports.opa_json_dump(exports.builtins())))
    entrypoints = JSON.parse(memory.textAt(exports.opa_json_dump(exports.entrypoints())))
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    throw refuse(messageOf(cause), 'a module built by `opa build -t wasm`', cause)
  }
  const needed: string[] = []
  for (const [name, id] of Object.entries(names)) needed[id] = name
  const missing = Object.keys(names).filter((name) => !builtins.has(name))
  if (missing.length > 0) {
    const hints = missing.map((name) =>
      refusedBuiltins.has(name) ? `${name} (${refusedBuiltins.get(name)})` : name,
    )
    throw refuse(`needs ${hints.join(', ')}`, 'only builtins of policies/capabilities.json')
  }
  return { module, minorVersion, pages, entrypoints: new Map(Object.entries(entrypoints)), builtins: needed }
}

/** 1 GiB: about 50 MB of JSON data, as the runtime lays it out. */
export const maxDataPages = 16_384
const initialPages = 8

/** One instance, with a memory of its own unless one is given. @throws WebAssembly.LinkError */
export function instantiate(
  module: WebAssembly.Module,
  host: HostFunctions,
  {
    initial,
    maximum,
    memory: given,
  }: {
    readonly initial: number
    readonly maximum: number
    readonly memory?: WebAssembly.Memory | undefined
  },
): {
  readonly exports: PolicyExports
  readonly memory: ModuleMemory
  readonly instance: WebAssembly.Instance
} {
  const memory = new ModuleMemory(given ?? new WebAssembly.Memory({ initial, maximum }))
  // A function for each number of operands: the runtime calls the one that fits, and rest parameters cost an array anyway.
  const instance = new WebAssembly.Instance(module, {
    env: {
      memory: memory.memory,
      opa_abort: (address: number) => host.abort(memory.textAt(address)),
      opa_println: () => {},
      opa_builtin0: (id: number) => host.builtin(id, []),
      opa_builtin1: (id: number, _context: number, a: number) => host.builtin(id, [a]),
      opa_builtin2: (id: number, _context: number, a: number, b: number) => host.builtin(id, [a, b]),
      opa_builtin3: (id: number, _context: number, a: number, b: number, c: number) =>
        host.builtin(id, [a, b, c]),
      opa_builtin4: (id: number, _context: number, a: number, b: number, c: number, d: number) =>
        host.builtin(id, [a, b, c, d]),
    },
  })
  return { exports: instance.exports as unknown as PolicyExports, memory, instance }
}

const known = new Set([
  'memory',
  'opa_abort',
  'opa_println',
  ...[0, 1, 2, 3, 4].map((count) => `opa_builtin${count}`),
])

function importFault(module: WebAssembly.Module): string | undefined {
  const foreign = WebAssembly.Module.imports(module).filter(
    ({ module: from, name, kind }) =>
      from !== 'env' || !known.has(name) || kind !== (name === 'memory' ? 'memory' : 'function'),
  )
  return foreign.length === 0
    ? undefined
    : `imports ${foreign.map(({ module: from, name }) => `${from}.${name}`).join(', ')}`
}

import * as library from '@open-policy-agent/opa-wasm'
import { messageOf, SluiceError } from '#base/errors.ts'
import type { JsonObject } from '#base/json.ts'
import { pageBytes } from './memory.ts'
import { compilePolicyModule, instantiate, maxDataPages, type PolicyModule } from './module.ts'

/**
 * A policy with its data, as it lies in a fresh instance's memory. The runtime keeps all its state in linear memory, so that
 * any number of instances can begin from a copy, without reading the data again; it can be handed from thread to thread.
 */
export interface Prepared {
  readonly policy: PolicyModule
  /** From address 0 to the end of the data. */
  readonly image: Uint8Array
  /** Pages of a memory that fits: the runtime remembers how much it has. */
  readonly pages: number
  readonly dataAddress: number
  /** Where input is written, and above it whatever an evaluation allocates. */
  readonly heapAddress: number
}

/** The library's loader: it holds the data and the heap's base of an instance. */
interface Loaded {
  readonly dataAddr: number
  readonly dataHeapPtr: number
  /** JSON, in a buffer. */
  setData(data: ArrayBuffer): void
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

/** How much memory a byte of JSON takes in the runtime, at most in common data. */
const bytesPerJsonByte = 24

/**
 * Compiles a module built by `opa build -t wasm` and has it read its data. Takes long for large data (about 100 ms a
 * megabyte of JSON): not for the thread that answers requests.
 *
 * @throws SluiceError when it is no such module, needs a builtin that the host has not got, or the data does not fit.
 */
export function preparePolicy(options: {
  readonly wasm: Uint8Array
  readonly data: JsonObject
  /** Named in errors. */
  readonly place: string
  /** What the data may take, in pages of 64 KiB. */
  readonly maxPages?: number
}): Prepared {
  const { maxPages = maxDataPages } = options
  const policy = compilePolicyModule(options.wasm, options.place)
  const host = {
    abort: (message: string) => {
      throw new Error(message)
    },
    builtin: () => {
      throw new Error('a builtin was called before the policy was ready')
    },
  }
  try {
    const text = new TextEncoder().encode(JSON.stringify(options.data)).buffer
    // Enough at once: each time a memory grows, the collector looks at everything, and pages never touched cost nothing.
    const room = Math.ceil((text.byteLength * bytesPerJsonByte) / pageBytes)
    const initial = Math.min(maxPages, policy.pages + room)
    const { instance, memory } = instantiate(policy.module, host, { initial, maximum: maxPages })
    const loaded = new LoadedPolicy(instance, memory.memory, policy.minorVersion)
    loaded.setData(text)
    return {
      policy,
      image: memory.copy(loaded.dataHeapPtr),
      pages: memory.pages,
      dataAddress: loaded.dataAddr,
      heapAddress: loaded.dataHeapPtr,
    }
  } catch (cause) {
    throw new SluiceError({
      code: 'policy_module_refused',
      place: options.place,
      found: `data that cannot be loaded: ${messageOf(cause)}`,
      expected: `data that fits into ${maxPages / 16} MiB of the module's memory`,
      cause,
    })
  }
}

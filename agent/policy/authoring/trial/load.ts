import { type Bundle, type PlanBundle, readBundle, readPlanBundle } from '../../bundle/bundle.ts'
import type { Verification } from '../../bundle/signature/signature.ts'
import { createCompiledEngine } from '../../compiled/compiled.ts'
import { natives } from '../../compiled/native/native.ts'
import { parsePlan } from '../../compiled/plan.ts'
import { createEngine, type SyncEngine } from '../../engine/engine.ts'
import { nativeBuiltins } from './native-builtins.ts'
import type { Facts } from './trial.ts'

/** A bundle in one of the engines. */
export interface Loaded extends Pick<SyncEngine, 'entrypoints' | 'evaluate'> {
  readonly bundle: Bundle | PlanBundle
  readonly builtins: Facts['builtins']
  readonly sizes: Pick<Facts, 'wasmBytes' | 'planBytes'>
  memoryBytes(): number | undefined
}

type Load = (bytes: Buffer, place: string, decision: string, verification?: Verification) => Loaded

/** @throws SluiceError for whatever activation would refuse. */
export const loadModule: Load = (bytes, place, decision, verification) => {
  const bundle = readBundle(bytes, place, decision, verification)
  const engine = createEngine({ ...bundle, place })
  return {
    bundle,
    entrypoints: engine.entrypoints,
    builtins: {
      native: nativeBuiltins(new WebAssembly.Module(bundle.wasm as BufferSource)),
      // Their numbers need not be consecutive.
      host: engine.builtins.filter((name) => name !== undefined).sort(),
    },
    sizes: { wasmBytes: bundle.wasm.length },
    memoryBytes: () => engine.memoryBytes,
    evaluate: engine.evaluate,
  }
}

/** @throws SluiceError for whatever activation would refuse. */
export const loadCompiled: Load = (bytes, place, decision, verification) => {
  const bundle = readPlanBundle(bytes, place, decision, verification)
  const engine = createCompiledEngine({ ...bundle, place })
  const called = parsePlan(bundle.plan, place).static?.builtin_funcs ?? []
  return {
    bundle,
    entrypoints: engine.entrypoints,
    builtins: {
      native: called
        .map(({ name }) => name)
        .filter((name) => natives.has(name))
        .sort(),
      host: [...engine.builtins].sort(),
    },
    sizes: { planBytes: Buffer.byteLength(bundle.plan) },
    memoryBytes: () => undefined,
    evaluate: engine.evaluate,
  }
}

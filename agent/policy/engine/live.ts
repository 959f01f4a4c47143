import type { EvaluationContext } from '../builtins/builtin.ts'
import { callBuiltin } from './bridge.ts'
import { type ModuleMemory, pageBytes } from './memory.ts'
import { instantiate, type PolicyExports } from './module.ts'
import type { Prepared } from './prepared.ts'

/** An instance that evaluates. */
export interface Live {
  readonly memory: ModuleMemory
  readonly exports: PolicyExports
  /** Of the evaluation that runs; the host functions read it. */
  context: EvaluationContext
}

/** Pages that an evaluation may take beside the data: 128 MiB. */
const scratchPages = 2048

/** Of them there from the start: each growth has the collector look at everything. */
const roomPages = 32

/** How much is copied between two turns of the event loop. */
const sliceBytes = 2 << 20

/** Data of at most this size is put back whole after a trap. */
const wholeBytes = 16 << 20

/** An instance with a memory of its own, in which nothing lies yet. */
function blank(prepared: Prepared, memory?: WebAssembly.Memory): Live {
  const { policy, pages } = prepared
  const host = {
    abort: (message: string) => {
      throw new Error(message)
    },
    builtin: (id: number, operands: readonly number[]) =>
      callBuiltin(live.memory, live.exports, policy.builtins[id] ?? '', live.context, operands),
  }
  const made = instantiate(policy.module, host, {
    initial: pages + roomPages,
    maximum: pages + scratchPages,
    memory,
  })
  const live: Live = { memory: made.memory, exports: made.exports, context: { nowNs: 0n } }
  return live
}

/** An instance with the data in it. */
export function startLive(prepared: Prepared): Live {
  const live = blank(prepared)
  live.memory.restore(prepared.image, 0, prepared.image.length)
  return live
}

/** The same, copied in slices, so that others get their turn. */
export async function startLiveInSlices(prepared: Prepared): Promise<Live> {
  const live = blank(prepared)
  const { image } = prepared
  for (let at = 0; at < image.length; at += sliceBytes) {
    live.memory.restore(image, at, Math.min(image.length, at + sliceBytes))
    if (at + sliceBytes < image.length) await new Promise((resolve) => setImmediate(resolve))
  }
  return live
}

/**
 * What is kept to begin anew after a trap. Small data is kept whole, and the memory with it, which may have grown, is
 * given back. Of large data the start is kept, where the runtime's own state lies: the rest an evaluation only reads.
 */
export function keptFor(prepared: Prepared): Prepared {
  if (prepared.image.length <= wholeBytes) return prepared
  return { ...prepared, image: prepared.image.slice(0, prepared.policy.pages * pageBytes) }
}

/** An instance as it was before an evaluation trapped in `broken`. */
export function restartLive(kept: Prepared, broken: Live): Live {
  if (kept.heapAddress <= kept.image.length) return startLive(kept)
  const live = blank(kept, broken.memory.memory)
  live.memory.restore(kept.image, 0, kept.image.length)
  return live
}

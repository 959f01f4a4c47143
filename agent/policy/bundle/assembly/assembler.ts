import { Worker } from 'node:worker_threads'
import { type Fault, SluiceError } from '#base/errors.ts'
import type { Compiler, CompilerSettings } from '../compile.ts'
import { sizeOf } from '../part.ts'
import { type Assembly, assemble, type Task } from './assemble.ts'

/** Assembles bundles, where it takes long on a thread of its own. @throws SluiceError */
export type Assembler = (task: Task) => Promise<Assembly>

/** What a thread is given. */
export interface ThreadTask {
  readonly task: Task
  readonly settings: CompilerSettings
  readonly known: ReadonlyMap<string, Uint8Array>
}

/** What it gives back. */
export type ThreadAnswer =
  | { readonly assembly: Assembly; readonly known: ReadonlyMap<string, Uint8Array> }
  /** Errors do not cross whole; these are for people to mend. */
  | { readonly faults: readonly Omit<Fault, 'cause'>[] }

/** Reading this much stalls nobody; a thread would cost more. */
const inlineBytes = 256 << 10

/** Requests go on being answered while bundles are read: large ones are not read on this thread. */
export function createAssembler(compiler: Compiler, { threadedFromBytes = inlineBytes } = {}): Assembler {
  return (task) => {
    let bytes = 0
    for (const part of task.parts.values()) bytes += sizeOf(part)
    // The data of a plan is this thread's own objects: what another thread reads would have to be read here again.
    const isInline = bytes < threadedFromBytes || task.wanted.target === 'plan'
    return isInline ? assemble(task, compiler) : assembleElsewhere(task, compiler)
  }
}

function assembleElsewhere(task: Task, { settings, known }: Compiler): Promise<Assembly> {
  return new Promise((resolve, reject) => {
    const workerData: ThreadTask = { task, settings, known }
    const thread = new Worker(new URL('./thread.ts', import.meta.url), { workerData })
    thread.unref()
    thread.on('message', (answer: ThreadAnswer) => {
      if ('faults' in answer) {
        const [first, ...others] = answer.faults
        return reject(first === undefined ? new Error('no reason given') : new SluiceError(first, ...others))
      }
      known.clear()
      for (const [key, wasm] of answer.known) known.set(key, wasm)
      resolve(answer.assembly)
    })
    thread.on('error', reject)
    // After the answer it says nothing new.
    thread.on('exit', (code) => reject(new Error(`the thread that reads bundles ended with ${code}`)))
  })
}

import { parentPort, workerData } from 'node:worker_threads'
import { messageOf, SluiceError } from '#base/errors.ts'
import { createCompiler } from '../compile.ts'
import type { Raw } from '../part.ts'
import { assemble } from './assemble.ts'
import type { ThreadAnswer, ThreadTask } from './assembler.ts'

// What runs in a thread of its own: one assembly, and it ends.

const port = parentPort
if (port === null) throw new Error('not a thread')
const { task, settings, known } = workerData as ThreadTask
const compiler = createCompiler(settings, known)
const parts = new Map(
  [...task.parts].map(([name, { base, deltas }]) => [
    name,
    { base: arrived(base), deltas: deltas.map(arrived) },
  ]),
)
try {
  const assembly = await assemble({ ...task, parts }, compiler)
  const answer: ThreadAnswer = { assembly, known: compiler.known }
  port.postMessage(answer)
} catch (thrown) {
  const faults =
    thrown instanceof SluiceError
      ? thrown.faults.map(({ code, place, found, expected }) => ({ code, place, found, expected }))
      : [
          {
            code: 'bundle_refused',
            place: [...task.parts.keys()].join(', '),
            found: messageOf(thrown),
            expected: 'bundles that can be read',
          },
        ]
  const answer: ThreadAnswer = { faults }
  port.postMessage(answer)
}

/** Buffers come as plain arrays of bytes. */
function arrived(raw: Raw): Raw {
  const buffers = (files: ReadonlyMap<string, Uint8Array>) =>
    new Map(
      [...files].map(([path, { buffer, byteOffset, byteLength }]) => [
        path,
        Buffer.from(buffer, byteOffset, byteLength),
      ]),
    )
  if (raw.kind === 'members') return { ...raw, members: buffers(raw.members) }
  const { snapshot } = raw
  return { kind: 'ready', snapshot: { ...snapshot, rego: buffers(snapshot.rego) } }
}

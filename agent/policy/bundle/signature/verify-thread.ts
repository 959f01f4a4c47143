import { parentPort, Worker, workerData } from 'node:worker_threads'
import { type Fault, SluiceError } from '#base/errors.ts'
import { type SignedBy, type Verification, verifyBundle } from './signature.ts'

/** Below this it costs less than a thread does. */
const inlineBytes = 256 << 10

interface Task {
  readonly members: ReadonlyMap<string, Uint8Array>
  readonly verification: Verification
  readonly place: string
}

type Outcome = { readonly signedBy: SignedBy } | { readonly faults: readonly [Fault, ...Fault[]] }

/**
 * {@link verifyBundle}, in a thread of its own where there is much to digest: the canonical text of 19 MB of data takes more
 * than a second, in which nobody would be answered.
 *
 * @throws SluiceError for whatever does not fit.
 */
export async function verifyApart(
  members: ReadonlyMap<string, Buffer>,
  verification: Verification,
  place: string,
): Promise<SignedBy> {
  let bytes = 0
  for (const content of members.values()) bytes += content.length
  if (bytes < inlineBytes) return verifyBundle(members, verification, place)
  const outcome = await new Promise<Outcome>((resolve, reject) => {
    const task: Task = { members, verification, place }
    const worker = new Worker(new URL(import.meta.url), { workerData: { verify: task } })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`verification ended with ${code}`)))
  })
  if ('signedBy' in outcome) return outcome.signedBy
  throw new SluiceError(...outcome.faults)
}

/** The other end. */
function answer({ members, verification, place }: Task): Outcome {
  try {
    const buffers = new Map(
      [...members].map(([path, { buffer, byteOffset, byteLength }]) => [
        path,
        Buffer.from(buffer, byteOffset, byteLength),
      ]),
    )
    return { signedBy: verifyBundle(buffers, verification, place) }
  } catch (thrown) {
    if (!(thrown instanceof SluiceError)) throw thrown
    const [first, ...others] = thrown.faults.map(({ code, place, found, expected }) => ({
      code,
      place,
      found,
      expected,
    }))
    return { faults: [first as Fault, ...others] }
  }
}

if (parentPort !== null && (workerData as { readonly verify?: Task } | null)?.verify !== undefined)
  parentPort.postMessage(answer((workerData as { readonly verify: Task }).verify))

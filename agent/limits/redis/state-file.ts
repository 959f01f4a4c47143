import { join } from 'node:path'
import { messageOf } from '#base/errors.ts'
import { keep, readKept } from '#base/kept-file.ts'

/** What a process remembers over its restarts of the store. */
export interface KeptState {
  /** The memories that it has seen. */
  readonly epochs: Readonly<Record<string, string>>
  /** How many replicas there were; `undefined` where it never knew. */
  readonly replicas?: number | undefined
}

export interface StateFile {
  /** As it was at the start. */
  readonly state: KeptState
  /** Writes soon what is said anew; of many calls the last counts. */
  save(change: Partial<KeptState>): void
  /** Resolves when everything is written. */
  close(): Promise<void>
}

const fileName = 'quota-memory.json'
/** More than any fleet has: beyond, the file is none of ours. */
const maxReplicas = 1_000_000

/**
 * Without a folder nothing is remembered. A file that is not ours is taken for none, with a warning: it can only make a loss go
 * unnoticed and the share of a limit too large, as a first start would.
 */
export async function openStateFile(
  stateDir: string | undefined,
  warn: (text: string) => void = () => {},
): Promise<StateFile> {
  if (stateDir === undefined) return { state: nothing, save: () => {}, close: async () => {} }
  const path = join(stateDir, fileName)
  const state = await read(path, warn)
  let latest = state
  let isWritten = true
  let writing: Promise<void> | undefined

  const write = async (): Promise<void> => {
    while (!isWritten) {
      isWritten = true
      const bytes = Buffer.from(JSON.stringify(latest))
      await keep(path, bytes).catch((cause) => warn(`${path} cannot be written: ${messageOf(cause)}`))
    }
    writing = undefined
  }

  return {
    state,
    save(change) {
      latest = { ...latest, ...change }
      isWritten = false
      writing ??= write()
    },
    close: async () => writing,
  }
}

const nothing: KeptState = { epochs: {} }

async function read(path: string, warn: (text: string) => void): Promise<KeptState> {
  try {
    const kept = await readKept(path)
    if (kept === undefined) return nothing
    const value = JSON.parse(kept.bytes.toString('utf8')) as Partial<Record<keyof KeptState, unknown>> | null
    const { epochs, replicas } = value ?? {}
    if (typeof epochs !== 'object' || epochs === null) throw new Error('it holds no epochs')
    const entries = Object.entries(epochs)
    if (!entries.every(([, epoch]) => typeof epoch === 'string' && /^[0-9a-f]{1,64}$/.test(epoch)))
      throw new Error('it holds something else than epochs')
    const known = Object.fromEntries(entries)
    if (replicas === undefined) return { epochs: known }
    if (!isCount(replicas)) throw new Error('it holds something else than a number of replicas')
    return { epochs: known, replicas }
  } catch (cause) {
    warn(`${path} is not used: ${messageOf(cause)}`)
    return nothing
  }
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= maxReplicas
}

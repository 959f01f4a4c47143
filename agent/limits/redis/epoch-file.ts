import { join } from 'node:path'
import { messageOf } from '#base/errors.ts'
import { keep, readKept } from '#base/kept-file.ts'

/** What a process remembers over its restarts of the memories it has seen. */
export interface EpochFile {
  readonly epochs: Readonly<Record<string, string>>
  /** Writes soon; of many calls the last counts. */
  save(epochs: Readonly<Record<string, string>>): void
  /** Resolves when everything is written. */
  close(): Promise<void>
}

const fileName = 'quota-memory.json'

/**
 * Without a folder nothing is remembered. A file that is not ours is taken for none, with a warning: it can only make a loss go
 * unnoticed, as a first start would.
 */
export async function openEpochFile(
  stateDir: string | undefined,
  warn: (text: string) => void = () => {},
): Promise<EpochFile> {
  if (stateDir === undefined) return { epochs: {}, save: () => {}, close: async () => {} }
  const path = join(stateDir, fileName)
  let wanted: Readonly<Record<string, string>> | undefined
  let writing: Promise<void> | undefined

  const write = async (): Promise<void> => {
    while (wanted !== undefined) {
      const bytes = Buffer.from(JSON.stringify({ epochs: wanted }))
      wanted = undefined
      await keep(path, bytes).catch((cause) => warn(`${path} cannot be written: ${messageOf(cause)}`))
    }
    writing = undefined
  }

  return {
    epochs: await read(path, warn),
    save(epochs) {
      wanted = epochs
      writing ??= write()
    },
    close: async () => writing,
  }
}

async function read(path: string, warn: (text: string) => void): Promise<Readonly<Record<string, string>>> {
  try {
    const kept = await readKept(path)
    if (kept === undefined) return {}
    const value: unknown = JSON.parse(kept.bytes.toString('utf8'))
    const epochs = (value as { readonly epochs?: unknown } | null)?.epochs
    if (typeof epochs !== 'object' || epochs === null) throw new Error('it holds no epochs')
    const entries = Object.entries(epochs)
    if (!entries.every(([, epoch]) => typeof epoch === 'string' && /^[0-9a-f]{1,64}$/.test(epoch)))
      throw new Error('it holds something else than epochs')
    return Object.fromEntries(entries)
  } catch (cause) {
    warn(`${path} is not used: ${messageOf(cause)}`)
    return {}
  }
}

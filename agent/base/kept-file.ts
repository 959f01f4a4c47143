import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** What was kept for a start without its server, and when. `undefined` where nothing was kept yet. */
export async function readKept(
  path: string,
): Promise<{ readonly bytes: Buffer; readonly keptAtMs: number } | undefined> {
  try {
    const [bytes, { mtimeMs }] = await Promise.all([readFile(path), stat(path)])
    return { bytes, keptAtMs: mtimeMs }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw cause
  }
}

/** Whole or not at all: a start in the middle of it reads the one before. */
export async function keep(path: string, bytes: Buffer): Promise<void> {
  const draft = `${path}.${process.pid}.draft`
  await mkdir(dirname(path), { recursive: true })
  try {
    await writeFile(draft, bytes, { mode: 0o600 })
    await rename(draft, path)
  } catch (cause) {
    await rm(draft, { force: true })
    throw cause
  }
}

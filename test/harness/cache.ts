import { mkdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where downloads and builds are kept for every clone of this user. */
export function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  return join(base, 'sluice')
}

const staleAfterMs = 30_000

/**
 * A folder in the cache that is filled once: `fill` writes into an empty folder beside it, which then takes the name.
 * An interrupted fill leaves nothing under the name; of several processes that ask at once, one fills and the others wait.
 */
export async function cached(key: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), key)
  const lock = `${folder}.lock`
  mkdirSync(join(folder, '..'), { recursive: true })
  while (!isFolder(folder)) {
    if (!takeLock(lock)) {
      await sleep(200)
      continue
    }
    const heartbeat = setInterval(() => touch(lock), staleAfterMs / 6)
    const draft = `${folder}.draft-${process.pid}`
    try {
      if (!isFolder(folder)) {
        rmSync(draft, { recursive: true, force: true })
        mkdirSync(draft, { recursive: true })
        await fill(draft)
        renameSync(draft, folder)
      }
    } finally {
      clearInterval(heartbeat)
      rmSync(draft, { recursive: true, force: true })
      rmSync(lock, { recursive: true, force: true })
    }
  }
  return folder
}

/** True when the lock is ours now. A lock whose owner died stops being touched and is taken over. */
function takeLock(lock: string): boolean {
  try {
    mkdirSync(lock)
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown
  }
  const stats = statSync(lock, { throwIfNoEntry: false })
  if (stats !== undefined && Date.now() - stats.mtimeMs > staleAfterMs)
    rmSync(lock, { recursive: true, force: true })
  return false
}

function touch(path: string): void {
  const now = new Date()
  utimesSync(path, now, now)
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from './errors.ts'

/**
 * Calls `onChange` after a file, or any file directly in a directory, was changed, replaced, added or removed.
 *
 * It polls `stat`: Kubernetes swaps a symbolic link for a ConfigMap, editors rename, `cp` writes in pieces, and
 * inotify tells these apart differently on each platform. A change is reported once two looks in a row agree, so a
 * half-written file is rarely read (the reader still has to refuse it if it is).
 */
export function watchPath(
  path: string,
  onChange: () => void,
  { intervalMs = 200, ...look }: Look & { readonly intervalMs?: number } = {},
): Disposable {
  let reported = fingerprint(path, look)
  let last = reported
  const timer = setInterval(() => {
    const now = fingerprint(path, look)
    if (now === last && now !== reported) {
      reported = now
      onChange()
    }
    last = now
  }, intervalMs)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** What of a directory is looked at. */
export interface Look {
  /** The folders in it too. Links to folders are not followed: they may lead in a circle. */
  readonly isDeep?: boolean
  /** Which files, by name; without it all. */
  isWanted?(name: string): boolean
}

/** A text that is another one after a file was changed, or one that is looked at in a directory. */
export function fingerprint(path: string, look: Look = {}): string {
  try {
    const stats = statSync(path, { bigint: true })
    if (!stats.isDirectory()) return print(stats)
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() || look.isWanted?.(entry.name) !== false)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((entry) => {
        const at = join(path, entry.name)
        const found = look.isDeep && entry.isDirectory() ? fingerprint(at, look) : fingerprintOfEntry(at)
        return `${entry.name} ${found}`
      })
      .join('\n')
  } catch (thrown) {
    // Gone, or not to be read: a state like any other. The reader says what is wrong with it.
    return messageOf(thrown)
  }
}

function fingerprintOfEntry(path: string): string {
  try {
    return print(statSync(path, { bigint: true }))
  } catch (thrown) {
    return messageOf(thrown)
  }
}

function print(stats: { readonly ino: bigint; readonly size: bigint; readonly mtimeNs: bigint }): string {
  return `${stats.ino} ${stats.size} ${stats.mtimeNs}`
}

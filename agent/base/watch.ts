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
  {
    intervalMs = 200,
    isDeep = false,
  }: { readonly intervalMs?: number /** Also of the folders in it. */; readonly isDeep?: boolean } = {},
): Disposable {
  let reported = fingerprint(path, isDeep)
  let last = reported
  const timer = setInterval(() => {
    const now = fingerprint(path, isDeep)
    if (now === last && now !== reported) {
      reported = now
      onChange()
    }
    last = now
  }, intervalMs)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** What changes when a file does, or a file in a directory; `isDeep` for those in its folders too. */
export function fingerprint(path: string, isDeep: boolean): string {
  try {
    const stats = statSync(path, { bigint: true })
    if (!stats.isDirectory()) return print(stats)
    return readdirSync(path, { withFileTypes: true })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((entry) => {
        const at = join(path, entry.name)
        // Links to folders are not followed: they may lead in a circle.
        return `${entry.name} ${isDeep && entry.isDirectory() ? fingerprint(at, true) : fingerprintOfEntry(at)}`
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

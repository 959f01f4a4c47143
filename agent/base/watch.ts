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
  { intervalMs = 200 }: { readonly intervalMs?: number } = {},
): Disposable {
  let reported = fingerprint(path)
  let last = reported
  const timer = setInterval(() => {
    const now = fingerprint(path)
    if (now === last && now !== reported) {
      reported = now
      onChange()
    }
    last = now
  }, intervalMs)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

function fingerprint(path: string): string {
  try {
    const stats = statSync(path, { bigint: true })
    if (!stats.isDirectory()) return print(stats)
    return readdirSync(path)
      .sort()
      .map((name) => `${name} ${fingerprintOfEntry(join(path, name))}`)
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

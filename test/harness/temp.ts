import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A folder of its own with a short name (a Unix socket's path has 107 bytes), removed in the end. */
export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'sluice-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/**
 * Waits until `check` gives something other than `undefined` or `false`; what it throws counts as "not yet".
 *
 * @throws Error naming `what` and the last trouble, after `deadlineMs`.
 */
export async function eventually<T>(
  what: string,
  check: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 60_000,
): Promise<T> {
  const end = performance.now() + deadlineMs
  let trouble: unknown
  for (;;) {
    try {
      const value = await check()
      if (value !== undefined && value !== false) return value
      trouble = undefined
    } catch (thrown) {
      trouble = thrown
    }
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: trouble })
    await sleep(25)
  }
}

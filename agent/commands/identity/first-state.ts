import type { IdentitySource, IdentityState } from '#identity/source/source.ts'

/** For commands, which say themselves what went wrong. */
export const silent = { info: () => {}, warn: () => {}, error: () => {} }

/** What a source knows first; `undefined` where it knows nothing in time. */
export async function firstState(
  source: IdentitySource,
  timeoutMs: number,
): Promise<IdentityState | undefined> {
  const { promise, resolve } = Promise.withResolvers<IdentityState | undefined>()
  using _told = source.subscribe(resolve)
  // Keeps the process alive: there is nothing else to do.
  const timer = setTimeout(() => resolve(undefined), timeoutMs)
  const state = await promise
  clearTimeout(timer)
  return state
}

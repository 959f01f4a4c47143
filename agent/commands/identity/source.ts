import type { Config } from '#config/config.ts'
import { openIdentitySource } from '#identity/source/open.ts'
import type { IdentitySource, IdentityState } from '#identity/source/source.ts'

/** For commands, which say themselves what went wrong. */
const silent = { info: () => {}, warn: () => {}, error: () => {} }

/**
 * Opens the source that a configuration names, as the agent would; `undefined` where it names none.
 *
 * @throws SluiceError for a configuration that cannot be opened.
 */
export function openSource(identity: Config['identity']): Promise<IdentitySource | undefined> {
  return openIdentitySource(identity ?? {}, {
    log: silent,
    endpointSocket: process.env['SPIFFE_ENDPOINT_SOCKET'],
  })
}

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

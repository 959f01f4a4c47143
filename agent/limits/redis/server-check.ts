import { problemOf, RedisFault } from './fault.ts'

type Ask = (command: string, args: readonly string[]) => Promise<unknown>

/**
 * Whether a server that was just connected to may be used: it has loaded its data, takes writes and, where `keepsAll` is
 * wanted, throws nothing away that it was told to keep.
 *
 * @returns what forbids to use it; `warning` where the server does not let us know
 * @throws what the server said to a wrong password, and what broke the connection
 */
export async function checkServer(
  ask: Ask,
  options: { readonly keepsAll: boolean },
): Promise<{ readonly problem?: string; readonly warning?: string }> {
  const info = await askIfAllowed(ask, 'INFO', [])
  if (typeof info === 'string') {
    if (/^loading:1\r?$/m.test(info)) return { problem: problemOf('LOADING') }
    if (/^role:slave\r?$/m.test(info)) return { problem: problemOf('READONLY') }
  }
  if (!options.keepsAll) return {}
  const policy = policyInInfo(info) ?? (await policyInConfig(ask))
  if (policy === undefined)
    return {
      warning:
        'the server does not let us read maxmemory-policy; if it is not noeviction, quotas may be forgotten',
    }
  if (policy !== 'noeviction')
    return { problem: `maxmemory-policy is ${policy}: it forgets quotas; it has to be noeviction` }
  return {}
}

function policyInInfo(info: unknown): string | undefined {
  if (typeof info !== 'string') return undefined
  return /^maxmemory_policy:([a-z-]{1,40})\r?$/m.exec(info)?.[1]
}

async function policyInConfig(ask: Ask): Promise<string | undefined> {
  const pair = await askIfAllowed(ask, 'CONFIG', ['GET', 'maxmemory-policy'])
  if (!Array.isArray(pair)) return undefined
  const value: unknown = pair[1]
  return typeof value === 'string' ? value : undefined
}

/** `undefined` where the access list, or a hosted server's rules, forbid the question. */
async function askIfAllowed(ask: Ask, command: string, args: readonly string[]): Promise<unknown> {
  try {
    return await ask(command, args)
  } catch (thrown) {
    const isForbidden =
      thrown instanceof RedisFault && thrown.kind === 'reply' && /^(NOPERM|ERR unknown)/.test(thrown.message)
    if (isForbidden) return undefined
    throw thrown
  }
}

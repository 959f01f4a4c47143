import { SluiceError } from '#base/errors.ts'

export interface RedisHost {
  readonly host: string
  readonly port: number
}

/** Where a server is. */
export type RedisPlace =
  | ({ readonly kind: 'single' } & RedisHost)
  | { readonly kind: 'unix'; readonly path: string }
  /** Sentinels say which server is the primary of this name. */
  | { readonly kind: 'sentinel'; readonly sentinels: readonly RedisHost[]; readonly name: string }
  /** Some nodes of a cluster; they tell of the others. */
  | { readonly kind: 'cluster'; readonly seeds: readonly RedisHost[] }

/** Where a server is and as whom we come. */
export interface RedisAddress {
  readonly place: RedisPlace
  readonly username?: string
  readonly password?: string
  readonly db?: number
  readonly isTls: boolean
}

const defaultPort = 6379
const defaultSentinelPort = 26_379
/** Hosts that one URL may name. */
const maxHosts = 32

const shape =
  /^(rediss?)(\+sentinel|\+cluster)?:\/\/(?:([^@/?#\s]*)@)?([^@/?#\s]*)(?:\/([^/?#\s]*))?(?:\/([^/?#\s]*))?$/
const hostShape = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/

/**
 * Reads `redis://[user[:password]@]host[:port][/db]`, `redis+sentinel://[…@]host[:port],…/name[/db]`,
 * `redis+cluster://[…@]host[:port],…`, the same with `rediss` for TLS, or `unix:/path`. Nothing else that may stand in a URL
 * is taken.
 *
 * @throws SluiceError which does not show the password.
 */
export function parseRedisUrl(text: string): RedisAddress {
  const path = /^unix:(?:\/\/)?(\/[^?#\s]+)$/.exec(text)?.[1]
  if (path !== undefined) return { place: { kind: 'unix', path }, isTls: false }
  const parts = shape.exec(text)
  if (parts === null) throw fault('no such URL')
  const [, scheme, mode, login, hosts = '', first = '', second = ''] = parts
  const isSentinel = mode === '+sentinel'
  const list = hostsOf(hosts, isSentinel ? defaultSentinelPort : defaultPort)
  const db = isSentinel ? second : first
  if (!isSentinel && second !== '') throw fault('a path of two parts')
  if (!/^\d{0,5}$/.test(db)) throw fault(`the database ${db}`)
  if (mode === '+cluster' && db !== '' && db !== '0') throw fault('a database, which no cluster has')
  return {
    place: placeOf({ mode, list, name: first }),
    ...loginOf(login),
    ...(db !== '' && { db: Number(db) }),
    isTls: scheme === 'rediss',
  }
}

function placeOf(options: {
  readonly mode: string | undefined
  readonly list: readonly [RedisHost, ...RedisHost[]]
  readonly name: string
}): RedisPlace {
  const { mode, list, name } = options
  if (mode === '+cluster') return { kind: 'cluster', seeds: list }
  if (mode === '+sentinel') {
    if (!/^[A-Za-z0-9._-]{1,128}$/.test(name)) throw fault('no name of a primary after the sentinels')
    return { kind: 'sentinel', sentinels: list, name }
  }
  if (list.length > 1) throw fault('more than one host')
  return { kind: 'single', ...list[0] }
}

function hostsOf(text: string, port: number): readonly [RedisHost, ...RedisHost[]] {
  const [first, ...others] = text.split(',')
  if (others.length >= maxHosts) throw fault(`more than ${maxHosts} hosts`)
  return [hostOf(first as string, port), ...others.map((each) => hostOf(each, port))]
}

function hostOf(text: string, defaultPort: number): RedisHost {
  if (text === '') throw fault('no host')
  const [, address, name, digits] = hostShape.exec(text) ?? []
  const host = address ?? name
  const port = digits === undefined ? defaultPort : Number(digits)
  if (host === undefined || port < 1 || port > 65_535) throw fault('a host that is none')
  return { host, port }
}

function loginOf(login: string | undefined): { readonly username?: string; readonly password?: string } {
  if (login === undefined) return {}
  const colon = login.indexOf(':')
  const username = decoded(colon < 0 ? login : login.slice(0, colon))
  const password = colon < 0 ? '' : decoded(login.slice(colon + 1))
  return { ...(username !== '' && { username }), ...(password !== '' && { password }) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw fault('a user or password with half an escape')
  }
}

function fault(found: string): SluiceError {
  return new SluiceError({
    code: 'redis_url_invalid',
    place: 'the URL of Redis',
    found,
    expected:
      'redis://[user:password@]host[:port][/db], redis+sentinel://host,host/name, redis+cluster://host,host, rediss… for TLS, or unix:/path',
  })
}

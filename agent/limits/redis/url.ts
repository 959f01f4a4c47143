import { SluiceError } from '#base/errors.ts'

/** Where a server is and as whom we come. */
export interface RedisAddress {
  readonly host?: string
  readonly port?: number
  /** Of a Unix socket. */
  readonly path?: string
  readonly username?: string
  readonly password?: string
  readonly db?: number
  readonly tls?: { readonly servername?: string; readonly minVersion: 'TLSv1.2' }
}

/**
 * Reads `redis://[user[:password]@]host[:port][/db]`, the same with `rediss` for TLS, or `unix:/path`. Nothing else that
 * may stand in a URL is taken.
 *
 * @throws SluiceError which does not show the password.
 */
export function parseRedisUrl(text: string): RedisAddress {
  if (/^unix:(\/\/)?\/[^?#\s]+$/.test(text)) return { path: text.replace(/^unix:(\/\/)?/, '') }
  const fault = (found: string) =>
    new SluiceError({
      code: 'redis_url_invalid',
      place: 'the URL of Redis',
      found,
      expected: 'redis://[user:password@]host[:port][/db], rediss://… for TLS, or unix:/path',
    })
  if (!URL.canParse(text)) throw fault('no URL')
  const url = new URL(text)
  const isTls = url.protocol === 'rediss:'
  if (!isTls && url.protocol !== 'redis:') throw fault(`the scheme ${url.protocol}`)
  if (url.hostname === '') throw fault('no host')
  if (url.search !== '' || url.hash !== '') throw fault('a query or fragment')
  const db = /^\/?(\d{0,5})$/.exec(url.pathname)?.[1]
  if (db === undefined) throw fault(`the path ${url.pathname}`)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const isName = !/^[\d.]+$|:/.test(host)
  try {
    return {
      host,
      port: url.port === '' ? 6379 : Number(url.port),
      ...(url.username !== '' && { username: decodeURIComponent(url.username) }),
      ...(url.password !== '' && { password: decodeURIComponent(url.password) }),
      ...(db !== '' && { db: Number(db) }),
      ...(isTls && { tls: { ...(isName && { servername: host }), minVersion: 'TLSv1.2' as const } }),
    }
  } catch {
    throw fault('a user or password with half an escape')
  }
}

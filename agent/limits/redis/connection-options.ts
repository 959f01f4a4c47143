import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { RedisOptions } from 'ioredis'
import { freshFile } from './fresh-file.ts'
import type { RedisAddress, RedisHost } from './url.ts'

/** How we come to a server. Files are read again at each connection. */
export interface RedisCredentials {
  readonly passwordFile?: string | undefined
  readonly sentinelPasswordFile?: string | undefined
  /** PEM of who vouches for the server, where the machine does not trust it anyway. */
  readonly caFile?: string | undefined
  /** PEM of the certificate that the server is shown, and of its key. */
  readonly certificate?: string | undefined
  readonly privateKey?: string | undefined
}

/** Which server one connection goes to. */
export type ConnectionTarget =
  | ({ readonly kind: 'single' } & RedisHost)
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'sentinel'; readonly sentinels: readonly RedisHost[]; readonly name: string }

/**
 * What the client is told for one connection, made anew for each.
 *
 * @throws Error where a file cannot be read the first time
 */
export function connectionOptions(
  address: RedisAddress,
  credentials: RedisCredentials,
  connectTimeoutMs: number,
): (target: ConnectionTarget) => RedisOptions {
  const { passwordFile, sentinelPasswordFile, caFile, certificate, privateKey } = credentials
  const password = fileOr(passwordFile, address.password)
  const sentinelPassword = fileOr(sentinelPasswordFile, undefined)
  const ca = fileOr(caFile, undefined)
  const cert = fileOr(certificate, undefined)
  const key = fileOr(privateKey, undefined)

  const tlsTo = (host: string | undefined): ConnectionOptions => ({
    minVersion: 'TLSv1.2',
    ...(host !== undefined && isIP(host) === 0 && { servername: host }),
    ...(ca && { ca: ca() }),
    ...(cert && { cert: cert() }),
    ...(key && { key: key() }),
  })

  return (target) => ({
    ...placeOptions(target, connectTimeoutMs),
    ...(address.isTls && {
      tls: tlsTo(target.kind === 'single' ? target.host : undefined),
      ...(target.kind === 'sentinel' && { sentinelTLS: tlsTo(undefined), enableTLSForSentinelMode: true }),
    }),
    ...(address.username !== undefined && { username: address.username }),
    ...(password && { password: firstLine(password()) }),
    ...(sentinelPassword && { sentinelPassword: firstLine(sentinelPassword()) }),
    ...(address.db !== undefined && { db: address.db }),
    connectTimeout: connectTimeoutMs,
    lazyConnect: true,
    // What is sent late, or twice, would answer another question than the one that was asked.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // A connection is used once: the next one reads passwords and asks sentinels anew.
    retryStrategy: () => null,
    enableReadyCheck: false,
    disableClientInfo: true,
    // What has not been answered by then never is.
    disconnectTimeout: connectTimeoutMs,
  })
}

function placeOptions(target: ConnectionTarget, connectTimeoutMs: number): RedisOptions {
  switch (target.kind) {
    case 'single':
      return { host: target.host, port: target.port }
    case 'unix':
      return { path: target.path }
    case 'sentinel':
      return {
        sentinels: target.sentinels.map((each) => ({ ...each })),
        name: target.name,
        sentinelRetryStrategy: () => null,
        sentinelCommandTimeout: connectTimeoutMs,
      }
  }
}

function fileOr(path: string | undefined, text: string | undefined): (() => string) | undefined {
  if (path !== undefined) return freshFile(path)
  return text === undefined ? undefined : () => text
}

/** A password file ends with a line break more often than not. */
function firstLine(text: string): string {
  return (text.split('\n', 1)[0] as string).replace(/\r$/, '')
}

import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { messageOf } from '#base/errors.ts'
import { parseRedisUrl } from './url.ts'

export interface RedisSettings {
  /** redis://, rediss:// or unix:, see {@link parseRedisUrl}. */
  readonly url: string
  /** PEM of who vouches for a rediss:// server, where it is none of those that the machine trusts. */
  readonly caFile?: string | undefined
  /** For one command, and for each try to connect. */
  readonly timeoutMs?: number | undefined
  /** Commands that may wait for their answer at once. */
  readonly maxInFlight?: number | undefined
}

/** Keys that can be taken once, shared by everyone who uses the same server. */
export interface RedisReplayStore extends AsyncDisposable {
  /**
   * Takes a key for a time; false where it is taken already. Rejects when the server does not say which in time, and at
   * once while there is no connection: nothing waits for one.
   */
  claim(key: string, ttlMs: number): Promise<boolean>
  /** Why there is no connection now. */
  problem(): string | undefined
}

const defaultTimeoutMs = 50
const defaultMaxInFlight = 512
const minConnectTimeoutMs = 1000
const maxPauseMs = 2000
const prefix = 'sluice:once:'
/** How the client says that `commandTimeout` is over. */
const timedOut = 'Command timed out'

/**
 * Opens a connection that is made again for as long as this is open. Resolves when there is one, or when the first try
 * has failed: a server that is not there yet keeps nobody from starting.
 *
 * @throws SluiceError where the URL is none, and Error where the CA file cannot be read.
 */
export async function openReplayStore(settings: RedisSettings): Promise<RedisReplayStore> {
  const { url, caFile, timeoutMs = defaultTimeoutMs, maxInFlight = defaultMaxInFlight } = settings
  const address = parseRedisUrl(url)
  const ca = caFile === undefined ? undefined : readFileSync(caFile, 'utf8')
  // Only who uses Redis pays for it.
  const ioredis = await import('ioredis')
  let problem: string | undefined = 'not connected yet'
  const client: Redis = new ioredis.Redis({
    ...address,
    ...(address.tls && { tls: { ...address.tls, ...(ca !== undefined && { ca }) } }),
    lazyConnect: true,
    // A claim that is sent late, or twice, would answer another question than the one that was asked.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: timeoutMs,
    connectTimeout: Math.max(timeoutMs, minConnectTimeoutMs),
    retryStrategy: (tries) => Math.min(maxPauseMs, 25 * 2 ** Math.min(tries, 10)) * (0.5 + Math.random() / 2),
    // A replica that was the primary until just now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    disableClientInfo: true,
  })
  client.on('ready', () => {
    problem = undefined
  })
  client.on('error', (cause: Error) => {
    problem = messageOf(cause) || 'no connection'
  })
  client.on('close', () => {
    problem ??= 'the connection was closed'
  })
  await firstOutcome(client)

  let inFlight = 0
  return {
    async claim(key, ttlMs) {
      if (inFlight >= maxInFlight) throw new Error(`${maxInFlight} commands wait for Redis`)
      inFlight++
      try {
        return (await client.set(prefix + key, '1', 'PX', Math.max(1, Math.ceil(ttlMs)), 'NX')) === 'OK'
      } catch (cause) {
        // What a server that has stopped was asked stays in the client's queue until there is another connection.
        if (messageOf(cause) === timedOut) client.stream?.destroy()
        throw cause
      } finally {
        inFlight--
      }
    },
    problem: () => (client.status === 'ready' ? undefined : (problem ?? 'no connection')),
    async [Symbol.asyncDispose]() {
      const { stream } = client
      client.disconnect()
      // Between two connections there is none that could end.
      if (stream === undefined || stream.closed) return
      const closed = new Promise((resolve) => stream.once('close', resolve))
      stream.destroy()
      await closed
    },
  }
}

/** Resolves with the first connection, or the first failure to make one. */
async function firstOutcome(client: Redis): Promise<void> {
  try {
    await client.connect()
  } catch {
    // Told by `problem`, and tried again.
  }
}

import { openCluster } from './cluster.ts'
import { connectionOptions, type RedisCredentials } from './connection-options.ts'
import { type Argument, openNode } from './node.ts'
import { parseRedisUrl } from './url.ts'

export interface RedisSettings extends RedisCredentials {
  /** See `parseRedisUrl`. */
  readonly url: string
  /** For one command. */
  readonly timeoutMs?: number | undefined
  /** Commands that may wait for their answer at once, at one server. */
  readonly maxInFlight?: number | undefined
  readonly connectTimeoutMs?: number | undefined
}

/** A server, or many that are one. */
export interface RedisLink extends AsyncDisposable {
  /** Whether keys are spread over servers, each with a memory of its own. */
  readonly isCluster: boolean
  /** As `RedisNode.call`, at the server that has `key`. */
  call(key: string, command: string, args: readonly Argument[]): Promise<unknown>
  problem(): string | undefined
}

export interface LinkOptions {
  /** Whether a server that may throw away what it keeps is refused. */
  readonly keepsAll: boolean
  /** How often it is looked whether that has changed. */
  readonly recheckMs?: number | undefined
  readonly onTimeout?: () => void
  readonly warn?: ((text: string) => void) | undefined
}

const defaultTimeoutMs = 50
const defaultMaxInFlight = 512
const minConnectTimeoutMs = 1000

/**
 * The one door to Redis. Resolves when there is a connection, or when the first try has failed.
 *
 * @throws SluiceError where the URL is none, and Error where a file cannot be read
 */
export async function connectRedis(settings: RedisSettings, options: LinkOptions): Promise<RedisLink> {
  const { url, timeoutMs = defaultTimeoutMs, maxInFlight = defaultMaxInFlight } = settings
  const connectTimeoutMs = settings.connectTimeoutMs ?? Math.max(timeoutMs, minConnectTimeoutMs)
  const address = parseRedisUrl(url)
  const optionsFor = connectionOptions(address, settings, connectTimeoutMs)
  const common = { ...options, timeoutMs, maxInFlight, connectTimeoutMs }
  const { place } = address
  if (place.kind === 'cluster')
    return openCluster({
      seeds: place.seeds,
      open: ({ host, port }) =>
        openNode({ ...common, connection: () => optionsFor({ kind: 'single', host, port }) }),
    })
  const node = await openNode({ ...common, connection: () => optionsFor(place) })
  return {
    isCluster: false,
    call: (_key, command, args) => node.call(command, args),
    problem: () => node.problem(),
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  }
}

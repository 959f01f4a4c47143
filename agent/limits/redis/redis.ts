import { connectRedis, type RedisSettings } from './connect.ts'

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

const prefix = 'sluice:once:'

/**
 * Opens a connection that is made again for as long as this is open. Resolves when there is one, or when the first try
 * has failed: a server that is not there yet keeps nobody from starting.
 *
 * @throws SluiceError where the URL is none, and Error where a file cannot be read.
 */
export async function openReplayStore(settings: RedisSettings): Promise<RedisReplayStore> {
  const link = await connectRedis(settings, { keepsAll: false })
  return {
    async claim(key, ttlMs) {
      const name = prefix + key
      const life = Math.max(1, Math.ceil(ttlMs))
      return (await link.call(name, 'SET', [name, '1', 'PX', life, 'NX'])) === 'OK'
    },
    problem: () => link.problem(),
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  }
}

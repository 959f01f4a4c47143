import { type Clock, systemClock } from '#base/clock.ts'

/** Remembers what may be used once. */
export interface ReplayStore {
  /**
   * Takes a key for a time; false where it is taken already.
   *
   * @throws where it cannot be told, also as a rejection. Then nothing may go on.
   */
  claim(key: string, ttlMs: number): boolean | Promise<boolean>
}

const defaultMaxKeys = 100_000

/**
 * The memory of this process alone: what was used at one replica can be used once at each other. Full of keys that are
 * still needed, it takes no more.
 */
export function createMemoryReplayStore(
  options: { readonly maxKeys?: number; readonly clock?: Clock } = {},
): ReplayStore {
  const { maxKeys = defaultMaxKeys, clock = systemClock } = options
  // In the order in which they came; that is nearly the order in which they end.
  const ends = new Map<string, number>()

  function forgetEnded(nowMs: number): void {
    for (const [key, endMs] of ends) {
      if (endMs > nowMs) return
      ends.delete(key)
    }
  }

  return {
    claim(key, ttlMs) {
      const nowMs = clock.nowMs()
      forgetEnded(nowMs)
      const endMs = ends.get(key)
      if (endMs !== undefined && endMs > nowMs) return false
      ends.delete(key)
      if (ends.size >= maxKeys)
        throw new Error(`${maxKeys} proofs of possession are remembered, and no more can be`)
      ends.set(key, nowMs + ttlMs)
      return true
    },
  }
}

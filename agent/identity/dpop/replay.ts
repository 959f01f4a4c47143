import { type Clock, systemClock } from '#base/clock.ts'

/** Remembers what may be used once. */
export interface ReplayStore {
  /**
   * Takes a key for a time; false where it is taken already. `peer` is who sent it.
   *
   * @throws where it cannot be told, also as a rejection. Then nothing may go on.
   */
  claim(key: string, ttlMs: number, peer: string): boolean | Promise<boolean>
}

interface Taken {
  readonly endMs: number
  readonly peer: string
}

const defaultMaxKeys = 100_000
/** Beyond this share of all keys none are taken from a peer that has many. */
const openShare = 3 / 4
const manyShare = 1 / 16

/**
 * The memory of this process alone: what was used at one replica can be used once at each other. Full of keys that are
 * still needed, it takes no more; the last quarter is for peers that have few in it, so that none can fill it alone.
 */
export function createMemoryReplayStore(
  options: { readonly maxKeys?: number; readonly clock?: Clock } = {},
): ReplayStore {
  const { maxKeys = defaultMaxKeys, clock = systemClock } = options
  // In the order in which they came; that is nearly the order in which they end.
  const taken = new Map<string, Taken>()
  const counts = new Map<string, number>()

  function forget(key: string, { peer }: Taken): void {
    taken.delete(key)
    const left = (counts.get(peer) ?? 1) - 1
    if (left === 0) counts.delete(peer)
    else counts.set(peer, left)
  }

  function forgetEnded(nowMs: number): void {
    for (const [key, each] of taken) {
      if (each.endMs > nowMs) return
      forget(key, each)
    }
  }

  return {
    claim(key, ttlMs, peer) {
      const nowMs = clock.nowMs()
      forgetEnded(nowMs)
      const before = taken.get(key)
      if (before !== undefined) {
        if (before.endMs > nowMs) return false
        forget(key, before)
      }
      const own = counts.get(peer) ?? 0
      const isOpen = taken.size < maxKeys * openShare || own < maxKeys * manyShare
      if (taken.size >= maxKeys || !isOpen)
        throw new Error(`${taken.size} proofs of possession are remembered, and no more can be of this peer`)
      taken.set(key, { endMs: nowMs + ttlMs, peer })
      counts.set(peer, own + 1)
      return true
    },
  }
}

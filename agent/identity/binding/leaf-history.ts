import { LRUCache } from 'lru-cache'
import { type Clock, systemClock } from '#base/clock.ts'
import type { Peer } from '#decision/exchange.ts'

/** Remembers which certificates a workload has shown lately. */
export interface LeafHistory {
  /** The workload shows this certificate now; it was checked. */
  seen(peer: Peer): void
  /** Whether the same SPIFFE ID showed a certificate with this digest within the grace. */
  isRecent(peer: Peer, sha256: string): boolean
}

/** Workloads, and certificates of one of them: it may have several replicas, each with a leaf of its own. */
const maxWorkloads = 10_000
const maxLeaves = 64

interface Shown {
  shownAtMs: number
  readonly notAfterMs: number
}

/**
 * Workloads change their certificate every half hour, and a token that is bound to the one before would die with it. For
 * the grace it is taken still, from the same SPIFFE ID, as long as that certificate has not expired. The memory is this
 * process's own: after a restart there is no grace.
 */
export function createLeafHistory(options: {
  readonly graceSeconds: number
  readonly clock?: Clock
}): LeafHistory {
  const { graceSeconds, clock = systemClock } = options
  const graceMs = graceSeconds * 1000
  const workloads = new LRUCache<string, Map<string, Shown>>({ max: maxWorkloads })
  return {
    seen({ spiffeId, certificateSha256, notAfterMs }) {
      let leaves = workloads.get(spiffeId)
      if (leaves === undefined) {
        leaves = new Map()
        workloads.set(spiffeId, leaves)
      }
      const nowMs = clock.nowMs()
      const known = leaves.get(certificateSha256)
      if (known !== undefined) {
        known.shownAtMs = nowMs
        return
      }
      if (leaves.size >= maxLeaves) forget(leaves, nowMs - graceMs)
      leaves.set(certificateSha256, { shownAtMs: nowMs, notAfterMs })
    },
    isRecent({ spiffeId }, sha256) {
      const shown = workloads.get(spiffeId)?.get(sha256)
      const nowMs = clock.nowMs()
      return shown !== undefined && nowMs - shown.shownAtMs <= graceMs && nowMs < shown.notAfterMs
    },
  }
}

/** Makes room: what is older than the grace, and if that is nothing the one that was shown longest ago. */
function forget(leaves: Map<string, Shown>, beforeMs: number): void {
  let oldest: string | undefined
  let oldestMs = Number.POSITIVE_INFINITY
  for (const [sha256, { shownAtMs }] of leaves) {
    if (shownAtMs < beforeMs) leaves.delete(sha256)
    else if (shownAtMs < oldestMs) {
      oldest = sha256
      oldestMs = shownAtMs
    }
  }
  if (leaves.size >= maxLeaves && oldest !== undefined) leaves.delete(oldest)
}

import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from '#base/clock.ts'
import { createGuardedStore } from './guard/guard.ts'
import { createLeasedStore } from './lease/lease.ts'
import { openRedisStore } from './redis/store.ts'
import { createMemoryStore } from './store/memory.ts'
import type { QuotaStore } from './store/store.ts'

/** As `limits` in the configuration file. */
export interface QuotaStoreSettings {
  /** `memory`, or the URL of a Redis or Valkey. */
  readonly store: string
  readonly redis?: {
    readonly passwordFile?: string | undefined
    readonly sentinelPasswordFile?: string | undefined
    readonly caFile?: string | undefined
    readonly certificate?: string | undefined
    readonly privateKey?: string | undefined
    readonly timeoutMs?: number
    readonly maxInFlight?: number
    readonly keyPrefix?: string
  }
  readonly replica?: string | undefined
  readonly stateDir?: string | undefined
  readonly leaseMs?: number
}

export interface QuotaStoreOptions {
  readonly clock?: Clock
  /** Told what a person should know that is no failure. */
  readonly warn?: (text: string) => void
  /** Told why the store is given up for the time being, and `undefined` when it answers again. */
  readonly onChange?: (problem: string | undefined) => void
  /** How long what runs at a replica is counted after its last sign; only tests have another than the usual. */
  readonly slotLifeMs?: number
}

const defaultLeaseMs = 500

/**
 * Opens the store that the configuration names. One that is shared gets leases around a guard around itself: the guard sees
 * what the store really answers, leases are settled through its queue, and what was drawn is still good while the store is
 * away. At the end leases are given back, then what waits is delivered, then the connection is closed.
 *
 * @throws SluiceError where the URL is none, and Error where a file cannot be read
 */
export async function openQuotaStore(
  settings: QuotaStoreSettings,
  options: QuotaStoreOptions = {},
): Promise<QuotaStore> {
  const { clock = systemClock, warn, onChange, slotLifeMs } = options
  if (settings.store === 'memory') return createMemoryStore({ clock })
  const { redis = {}, replica, stateDir, leaseMs = defaultLeaseMs } = settings
  const store = await openRedisStore({
    ...redis,
    url: settings.store,
    // Who starts again under its name is another one: what ran at the one that was killed runs no more.
    replica: replica === undefined ? undefined : `${replica}.${randomBytes(6).toString('hex')}`,
    stateDir,
    slotLifeMs,
    clock,
    ...(warn && { warn }),
  })
  const local = createMemoryStore({ clock })
  const guarded = createGuardedStore(store, { clock, local, ...(onChange && { onChange }) })
  return createLeasedStore(guarded, { clock, leaseMs })
}

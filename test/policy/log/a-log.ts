import { gunzipSync } from 'node:zlib'
import type { DecisionLogConfig, LogService, openDecisionLog } from '#policy/log/log.ts'
import type { Event } from './decisions.ts'

export type UploadConfig = NonNullable<DecisionLogConfig['upload']>

/** A complete configuration of a log that goes to `service`; change one thing. */
export function validLogConfig(
  service: LogService,
  change: Partial<UploadConfig> = {},
  more: Partial<DecisionLogConfig> = {},
): DecisionLogConfig {
  return {
    mask: 'system/log/mask',
    drop: 'system/log/drop',
    isNdBuiltinCacheWanted: true,
    requestHeaders: [],
    upload: {
      service,
      path: 'logs',
      limit: { kind: 'size', bytes: undefined },
      uploadLimitBytes: 32_768,
      minDelayMs: 1000,
      maxDelayMs: 1000,
      trigger: 'periodic',
      ...change,
    },
    ...more,
  }
}

export const labels = { id: 'i', version: '0.1.0' }

export type LogOptions = Parameters<typeof openDecisionLog>[0]

/** Time that passes when the test says so. */
export function virtualTime() {
  let nowMs = 1_790_000_000_000
  const sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>()
  return {
    clock: { nowMs: () => nowMs, monotonicUs: () => nowMs * 1000 },
    sleep: (ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        if (signal.aborted) return resolve()
        const sleeper = { atMs: nowMs + ms, wake: () => wake() }
        const wake = () => {
          sleepers.delete(sleeper)
          resolve()
        }
        sleepers.add(sleeper)
        signal.addEventListener('abort', wake, { once: true })
      }),
    advance: (ms: number) => {
      nowMs += ms
      for (const sleeper of sleepers) if (sleeper.atMs <= nowMs) sleeper.wake()
    },
    /** How long the sleepers have yet to sleep. */
    pending: () => [...sleepers].map(({ atMs }) => atMs - nowMs),
  }
}

export function eventsOf(body: Buffer): Event[] {
  return JSON.parse(gunzipSync(body).toString())
}

/** What a tombstone tells; `undefined` for a decision. */
export function lossOf(event: Event): { readonly lost: number; readonly reasons: Event } | undefined {
  const { sluice } = (event['custom'] ?? {}) as { readonly sluice?: { readonly kind?: string } }
  return sluice?.kind === 'tombstone' ? (sluice as unknown as { lost: number; reasons: Event }) : undefined
}

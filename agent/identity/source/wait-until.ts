import type { Clock } from '#base/clock.ts'
import type { pause } from '#base/pause.ts'

/** Where time comes from and how one waits for it. */
export interface Timing {
  readonly clock: Clock
  readonly pause: typeof pause
}

/** A machine that slept has late timers; the wall clock is looked at this often. */
const lookEveryMs = 30_000

/**
 * Resolves when it is that late by the wall clock, or as soon as the signal says so.
 *
 * @param sinceMs for what is of no use before that time: also resolves when the clock was set back to before it.
 */
export async function waitUntil(
  atMs: number,
  timing: Timing,
  signal: AbortSignal,
  sinceMs = Number.NEGATIVE_INFINITY,
): Promise<void> {
  while (!signal.aborted) {
    const nowMs = timing.clock.nowMs()
    const leftMs = atMs - nowMs
    if (leftMs <= 0 || nowMs < sinceMs) return
    await timing.pause(Math.min(leftMs, lookEveryMs), signal)
  }
}

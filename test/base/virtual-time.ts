import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '#base/clock.ts'

interface Pause {
  readonly atMs: number
  readonly end: () => void
}

/** Time that passes only when told, for whoever waits by `pause`. */
export interface VirtualTime {
  readonly clock: Clock
  pause(ms: number, signal: AbortSignal): Promise<void>
  /** Lets time pass, stopping wherever somebody waits until, so that each wakes at their own time. */
  advance(ms: number): Promise<void>
  /** Sets the wall clock forward or back; no time passes. */
  step(ms: number): void
  /** How long each pause was that anybody asked for, in order. */
  readonly asked: readonly number[]
}

/** Callbacks of sockets and promises that what just happened may set off. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await turn()
}

export function virtualTime(startMs = 1_700_000_000_000): VirtualTime {
  let nowMs = startMs
  let stepMs = 0
  const pauses = new Set<Pause>()
  const asked: number[] = []
  return {
    clock: { nowMs: () => nowMs + stepMs, monotonicUs: () => nowMs * 1000 },
    asked,
    step: (ms) => {
      stepMs += ms
    },
    pause: (ms, signal) => {
      asked.push(ms)
      const { promise, resolve } = Promise.withResolvers<void>()
      const end = () => {
        pauses.delete(pause)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const pause = { atMs: nowMs + ms, end }
      pauses.add(pause)
      if (signal.aborted) end()
      else signal.addEventListener('abort', end, { once: true })
      return promise
    },
    advance: async (ms) => {
      const untilMs = nowMs + ms
      for (;;) {
        await settle()
        const [next] = [...pauses].sort((one, other) => one.atMs - other.atMs)
        if (next === undefined || next.atMs > untilMs) break
        nowMs = next.atMs
        next.end()
      }
      nowMs = untilMs
    },
  }
}

import type { Clock } from '#base/clock.ts'
import type { After } from '#base/timers.ts'

/** Time that stands until it is moved; timers run when it passes them, in order. */
export interface VirtualTime {
  readonly clock: Clock
  readonly after: After
  /** Moves on, and lets what hangs on promises happen after each timer. */
  advance(ms: number): Promise<void>
}

const epochMs = 1_800_000_000_000

export function virtualTime(): VirtualTime {
  let us = 0
  let made = 0
  const timers = new Map<number, { readonly atUs: number; readonly work: () => void }>()
  const next = (untilUs: number) => {
    let found: number | undefined
    for (const [id, { atUs }] of timers) {
      if (atUs > untilUs) continue
      if (found === undefined || atUs < (timers.get(found)?.atUs ?? 0)) found = id
    }
    return found
  }
  return {
    clock: { monotonicUs: () => us, nowMs: () => epochMs + us / 1000 },
    after(ms, work) {
      const id = made++
      timers.set(id, { atUs: us + ms * 1000, work })
      return () => timers.delete(id)
    },
    async advance(ms) {
      const untilUs = us + ms * 1000
      await settled()
      for (let id = next(untilUs); id !== undefined; id = next(untilUs)) {
        const timer = timers.get(id)
        timers.delete(id)
        us = Math.max(us, timer?.atUs ?? us)
        timer?.work()
        await settled()
      }
      us = untilUs
      await settled()
    },
  }
}

/** Lets everything happen that waits for nothing but promises. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

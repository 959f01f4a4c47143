import { AdaptiveLimit, type LimitSettings } from '#limits/overload/adaptive-limit.ts'
import { Random } from '../../harness/random.ts'

export interface World extends LimitSettings {
  /** Calls that are computed at once. */
  readonly servers: number
  /** What each takes. */
  readonly serviceMs: number
  /** Calls that come, as a multiple of what can be computed. */
  readonly load: number
  readonly periodMs: number
  readonly periods: number
  readonly seed: number
}

export interface Course {
  /** The limit after each period. */
  readonly limits: readonly number[]
  /** Of the second half: calls done, as a share of what can be done. */
  readonly throughput: number
  /** Of the second half: mean wait in the server's queue. */
  readonly queueMs: number
}

interface Arrived {
  readonly startedMs: number
  readonly endsMs: number
}

/**
 * Poisson arrivals at servers that take the same time for each call, first come, first served, behind a limit that learns
 * once a period (M/D/c with an outer queue without end).
 */
export function simulate(world: World): Course {
  const { servers, serviceMs, load, periodMs, periods } = world
  const limit = new AdaptiveLimit(world)
  const random = new Random(world.seed)
  const meanGapMs = serviceMs / servers / load
  const limits: number[] = []
  // When each server is free again; calls in the model server, oldest first.
  const free = new Array<number>(servers).fill(0)
  let inside: Arrived[] = []
  let outside = 0
  let nextMs = 0
  let [most, done, waitedMs] = [0, 0, 0]
  const second = { done: 0, waitedMs: 0 }
  let [periodDone, periodWaitedMs] = [0, 0]
  const enter = (nowMs: number) => {
    while (outside > 0 && inside.length < limit.calls) {
      outside--
      let first = 0
      for (let i = 1; i < servers; i++) if ((free[i] as number) < (free[first] as number)) first = i
      const beginsMs = Math.max(nowMs, free[first] as number)
      free[first] = beginsMs + serviceMs
      inside.push({ startedMs: nowMs, endsMs: beginsMs + serviceMs })
      most = Math.max(most, inside.length)
    }
  }
  for (let period = 1; period <= periods; period++) {
    const untilMs = period * periodMs
    for (;;) {
      // The same service for all: who came first ends first.
      const endsMs = inside[0]?.endsMs ?? Number.POSITIVE_INFINITY
      const nowMs = Math.min(endsMs, nextMs)
      if (nowMs > untilMs) break
      if (endsMs <= nextMs) {
        const [{ startedMs }, ...others] = inside as [Arrived, ...Arrived[]]
        inside = others
        periodDone++
        periodWaitedMs += endsMs - startedMs - serviceMs
      } else {
        outside = Math.min(outside + 1, 100_000)
        nextMs += -Math.log((1 + random.below(2 ** 32)) / 2 ** 32) * meanGapMs
      }
      enter(nowMs)
    }
    if (periodDone > 0) {
      const sample = { completed: periodDone, queueMs: periodWaitedMs / periodDone, serviceMs }
      limit.learn(sample, most, untilMs * 1000)
    }
    done += periodDone
    waitedMs += periodWaitedMs
    if (period === Math.floor(periods / 2)) [second.done, second.waitedMs] = [done, waitedMs]
    ;[periodDone, periodWaitedMs, most] = [0, 0, inside.length]
    limits.push(limit.calls)
    enter(untilMs)
  }
  const halfMs = (periods - Math.floor(periods / 2)) * periodMs
  const halfDone = done - second.done
  return {
    limits,
    throughput: (halfDone * serviceMs) / servers / halfMs,
    queueMs: (waitedMs - second.waitedMs) / halfDone,
  }
}

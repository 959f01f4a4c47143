import type { Clock } from '#base/clock.ts'

/** So many a second, as many at once, and never more. */
export interface Budget {
  /** Whether one more may be done now; then it counts. */
  take(): boolean
}

export function createBudget(perSecond: number, clock: Clock): Budget {
  let left = perSecond
  let atUs = clock.monotonicUs()
  return {
    take: () => {
      const nowUs = clock.monotonicUs()
      left = Math.min(perSecond, left + ((nowUs - atUs) / 1e6) * perSecond)
      atUs = nowUs
      if (left < 1) return false
      left--
      return true
    },
  }
}

import type { Calendar } from '../store/store.ts'
import { type Unit, unitSeconds } from './types.ts'

/** Windows of one length, one after the other since the epoch. */
export interface FixedWindows extends Calendar {
  readonly lengthMs: number
}

/** A window that would be longer than doubles count milliseconds is the longest that they do. */
const longestMs = 2 ** 52

const single = new Map<Unit, FixedWindows>()

/** The windows of `multiplier` units; a unit alone always gives the same object. */
export function fixedWindows(unit: Unit, multiplier: number): FixedWindows {
  const known = multiplier === 1 ? single.get(unit) : undefined
  if (known !== undefined) return known
  const lengthMs = Math.min(unitSeconds[unit] * multiplier * 1000, longestMs)
  const windows: FixedWindows = {
    lengthMs,
    spanAt: (atMs) => {
      const startMs = Math.floor(atMs / lengthMs) * lengthMs
      return { startMs, endMs: startMs + lengthMs }
    },
  }
  if (multiplier === 1) single.set(unit, windows)
  return windows
}

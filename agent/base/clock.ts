/** Where time comes from. Passed in, so that no test waits for it to pass. */
export interface Clock {
  /** Wall time, milliseconds since the epoch. */
  nowMs(): number
  /** Microseconds from an arbitrary start; never goes back. */
  monotonicUs(): number
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicUs: () => performance.now() * 1000,
}

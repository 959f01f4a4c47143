import type { CounterKey, CounterRule } from './store.ts'

/** The time of one operation. */
export interface Instant {
  /** Whole microseconds; never goes back. */
  readonly monotonicUs: number
  /** May be set forward and back. */
  readonly wallMs: number
}

/** What one hold has taken from one counter. */
export interface Part {
  counter: Counter
  /** Units that were asked for, all told. */
  reserved: number
  /** What may come back: weight for `gcra`, units else. */
  left: number
  /** When, or in which slice or span, that was taken. */
  at: number
  /** What `left` and `at` are measured in: the weight of a unit, the length of a slice. */
  scale: number
  /** For `sliding`: what was taken in slices before, as pairs of slice and units. */
  readonly earlier: number[]
}

/** One counter. Its kind is that of the rules it is asked by. */
export interface Counter {
  readonly kind: CounterRule['kind']
  /** Where it is kept, a place below 0 if it is not, and whether people forgot what was on it: set by the table of counters. */
  key: CounterKey | undefined
  place: number
  isReset: boolean

  /** How long until a cost passes, 0 where it passes, Infinity where it never will. A cost of 0 needs what 1 needs. */
  waitUs(rule: CounterRule, cost: number, now: Instant): number
  remaining(rule: CounterRule, now: Instant): number
  /** How long until it says the same as a new one. */
  resetUs(rule: CounterRule, now: Instant): number
  /** Takes units, whether they pass or not, as a part of a hold that has none, or more for the part it has. */
  take(rule: CounterRule, cost: number, now: Instant, part: Part | undefined): Part
  /** Puts units of a part back where they were taken, as far as they still count there. */
  giveBack(units: number, part: Part, now: Instant): void
  /** Charges units to the present; beyond the limit at most as many as the cap says. */
  owe(rule: CounterRule, units: number, debtCap: number, now: Instant): void
  /** What is held with a part runs no more. */
  end(part: Part): void
  /** Takes units from what was used, or adds them where negative. */
  adjust(rule: CounterRule, back: number, now: Instant): void
  /** Whether it says the same as a new one. */
  isIdle(now: Instant): boolean
}

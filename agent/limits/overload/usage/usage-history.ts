export interface UsageSettings {
  readonly intervalSeconds: number
  readonly warmUpIntervals: number
  readonly falseAlarmIntervals: number
  readonly atLeast: number
}

/** `beyond`: unusual, and more within this interval than would be usual at most. */
export type Usage = 'usual' | 'unusual' | 'beyond'

const hours = 24
/** Samples after which old ones begin to fade. */
const memory = 200
/** Samples after which one that stands out no longer teaches all it says. */
const firstSamples = 20
/** The least spread of the logarithm that is believed: a fifth more or less is nothing. */
const leastSpread = 0.2
/** From the mean absolute deviation to the standard deviation of a normal distribution, and a quarter for what it is an estimate. */
const spreadOfDeviation = Math.sqrt(Math.PI / 2) * 1.25
/** Spreads above the mean that are usual at most. */
const usualSpreads = 3
/** No logarithm of a number is larger. */
const maxLevel = 1000
/** What of each interval's excess, in spreads, counts for nothing. */
const slack = 1

/**
 * What one tenant uses, and whether it still does as it used to. For each hour of the day the mean and spread of the logarithm
 * of what was used in an interval with any use; over those a one-sided cumulative sum of how far above the mean each interval
 * is: `S := max(0, S + z - 1)`, unusual once S is above h, usual again once it is 0.
 *
 * For logarithms that are independent and normal the mean number of intervals between false alarms is `(e^2b - 2b - 1) / 2` with
 * `b = h + 1.166`, from which h is found; one that is tenfold the usual at a spread of 0.5 is found in the second interval.
 * A new level that stays becomes the usual one in the course of weeks.
 *
 * @see Page: Continuous inspection schemes (1954); Siegmund: Sequential Analysis (1985), for the mean time
 */
export class UsageHistory {
  readonly #settings: UsageSettings
  readonly #threshold: number
  readonly #means = new Float64Array(hours)
  readonly #deviations = new Float64Array(hours)
  readonly #counts = new Uint32Array(hours)
  /** The interval that runs, counted since the epoch. */
  #interval: number
  #used = 0
  #sum = 0
  #isUnusual = false
  /** What must be used in this interval to become unusual; what is usual at most. */
  #alarmAt = Number.POSITIVE_INFINITY
  #usualAtMost = Number.POSITIVE_INFINITY

  constructor(settings: UsageSettings, nowMs: number) {
    this.#settings = settings
    this.#threshold = thresholdFor(settings.falseAlarmIntervals)
    this.#interval = this.#intervalAt(nowMs)
    this.#begin()
  }

  get interval(): number {
    return this.#interval
  }

  /** Counts what is asked for, granted or not, and says what to think of it. */
  take(cost: number, nowMs: number): Usage {
    this.#advance(nowMs)
    this.#used += cost
    if (!this.#isUnusual && this.#used > this.#alarmAt) this.#isUnusual = true
    if (!this.#isUnusual) return 'usual'
    return this.#used > this.#usualAtMost ? 'beyond' : 'unusual'
  }

  isUnusual(nowMs: number): boolean {
    this.#advance(nowMs)
    return this.#isUnusual
  }

  /** When the next interval begins. */
  secondsLeft(nowMs: number): number {
    const { intervalSeconds } = this.#settings
    return Math.max(1, Math.ceil((this.#interval + 1) * intervalSeconds - nowMs / 1000))
  }

  #intervalAt(nowMs: number): number {
    return Math.floor(nowMs / 1000 / this.#settings.intervalSeconds)
  }

  #hour(): number {
    return Math.floor((this.#interval * this.#settings.intervalSeconds) / 3600) % hours
  }

  /** Closes intervals that are over. A clock that was set back stands still. */
  #advance(nowMs: number): void {
    const interval = this.#intervalAt(nowMs)
    if (interval <= this.#interval) return
    const idle = interval - this.#interval - (this.#used > 0 ? 1 : 0)
    if (this.#used > 0) this.#close(Math.log1p(this.#used))
    this.#sum = Math.max(0, this.#sum - idle * slack)
    if (this.#sum === 0) this.#isUnusual = false
    this.#interval = interval
    this.#used = 0
    this.#begin()
  }

  #close(level: number): void {
    const hour = this.#hour()
    const mean = this.#means[hour] as number
    const spread = this.#spread(hour)
    if (this.#isWarm(hour)) {
      const excess = this.#used < this.#settings.atLeast ? 0 : (level - mean) / spread
      this.#sum = Math.min(2 * this.#threshold, Math.max(0, this.#sum + excess - slack))
      if (this.#sum > this.#threshold) this.#isUnusual = true
    } else {
      this.#sum = 0
    }
    this.#learn(hour, level - mean, spread)
  }

  /** What stands out teaches less than it says, and while it is unusual next to nothing. */
  #learn(hour: number, away: number, spread: number): void {
    const count = Math.min(memory, (this.#counts[hour] as number) + 1)
    const furthest = this.#isUnusual ? spread : count > firstSamples ? usualSpreads * spread : maxLevel
    const bounded = Math.max(-furthest, Math.min(furthest, away))
    // The first sample is the mean; from the second on there is something to deviate from.
    if (count > 1 && !this.#isUnusual) {
      const before = this.#deviations[hour] as number
      this.#deviations[hour] = before + (Math.abs(bounded) - before) / (count - 1)
    }
    this.#means[hour] = (this.#means[hour] as number) + bounded / count
    // Beyond what is remembered only whether it is warm counts on.
    this.#counts[hour] = (this.#counts[hour] as number) + 1
  }

  /** What this interval has to stay below. */
  #begin(): void {
    const hour = this.#hour()
    if (!this.#isWarm(hour)) {
      this.#alarmAt = Number.POSITIVE_INFINITY
      this.#usualAtMost = Number.POSITIVE_INFINITY
      return
    }
    const { atLeast } = this.#settings
    const usedAt = (spreads: number) =>
      Math.max(atLeast, Math.expm1((this.#means[hour] as number) + spreads * this.#spread(hour)))
    this.#alarmAt = usedAt(this.#threshold + slack - this.#sum)
    this.#usualAtMost = usedAt(usualSpreads)
  }

  #isWarm(hour: number): boolean {
    return (this.#counts[hour] as number) >= this.#settings.warmUpIntervals
  }

  #spread(hour: number): number {
    return Math.max(leastSpread, (this.#deviations[hour] as number) * spreadOfDeviation)
  }
}

/** The h at which usual usage is taken for unusual once in so many intervals. */
export function thresholdFor(falseAlarmIntervals: number): number {
  let [low, high] = [0, 30]
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2
    const b = middle + 1.166
    if ((Math.exp(2 * b) - 2 * b - 1) / 2 < falseAlarmIntervals) low = middle
    else high = middle
  }
  return high
}

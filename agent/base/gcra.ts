/**
 * A rate in whole numbers, so that no rounding ever lets one request too many through: a request weighs `weight`, and
 * `drain` of that weight leaves with every tick.
 */
export interface Rate {
  readonly tickUs: number
  readonly weight: number
  readonly drain: number
  /** What may have gathered at once: `burst * weight`. */
  readonly capacity: number
}

/** What has gathered, and when that was looked at. Starts as `{ level: 0, tick: 0 }`. */
export interface Bucket {
  level: number
  tick: number
}

/** Up to this window time is counted in microseconds, above in milliseconds: keeps every product below 2^53. */
const fineWindowMs = 60_000

/** @param options the ranges of the QuotaPolicy schema: window at most a day, rate and burst at most 10^8 */
export function rateOf(options: {
  readonly rate: number
  readonly windowMs: number
  readonly burst: number
}): Rate {
  const { rate, windowMs, burst } = options
  const tickUs = windowMs <= fineWindowMs ? 1 : 1000
  const windowTicks = (windowMs * 1000) / tickUs
  const divisor = greatestCommonDivisor(rate, windowTicks)
  const weight = windowTicks / divisor
  return { tickUs, weight, drain: rate / divisor, capacity: burst * weight }
}

/**
 * The generic cell rate algorithm, as a leaky bucket: how long a request has to wait, 0 when it conforms. In any span of
 * time at most `burst + span * rate / window` requests conform.
 *
 * @param nowUs monotonic
 * @see ITU-T I.371, annex A: the continuous-state leaky bucket
 */
export function waitUs(bucket: Bucket, rate: Rate, nowUs: number): number {
  const excess = levelAt(bucket, rate, nowUs) + rate.weight - rate.capacity
  return excess <= 0 ? 0 : Math.ceil(excess / rate.drain) * rate.tickUs
}

/** Puts one request in. */
export function charge(bucket: Bucket, rate: Rate, nowUs: number): void {
  bucket.level = levelAt(bucket, rate, nowUs) + rate.weight
  bucket.tick = tickOf(rate, nowUs)
}

/**
 * Takes one request out that was put in at `chargedAtUs`. Only what cannot have drained since comes back: more would be
 * taken from the requests after it, and let one too many through.
 */
export function refund(bucket: Bucket, rate: Rate, chargedAtUs: number, nowUs: number): void {
  const elapsed = tickOf(rate, nowUs) - tickOf(rate, chargedAtUs)
  const left = Math.max(0, rate.weight - elapsed * rate.drain)
  bucket.level = Math.max(0, levelAt(bucket, rate, nowUs) - left)
  bucket.tick = tickOf(rate, nowUs)
}

/** Whether the bucket says the same as a new one. */
export function isEmpty(bucket: Bucket, rate: Rate, nowUs: number): boolean {
  return levelAt(bucket, rate, nowUs) === 0
}

function levelAt(bucket: Bucket, rate: Rate, nowUs: number): number {
  const elapsed = Math.max(0, tickOf(rate, nowUs) - bucket.tick)
  return Math.max(0, bucket.level - elapsed * rate.drain)
}

function tickOf(rate: Rate, nowUs: number): number {
  return Math.floor(nowUs / rate.tickUs)
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

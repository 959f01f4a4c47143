import { largestBelow } from './fraction.ts'

/**
 * A rate in whole numbers, so that no rounding ever lets one request too many through: a unit weighs `weight`, and
 * `drain` of that weight leaves with every tick.
 */
export interface Rate {
  readonly tickUs: number
  readonly weight: number
  readonly drain: number
  /** What may have gathered at once: `burst * weight`. */
  readonly capacity: number
}

/**
 * What has gathered, and up to when that has been drained: by whole ticks from the moment the first of it came, so that
 * never more has left than time has passed. Starts as `{ level: 0, atUs: 0 }`.
 */
export interface Bucket {
  level: number
  atUs: number
}

/** Units per window, and how many may come at once. All are whole and positive. */
export interface RateOptions {
  readonly rate: number
  readonly windowMs: number
  readonly burst: number
}

/** Nothing gathers beyond this, debts included: adding what may come at once to it is still exact. */
export const maxLevel = 2 ** 52
/** Where a rate has to be rounded, what may come at once is no more than this, so that debts of three times as much fit. */
const maxRoundedCapacity = 2 ** 50
/** A rate that is rounded is less than what was asked for by at most one part in this many. */
const precision = 1_000_000

/**
 * A rate that counts what was asked for, never more. It is exact where `burst` times the weight of a unit is at most 2^52
 * for ticks of a microsecond; elsewhere it is the next lower fraction of small enough numbers, less by at most one
 * millionth. Ticks may be coarser then, up to a millionth of the window: grants come late by at most a tick, never early.
 * Every rate with a burst of at most 50 times the rate and 2^52, and a window from 1 ms to 400 days can be counted.
 *
 * @returns `undefined` where no such numbers exist: the burst takes too many windows to drain
 */
export function rateOf({ rate, windowMs, burst }: RateOptions): Rate | undefined {
  const windowUs = windowMs * 1000
  const divisor = greatestCommonDivisor(rate, windowUs)
  const weight = windowUs / divisor
  if (burst * weight <= maxLevel)
    return { tickUs: 1, weight, drain: rate / divisor, capacity: burst * weight }
  if (burst > maxLevel) return undefined
  for (let tickUs = 1; tickUs === 1 || tickUs * precision <= windowUs; tickUs *= 10) {
    const rounded = roundedRate({ rate, windowUs, burst, tickUs })
    if (rounded !== undefined) return rounded
  }
  return undefined
}

/**
 * The same for numbers that the program or its configuration bounds: rate and burst at most 10^8, a window of at most a
 * minute.
 *
 * @throws RangeError where it cannot be counted
 */
export function smallRateOf(options: RateOptions): Rate {
  const rate = rateOf(options)
  if (rate === undefined) throw new RangeError(`${options.rate} per ${options.windowMs} ms cannot be counted`)
  return rate
}

/**
 * The generic cell rate algorithm, as a leaky bucket: how long a request has to wait, 0 when it conforms, Infinity where it
 * asks for more than may ever come at once. In any span of time at most `burst + span * rate / window` units conform.
 *
 * @param nowUs monotonic
 * @see ITU-T I.371, annex A: the continuous-state leaky bucket
 */
export function waitUs(bucket: Bucket, rate: Rate, nowUs: number, cost = 1): number {
  // Beyond 2^53 the product is rounded, but then it is more than any capacity.
  const weight = cost * rate.weight
  if (weight > rate.capacity) return Number.POSITIVE_INFINITY
  return drainUs(bucket, rate, nowUs, rate.capacity - weight)
}

/** How long until no more than a level is left, 0 where it is so now. */
export function drainUs(bucket: Bucket, rate: Rate, nowUs: number, level: number): number {
  const excess = levelAt(bucket, rate, nowUs) - level
  if (excess <= 0) return 0
  const ticks = ticksSince(bucket, rate, nowUs) + Math.ceil(excess / rate.drain)
  return bucket.atUs + ticks * rate.tickUs - Math.floor(nowUs)
}

/** What has not drained yet. Changes nothing. */
export function levelAt(bucket: Bucket, rate: Rate, nowUs: number): number {
  // As above: a product beyond 2^53 is more than any level.
  return Math.max(0, bucket.level - ticksSince(bucket, rate, nowUs) * rate.drain)
}

/**
 * Puts units in, whether they conform or not.
 *
 * @param cap the level they may bring it to at most; a level above stays
 * @returns the weight that was put in
 */
export function charge(bucket: Bucket, rate: Rate, nowUs: number, cost = 1, cap = maxLevel): number {
  advance(bucket, rate, nowUs)
  const put = Math.max(0, Math.min(cost * rate.weight, Math.min(cap, maxLevel) - bucket.level))
  bucket.level += put
  return put
}

/**
 * Takes one unit out that was put in at `chargedAtUs`. Only what cannot have drained since comes back: more would be
 * taken from the requests after it, and let one too many through.
 */
export function refund(bucket: Bucket, rate: Rate, chargedAtUs: number, nowUs: number): void {
  takeOut(bucket, rate, nowUs, undrained(rate.weight, rate, chargedAtUs, nowUs))
}

/** What cannot have drained of a weight that was put in at a time. */
export function undrained(weight: number, rate: Rate, chargedAtUs: number, nowUs: number): number {
  const elapsedUs = Math.max(0, Math.floor(nowUs) - Math.floor(chargedAtUs))
  // Ticks that have begun count: one of them may have ended, wherever they started.
  return Math.max(0, weight - Math.ceil(elapsedUs / rate.tickUs) * rate.drain)
}

/** Takes weight out, down to nothing. */
export function takeOut(bucket: Bucket, rate: Rate, nowUs: number, weight: number): void {
  advance(bucket, rate, nowUs)
  bucket.level = Math.max(0, bucket.level - weight)
}

/** Whether the bucket says the same as a new one. */
export function isEmpty(bucket: Bucket, rate: Rate, nowUs: number): boolean {
  return levelAt(bucket, rate, nowUs) === 0
}

function advance(bucket: Bucket, rate: Rate, nowUs: number): void {
  const level = levelAt(bucket, rate, nowUs)
  // Of what is empty ticks start anew. A clock that went back stands still.
  if (level === 0) bucket.atUs = Math.max(bucket.atUs, Math.floor(nowUs))
  else bucket.atUs += ticksSince(bucket, rate, nowUs) * rate.tickUs
  bucket.level = level
}

function ticksSince(bucket: Bucket, rate: Rate, nowUs: number): number {
  return Math.max(0, Math.floor((Math.floor(nowUs) - bucket.atUs) / rate.tickUs))
}

function roundedRate(options: {
  readonly rate: number
  readonly windowUs: number
  readonly burst: number
  readonly tickUs: number
}): Rate | undefined {
  const { windowUs, burst, tickUs } = options
  const perWindow = BigInt(options.rate) * BigInt(tickUs)
  const maxWeight = Math.max(1, Math.floor(maxRoundedCapacity / burst))
  const { numerator, denominator } = largestBelow(perWindow, BigInt(windowUs), BigInt(maxWeight))
  const missing = perWindow * denominator - numerator * BigInt(windowUs)
  if (numerator === 0n || missing * BigInt(precision) > perWindow * denominator) return undefined
  const weight = Number(denominator)
  return { tickUs, weight, drain: Number(numerator), capacity: burst * weight }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

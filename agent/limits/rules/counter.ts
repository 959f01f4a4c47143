import { rateOf } from '#base/gcra.ts'
import type { QuotaLimit } from '#resources/resources.ts'
import { type Calendar, type CounterRule, maxUnits } from '../store/store.ts'

/** Into how many slices a sliding window is cut: so much of it may count too long. */
const slices = 60
const maxConcurrent = 1_000_000

/** The numbers of a limit, whoever says them. */
export interface Numbers {
  /** What stands as `rate`, `limit` or `max`. */
  readonly number: number
  readonly burst: number | undefined
  /** Of a limit that has a period. */
  readonly calendar: Calendar | undefined
  /** How long what is drawn beforehand may be used; 0 where nothing is. */
  readonly leaseMs: number
}

export interface BuiltCounter {
  readonly counter: CounterRule
  readonly isLeased: boolean
}

/** How a limit counts with these numbers; `undefined` where they are not of its range. */
export function buildCounter(limit: QuotaLimit, numbers: Numbers): BuiltCounter | undefined {
  const { number, burst = number, calendar, leaseMs } = numbers
  const isLeased = leaseMs > 0
  switch (limit.kind) {
    case 'gcra':
      if (number < 1 || number > maxUnits) return undefined
      return gcra({ rate: number, windowMs: limit.window, burst }, leaseMs)
    case 'sliding': {
      const sliceUs = Math.ceil((limit.window * 1000) / slices)
      // What was drawn may be used as late as a lease lives: it counts for that much longer.
      const sliceCount = Math.ceil((limit.window * 1000) / sliceUs) + Math.ceil((leaseMs * 1000) / sliceUs)
      return {
        counter: { kind: 'sliding', limit: Math.min(number, maxUnits), sliceUs, sliceCount },
        isLeased,
      }
    }
    case 'calendar':
      if (calendar === undefined) throw new Error('a period without a calendar')
      return { counter: { kind: 'calendar', limit: Math.min(number, maxUnits), calendar }, isLeased }
    case 'concurrency':
      if (number < 1 || number > maxConcurrent) return undefined
      return { counter: { kind: 'concurrency', limit: number }, isLeased: false }
    default:
      return limit satisfies never
  }
}

/**
 * What was drawn may be used as late as a lease lives: without what drains meanwhile a window could see that much more than
 * it should. Where nothing would be left, each call asks the store.
 */
function gcra(
  numbers: { readonly rate: number; readonly windowMs: number; readonly burst: number },
  leaseMs: number,
): BuiltCounter | undefined {
  const { burst } = numbers
  const rate = rateOf(numbers)
  if (rate === undefined) return undefined
  const drained = leaseMs === 0 ? 0 : rate.drain * Math.ceil((leaseMs * 1000) / rate.tickUs)
  const left = Math.floor((rate.capacity - drained) / rate.weight)
  if (leaseMs === 0 || left < 1) return { counter: { kind: 'gcra', rate, burst }, isLeased: false }
  const leased = { ...rate, capacity: rate.capacity - drained }
  return { counter: { kind: 'gcra', rate: leased, burst: left }, isLeased: true }
}

import { type Charge, maxUnits } from '../store/store.ts'
import { kindLetters } from './keys.ts'
import type { Argument } from './node.ts'

/** How a charge is told to the scripts: always so many arguments. See `lua/states.ts`. */
export const argumentsPerCharge = 10

/**
 * @param index the place of the charge among those of the call
 * @param redisNowMs about what time the server has: the spans around it are sent, and the server picks
 */
export function packCharge(into: Argument[], charge: Charge, index: number, redisNowMs: number): void {
  const { rule, cost, isEnforced, debtCap, onStoreFailure } = charge
  const flags = (isEnforced ? 1 : 0) + (onStoreFailure === 'allow' ? 0 : 2)
  into.push(kindLetters[rule.kind], cost, flags, Number.isFinite(debtCap) ? debtCap : -1)
  switch (rule.kind) {
    case 'gcra': {
      const { tickUs, weight, drain, capacity } = rule.rate
      into.push(tickUs, weight, drain, capacity, 0)
      break
    }
    case 'sliding':
      into.push(Math.min(rule.limit, maxUnits), rule.sliceUs, rule.sliceCount, 0, 0)
      break
    case 'calendar': {
      const { startMs, endMs } = rule.calendar.spanAt(redisNowMs)
      const before = rule.calendar.spanAt(startMs - 1)
      const after = rule.calendar.spanAt(endMs)
      into.push(Math.min(rule.limit, maxUnits), before.startMs, startMs, endMs, after.endMs)
      break
    }
    case 'concurrency':
      into.push(Math.min(rule.limit, maxUnits), 0, 0, 0, 0)
      break
    default:
      rule satisfies never
  }
  into.push(index)
}

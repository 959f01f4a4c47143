import { type Charge, maxUnits } from '../store/store.ts'
import { kindLetters } from './keys.ts'
import type { Argument } from './node.ts'

/**
 * Tells the scripts of a charge: the letter of the kind, index, cost, 1 where it is enforced plus 2 where it is refused after a
 * loss, and then, but for concurrency, the debt cap, and the numbers of the rule. Read by `lua/states.ts`.
 *
 * `index` is the place of the charge among those of the call, `redisNowMs` about what time the server has: the
 * spans around it are sent, and the server picks.
 */
export function packCharge(
  into: Argument[],
  charge: Charge,
  { index, redisNowMs }: { readonly index: number; readonly redisNowMs: number },
): void {
  const { rule, cost, isEnforced, onStoreFailure } = charge
  const flags = (isEnforced ? 1 : 0) + (onStoreFailure === 'allow' ? 0 : 2)
  const debtCap = Math.min(charge.debtCap, maxUnits)
  into.push(kindLetters[rule.kind], index, cost, flags)
  switch (rule.kind) {
    case 'gcra': {
      const { tickUs, weight, drain, capacity } = rule.rate
      into.push(debtCap, tickUs, weight, drain, capacity)
      break
    }
    case 'sliding':
      into.push(debtCap, Math.min(rule.limit, maxUnits), rule.sliceUs, rule.sliceCount)
      break
    case 'calendar': {
      const { startMs, endMs } = rule.calendar.spanAt(redisNowMs)
      const before = rule.calendar.spanAt(startMs - 1)
      const after = rule.calendar.spanAt(endMs)
      into.push(debtCap, Math.min(rule.limit, maxUnits), before.startMs, startMs, endMs, after.endMs)
      break
    }
    case 'concurrency':
      into.push(Math.min(rule.limit, maxUnits))
      break
    default:
      rule satisfies never
  }
}

import { type Charge, type CounterRule, maxUnits } from '../store/store.ts'
import { kindLetters } from './keys.ts'

/**
 * Tells the scripts of charges, as JSON: of each the letter of the kind, index, cost, 1 where it is enforced plus 2 where it is
 * refused after a loss, and then, but for concurrency, the debt cap, and the numbers of the rule. Read by `lua/states.ts`: one
 * text there costs a fraction of as many arguments.
 *
 * @param indexes the places of the charges among those of the call
 * @param redisNowMs about what time the server has: the spans around it are sent, and the server picks
 */
export function packCharges(
  charges: readonly Charge[],
  indexes: readonly number[] | undefined,
  redisNowMs: number,
): string {
  let text = ''
  for (let place = 0; place < charges.length; place++) {
    const { rule, cost, isEnforced, onStoreFailure, debtCap } = charges[place] as Charge
    const flags = (isEnforced ? 1 : 0) + (onStoreFailure === 'allow' ? 0 : 2)
    const head = `"${kindLetters[rule.kind]}",${indexes?.[place] ?? place},${cost},${flags}`
    text += `${place === 0 ? '[' : ','}[${head},${numbersOf(rule, Math.min(debtCap, maxUnits), redisNowMs)}]`
  }
  return `${text}]`
}

function numbersOf(rule: CounterRule, debtCap: number, redisNowMs: number): string {
  switch (rule.kind) {
    case 'gcra': {
      const { tickUs, weight, drain, capacity } = rule.rate
      return `${debtCap},${tickUs},${weight},${drain},${capacity}`
    }
    case 'sliding':
      return `${debtCap},${Math.min(rule.limit, maxUnits)},${rule.sliceUs},${rule.sliceCount}`
    case 'calendar': {
      const { startMs, endMs } = rule.calendar.spanAt(redisNowMs)
      const before = rule.calendar.spanAt(startMs - 1)
      const after = rule.calendar.spanAt(endMs)
      const limit = Math.min(rule.limit, maxUnits)
      return `${debtCap},${limit},${before.startMs},${startMs},${endMs},${after.endMs}`
    }
    case 'concurrency':
      return `${Math.min(rule.limit, maxUnits)}`
    default:
      return rule satisfies never
  }
}

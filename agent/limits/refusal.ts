import type { ReasonCode } from '#decision/reasons.ts'
import { deny, failure, type Refusal } from '#decision/verdict.ts'
import { maxTold } from './answer/answer.ts'
import type { Charged, Uncharged } from './charging.ts'
import { violationNotice } from './notice.ts'
import type { CounterState, StoreFault } from './store/store.ts'

/** Of a call that cannot be charged. */
export function unchargedRefusal({ why, rule }: Uncharged): Refusal {
  switch (why) {
    case 'handed_in_invalid':
      return failure(
        'quota_handed_in_invalid',
        new Error(`${rule.name}: what is handed in is no number of its range`),
      )
    case 'cost_unbounded':
      return deny('quota_cost_unbounded', `${rule.name}: the length of the request is not known`)
    case 'cost_failed':
      return failure('limits_failed', new Error(`${rule.name}: the cost is no whole number from 0 to 2^53-1`))
    default:
      return why satisfies never
  }
}

/** Of a store that nobody could ask. */
export function storeRefusal(fault: StoreFault, charged: Charged | undefined): Refusal {
  const name = charged?.rule.name ?? 'a limit'
  return fault === 'lost'
    ? failure(
        'quota_store_lost',
        new Error(`${name}: the store lost its memory, and what was used still counts`),
      )
    : failure('quota_store_unavailable', new Error(`${name}: the store cannot be asked`))
}

/** Of limits that are used up. The one with the longest wait says why and for how long. */
export function violationRefusal(charged: readonly Charged[], states: readonly CounterState[]): Refusal {
  const violated = charged
    .map((each, index) => ({ each, state: states[index] as CounterState }))
    .filter(({ each, state }) => each.charge.isEnforced && state.isOver)
    .sort((a, b) => (a.state.retryUs === b.state.retryUs ? 0 : b.state.retryUs - a.state.retryUs))
  const [governing] = violated
  if (governing === undefined) throw new Error('a refusal that no limit is the reason of')
  const { each, state } = governing
  const told = violated.filter((one) => one.each.rule.policy.advertise).slice(0, maxTold)
  return {
    kind: 'deny',
    reason: reasonOf(each, state),
    detail: violated.map((one) => one.each.rule.name).join(', '),
    ...(Number.isFinite(state.retryUs) &&
      state.retryUs > 0 && { retryAfterSeconds: Math.ceil(state.retryUs / 1e6) }),
    ...(told.length > 0 && { quotas: told.map((one) => violationNotice(one.each, one.state)) }),
  }
}

function reasonOf({ charge, terms }: Charged, { retryUs }: CounterState): ReasonCode {
  // A quota of nothing is one that is used up.
  if (retryUs === Number.POSITIVE_INFINITY && charge.cost > 0 && terms.quota > 0)
    return 'quota_cost_impossible'
  switch (charge.rule.kind) {
    case 'gcra':
    case 'sliding':
      return 'rate_limited'
    case 'calendar':
      return 'quota_exceeded'
    case 'concurrency':
      return 'concurrency_limited'
    default:
      return charge.rule satisfies never
  }
}

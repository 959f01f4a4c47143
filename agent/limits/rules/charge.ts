import type { Charge } from '../store/store.ts'
import type { Rule, Subject, Terms } from './rules.ts'

/** What one limit is charged for a call of this subject that costs so many units. */
export function chargeOf(
  { keyOf, limit }: Rule,
  call: { readonly terms: Terms; readonly subject: Subject; readonly cost: number },
): Charge {
  const { terms, subject, cost } = call
  return {
    key: keyOf(subject),
    rule: terms.counter,
    cost,
    isEnforced: terms.mode === 'enforce',
    debtCap: (limit.kind === 'concurrency' ? undefined : limit.debtCap) ?? Number.POSITIVE_INFINITY,
    onStoreFailure: limit.onStoreFailure,
    isLeased: terms.isLeased,
  }
}

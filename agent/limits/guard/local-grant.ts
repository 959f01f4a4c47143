import { andThen } from '#base/and-then.ts'
import { costsOf, pick } from '../store/split.ts'
import type { Charge, CounterState, ReserveAnswer, StoreCount, StoreFault } from '../store/store.ts'
import { merge, neverSeen, type Part } from './parts.ts'
import type { LocalShare } from './share.ts'

export interface LocalCall {
  readonly id: string
  readonly charges: readonly Charge[]
  /** Of the charges that the store cannot be asked for. */
  readonly indexes: readonly number[]
  readonly ttlMs: number
  readonly fault: StoreFault
  /** What is written is added here. */
  readonly parts: Part[]
}

/** So long it can be taken back, where the store refuses the rest, what is over as soon as it is counted. */
const undoMs = 10_000

/**
 * Grants charges by what they say in `onStoreFailure`: all of them or none. One that is not enforced never refuses; the
 * store is told of it later.
 *
 * @returns states for all charges of the call
 */
export function grantLocally(
  call: LocalCall,
  by: { readonly share: LocalShare; readonly counts: Record<StoreCount, number> },
): ReserveAnswer | Promise<ReserveAnswer> {
  const { id, charges, indexes, ttlMs, fault, parts } = call
  const shared: number[] = []
  const owed: number[] = []
  let isUnchecked = false
  for (const index of indexes) {
    const { isEnforced, onStoreFailure } = charges[index] as Charge
    if (!isEnforced) owed.push(index)
    else if (onStoreFailure === 'deny') return { kind: 'failed', fault, index }
    else if (onStoreFailure === 'share') shared.push(index)
    else isUnchecked = true
  }
  const states = charges.map(neverSeen)
  const granted = (states: readonly CounterState[]): ReserveAnswer => {
    if (owed.length > 0) parts.push({ where: 'owed', id, indexes: owed, costs: costsOf(pick(charges, owed)) })
    if (shared.length > 0) by.counts.shared++
    else if (isUnchecked) by.counts.unchecked++
    return { kind: 'granted', states }
  }
  if (shared.length === 0) return granted(states)
  // A hold of its own for each set: what one gave back is not what the next one asks for.
  const partId = shared.length === charges.length ? id : `${id}/${shared.join('.')}`.slice(-64)
  const lifeMs = Math.max(ttlMs, undoMs)
  return andThen(by.share.reserve(partId, pick(charges, shared), lifeMs), (answer): ReserveAnswer => {
    if (answer.kind === 'failed') return { kind: 'failed', fault, index: shared[answer.index] ?? 0 }
    const all = merge(states, shared, answer.states)
    if (answer.kind === 'refused') return { kind: 'refused', states: all }
    parts.push({ where: 'share', id: partId, indexes: shared, costs: costsOf(pick(charges, shared)) })
    return granted(all)
  })
}

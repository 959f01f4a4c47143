import type { Charge, CounterRule, CounterState, ReserveAnswer } from '../../agent/limits/store/store.ts'

const hourMs = 3_600_000

/** Hours of UTC. */
const hourly = {
  spanAt(atMs: number) {
    const startMs = Math.floor(atMs / hourMs) * hourMs
    return { startMs, endMs: startMs + hourMs }
  },
}

/** `perSecond` units a second, `burst` at once. */
export function gcraRule(perSecond: number, burst: number): CounterRule {
  const rate = {
    tickUs: 1,
    weight: 1_000_000 / perSecond,
    drain: 1,
    capacity: (burst * 1_000_000) / perSecond,
  }
  return { kind: 'gcra', rate, burst }
}

/** `limit` units in any `windowMs`, by ten slices. */
export function slidingRule(limit: number, windowMs: number): CounterRule {
  return { kind: 'sliding', limit, sliceUs: windowMs * 100, sliceCount: 10 }
}

export function hourRule(limit: number): CounterRule {
  return { kind: 'calendar', limit, calendar: hourly }
}

/** A complete charge, of which a test changes what it is about. */
export function charge(rule: CounterRule, more: Partial<Charge> & { readonly id?: string } = {}): Charge {
  const { id = 'limit', ...rest } = more
  return {
    key: { partition: 'acme', id },
    rule,
    cost: 1,
    isEnforced: true,
    debtCap: Number.POSITIVE_INFINITY,
    onStoreFailure: 'deny',
    isLeased: false,
    ...rest,
  }
}

/** The states of an answer that has some. */
export function statesOf(answer: ReserveAnswer): readonly CounterState[] {
  if (answer.kind === 'failed') throw new Error(`failed: ${answer.fault}`)
  return answer.states
}

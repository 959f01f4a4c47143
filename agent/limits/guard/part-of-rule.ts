import type { CounterRule } from '../store/store.ts'

/**
 * The part of a limit that one of several replicas may grant alone: the parts of all together are never more than the
 * limit. What cannot be divided is nobody's: a burst of 3 among 4 is 0.
 */
export function partOfRule(rule: CounterRule, replicas: number): CounterRule {
  switch (rule.kind) {
    case 'gcra': {
      const burst = Math.floor(rule.burst / replicas)
      // A unit weighs that much more, so that as much of it drains as of all parts together.
      const rate = { ...rule.rate, weight: rule.rate.weight * replicas }
      const capacity = Math.min(rule.rate.capacity, burst * rate.weight)
      return { kind: 'gcra', rate: { ...rate, capacity }, burst }
    }
    case 'sliding':
    case 'calendar':
    case 'concurrency':
      return { ...rule, limit: Math.floor(rule.limit / replicas) }
    default:
      return rule satisfies never
  }
}

/** How long what was used may matter, microseconds; for a calendar that depends on the time. */
export function memoryUs(rule: CounterRule): number {
  switch (rule.kind) {
    case 'gcra':
      return Math.ceil(rule.rate.capacity / rule.rate.drain) * rule.rate.tickUs
    case 'sliding':
      return (rule.sliceCount + 1) * rule.sliceUs
    case 'calendar':
    case 'concurrency':
      return 0
    default:
      return rule satisfies never
  }
}

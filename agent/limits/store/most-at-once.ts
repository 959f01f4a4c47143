import type { CounterRule } from './store.ts'

/** The most that a counter which is new grants at once, in units. */
export function mostAtOnce(rule: CounterRule): number {
  return rule.kind === 'gcra' ? rule.burst : rule.limit
}

import type { JsonObject } from '#base/json.ts'
import type { CounterRule } from '../store/store.ts'
import type { AppliedLimit, LimitOverride } from './types.ts'
import { fixedWindows } from './windows.ts'

/** A limit as it is applied to a request, made once. */
export interface Limit {
  readonly applied: AppliedLimit
  readonly rule: CounterRule
  /** The same with one more: over exactly where the limit was exceeded, not where it is used up. */
  readonly beyond: CounterRule
  /** How long a window is, as a part of counters' names: they count on when the limit is edited, not when its unit is. */
  readonly windowText: string
  readonly lengthMs: number
  /** What new counters of the limit share where memory is full. */
  readonly family: string
  readonly isUnlimited: boolean
  /** Counted, but never a reason to refuse. */
  readonly isShadow: boolean
  /** Over it refuses only where all that are so are over. */
  readonly isQuota: boolean
  /** Names of limits that do not count where this one applies. */
  readonly replaces: readonly string[]
  /** What Envoy is told where this limit is kept. */
  readonly metadata: JsonObject | undefined
  /** What its figures are listed under: keys and configured values. */
  readonly statName: string
  /** Whether figures are listed by the values of requests too. */
  readonly isDetailed: boolean
}

type LimitOptions = LimitOverride & { readonly name: string } & Partial<
    Pick<Limit, 'isUnlimited' | 'isShadow' | 'isQuota' | 'replaces' | 'metadata' | 'statName' | 'isDetailed'>
  >

const none: readonly string[] = []

export function compileLimit(options: LimitOptions): Limit {
  const { requestsPerUnit, unit, multiplier, name } = options
  const calendar = fixedWindows(unit, multiplier)
  const windowText = multiplier === 1 ? `${unit};` : `${multiplier}${unit};`
  const statName = options.statName ?? ''
  return {
    applied: { requestsPerUnit, unit, multiplier, name },
    rule: { kind: 'calendar', limit: requestsPerUnit, calendar },
    beyond: { kind: 'calendar', limit: requestsPerUnit + 1, calendar },
    windowText,
    lengthMs: calendar.lengthMs,
    family: windowText + statName,
    isUnlimited: options.isUnlimited ?? false,
    isShadow: options.isShadow ?? false,
    isQuota: options.isQuota ?? false,
    replaces: options.replaces ?? none,
    metadata: options.metadata,
    statName,
    isDetailed: options.isDetailed ?? false,
  }
}

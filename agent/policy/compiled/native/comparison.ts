import type { Builtin, Family } from '../../builtins/builtin.ts'
import { compare, isEqual } from '../../values/compare.ts'
import type { RegoValue } from '../../values/value.ts'

const ordered =
  (holds: (order: number) => boolean): Builtin =>
  (_, a, b) =>
    holds(compare(a as RegoValue, b as RegoValue))

/** `==`, `!=`, `<`, `<=`, `>`, `>=` over the total order of values. */
export const comparisonBuiltins: Family = {
  equal: (_, a, b) => isEqual(a as RegoValue, b as RegoValue),
  neq: (_, a, b) => !isEqual(a as RegoValue, b as RegoValue),
  gt: ordered((order) => order > 0),
  gte: ordered((order) => order >= 0),
  lt: ordered((order) => order < 0),
  lte: ordered((order) => order <= 0),
}

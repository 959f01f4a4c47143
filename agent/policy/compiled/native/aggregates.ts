import type { Family } from '../../builtins/builtin.ts'
import { collection, number, OperandError } from '../../builtins/operands.ts'
import { compare, isEqual, lookup } from '../../values/compare.ts'
import { isArray, isObject, RegoMap, RegoSet, type RegoValue } from '../../values/value.ts'
import { lengthOf } from '../runtime.ts'
import { product, sum } from './arithmetic.ts'

/** `count`, `sum`, `product`, `max`, `min`, `sort`, `all`, `any`, and what `in` compiles to. */
export const aggregateBuiltins: Family = {
  count: (_, value) => {
    const length = lengthOf(value)
    if (length === undefined) throw new OperandError('not a collection')
    return length
  },
  sum: (_, value) => sum(collection(value).map(number)),
  product: (_, value) => product(collection(value).map(number)),
  max: (_, value) => extreme(collection(value), 1),
  min: (_, value) => extreme(collection(value), -1),
  sort: (_, value) => (value instanceof RegoSet ? value.members : [...collection(value)].sort(compare)),
  all: (_, value) => collection(value).every((item) => item === true),
  any: (_, value) => collection(value).includes(true),
  'internal.member_2': (_, item, value) => {
    if (value instanceof RegoSet) return value.has(item as RegoValue)
    return valuesOf(value as RegoValue).some((each) => isEqual(each, item as RegoValue))
  },
  'internal.member_3': (_, key, item, value) => {
    const found = lookup(value, key as RegoValue)
    return found !== undefined && isEqual(found, item as RegoValue)
  },
}

function extreme(items: readonly RegoValue[], sign: number): RegoValue | undefined {
  return items.length === 0
    ? undefined
    : items.reduce((best, item) => (compare(item, best) * sign > 0 ? item : best))
}

function valuesOf(value: RegoValue): readonly RegoValue[] {
  if (isArray(value)) return value
  if (value instanceof RegoMap) return value.entries.map(([, item]) => item)
  return isObject(value) ? Object.values(value) : []
}

import type { Family } from '../../builtins/builtin.ts'
import { anyObject, list, OperandError } from '../../builtins/operands.ts'
import { entriesOf, lookup, objectOf, setOf } from '../../values/compare.ts'
import { isAnyObject, RegoSet, type RegoValue } from '../../values/value.ts'
import { copyOf, insert } from '../runtime.ts'

/** The keys that an array, set or object names. */
function keys(value: RegoValue | undefined): RegoSet {
  if (value instanceof RegoSet) return value
  if (isAnyObject(value)) return setOf(entriesOf(value).map(([key]) => key))
  return setOf(list(value))
}

/** Objects under one key are merged; of anything else the second counts. */
function union(a: RegoValue, b: RegoValue): RegoValue {
  if (!isAnyObject(a) || !isAnyObject(b)) return b
  let merged = copyOf(a)
  for (const [key, value] of entriesOf(b)) {
    const known = lookup(a, key)
    merged = insert(merged, key, known === undefined ? value : union(known, value))
  }
  return merged as RegoValue
}

/** `object.*`. */
export const objectBuiltins: Family = {
  'object.get': (_, value, path, fallback) => {
    const object = anyObject(value)
    let found: RegoValue | undefined = object
    for (const key of Array.isArray(path) ? path : [path]) found = lookup(found, key)
    return found === undefined ? fallback : found
  },
  'object.keys': (_, value) => keys(anyObject(value)),
  'object.remove': (_, value, names) => {
    const removed = keys(names)
    return objectOf(entriesOf(anyObject(value)).filter(([key]) => !removed.has(key)))
  },
  'object.filter': (_, value, names) => {
    const kept = keys(names)
    return objectOf(entriesOf(anyObject(value)).filter(([key]) => kept.has(key)))
  },
  'object.union': (_, a, b) => union(anyObject(a), anyObject(b)),
  'object.union_n': (_, values) => {
    const all = list(values)
    if (!all.every(isAnyObject)) throw new OperandError('not an array of objects')
    return all.reduce<RegoValue>(union, {})
  },
}

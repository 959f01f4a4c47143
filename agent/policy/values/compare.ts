import { compareNumbers, plainNumber } from './number.ts'
import { Decimal, isObject, RegoMap, type RegoObject, RegoSet, type RegoValue } from './value.ts'

/** Rego's order of types: null, boolean, number, string, array, object, set. */
function rankOf(value: RegoValue): number {
  if (value === null) return 0
  switch (typeof value) {
    case 'boolean':
      return 1
    case 'number':
    case 'bigint':
      return 2
    case 'string':
      return 3
    default:
  }
  if (Array.isArray(value)) return 4
  if (value instanceof Decimal) return 2
  return value instanceof RegoSet ? 6 : 5
}

/**
 * The total order of Rego values: negative, zero or positive.
 *
 * @see https://www.openpolicyagent.org/docs/policy-reference#comparison
 */
export function compare(a: RegoValue, b: RegoValue): number {
  if (a === b) return 0
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b)
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [rank, other] = [rankOf(a), rankOf(b)]
  if (rank !== other) return rank - other
  switch (rank) {
    case 1:
      return a === true ? 1 : -1
    case 2:
      return compareNumbers(a as number, b as number)
    case 4:
      return compareLists(a as RegoValue[], b as RegoValue[])
    case 5:
      return compareObjects(a as RegoObject | RegoMap, b as RegoObject | RegoMap)
    case 6:
      return compareLists((a as RegoSet).members, (b as RegoSet).members)
    default:
      return 0
  }
}

/** Needs no order, and is quicker than `compare` for what holds others. */
export function isEqual(a: RegoValue, b: RegoValue): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null)
    return (a instanceof Decimal || b instanceof Decimal) && compare(a, b) === 0
  if (Array.isArray(a))
    return (
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => isEqual(item, b[index] as RegoValue))
    )
  if (a instanceof RegoSet)
    return b instanceof RegoSet && a.size === b.size && a.unsorted().every((member) => b.has(member))
  if (a instanceof Decimal || a instanceof RegoMap || Array.isArray(b) || !isObject(b))
    return compare(a, b) === 0
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every(
      (key) => Object.hasOwn(b, key) && isEqual((a as RegoObject)[key] as RegoValue, b[key] as RegoValue),
    )
  )
}

/** By code point, which is the order of the UTF-8 bytes; JavaScript's own order is by UTF-16 unit. */
export function compareStrings(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const [left, right] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (left === right) continue
    // Surrogates stand for code points above every other unit.
    const isLeftAstral = left >= 0xd800 && left <= 0xdfff
    const isRightAstral = right >= 0xd800 && right <= 0xdfff
    if (isLeftAstral !== isRightAstral) return isLeftAstral ? 1 : -1
    return left - right
  }
  return a.length - b.length
}

function compareLists(a: readonly RegoValue[], b: readonly RegoValue[]): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const order = compare(a[i] as RegoValue, b[i] as RegoValue)
    if (order !== 0) return order
  }
  return a.length - b.length
}

/** Key by key and value by value, in the order of the keys. */
function compareObjects(a: RegoObject | RegoMap, b: RegoObject | RegoMap): number {
  const [left, right] = [entriesOf(a), entriesOf(b)]
  const length = Math.min(left.length, right.length)
  for (let i = 0; i < length; i++) {
    const [leftKey, leftValue] = left[i] as readonly [RegoValue, RegoValue]
    const [rightKey, rightValue] = right[i] as readonly [RegoValue, RegoValue]
    const order = compare(leftKey, rightKey) || compare(leftValue, rightValue)
    if (order !== 0) return order
  }
  return left.length - right.length
}

/** Of any object, in Rego's order of the keys. */
export function entriesOf(object: RegoObject | RegoMap): readonly (readonly [RegoValue, RegoValue])[] {
  if (object instanceof RegoMap) return object.entries
  return Object.keys(object)
    .sort(compareStrings)
    .map((key) => [key, object[key] as RegoValue] as const)
}

/** A set of any values. */
export function setOf(values: Iterable<RegoValue>): RegoSet {
  const set = new RegoSet([])
  for (const value of values) set.add(value)
  return set
}

/** An object of any entries; of two with an equal key the later one counts. */
export function objectOf(entries: Iterable<readonly [RegoValue, RegoValue]>): RegoObject | RegoMap {
  const all = [...entries]
  if (all.every(([key]) => typeof key === 'string')) return Object.fromEntries(all as [string, RegoValue][])
  const map = new RegoMap([])
  for (const [key, value] of all) map.set(key, value)
  return map
}

/** What an object holds at a key, or an array at an index; `undefined` where there is nothing. */
export function lookup(value: RegoValue | undefined, key: RegoValue): RegoValue | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value)) {
    const index = key instanceof Decimal ? plainNumber(key) : key
    return typeof index === 'number' ? value[index] : undefined
  }
  if (value instanceof RegoSet) return value.has(key) ? key : undefined
  if (value instanceof RegoMap) return value.get(key)
  if (typeof key !== 'string' || value instanceof Decimal) return undefined
  return Object.hasOwn(value, key) ? (value as RegoObject)[key] : undefined
}

import { EvaluationError } from '../engine/engine.ts'
import { compareStrings, entriesOf, isEqual, lookup } from '../values/compare.ts'
import {
  Decimal,
  isAnyObject,
  isObject,
  RegoMap,
  type RegoObject,
  RegoSet,
  type RegoValue,
} from '../values/value.ts'

/** What an evaluation may still do. One evaluation runs at a time, and each sets it anew. */
export class Gauge {
  left = 0

  /** Pays for a value of some size that a builtin read or made, beyond what each call costs. */
  charge(value: RegoValue | undefined): void {
    if (typeof value === 'string') this.left -= value.length >> 5
    else if (typeof value !== 'object' || value === null) return
    else if (Array.isArray(value)) this.left -= value.length >> 2
    else if (value instanceof RegoSet || value instanceof RegoMap) this.left -= value.size >> 2
    else this.left -= Object.keys(value).length >> 2
    if (this.left < 0) exhausted()
  }
}

export function exhausted(): never {
  throw new EvaluationError('the policy takes more steps than it may')
}

/** Two rules, or two parts of one, gave different values where there can be only one. */
export function conflict(): never {
  throw new EvaluationError('var assignment conflict: rules give different values for the same thing')
}

/** An empty set, to be filled by `add`. */
export function newSet(): RegoSet {
  return new RegoSet([])
}

/** A copy of a collection that was not made where it is to be filled; a loop may ask for one at each turn. */
export function own(gauge: Gauge, value: RegoValue | undefined): RegoValue | undefined {
  gauge.charge(value)
  return copyOf(value)
}

export function copyOf(value: RegoValue | undefined): RegoValue | undefined {
  if (Array.isArray(value)) return [...value]
  if (value instanceof RegoSet) return new RegoSet(value.members)
  if (value instanceof RegoMap) return new RegoMap(value.entries)
  return isObject(value) ? { ...value } : value
}

export function append(array: RegoValue | undefined, value: RegoValue): void {
  if (Array.isArray(array)) array.push(value)
}

export function add(set: RegoValue | undefined, value: RegoValue): void {
  if (set instanceof RegoSet) set.add(value)
}

/** @returns the object: another one where a key that is no string makes it so. */
export function insert(
  object: RegoValue | undefined,
  key: RegoValue,
  value: RegoValue,
): RegoValue | undefined {
  if (object instanceof RegoMap) {
    object.set(key, value)
    return object
  }
  if (!isObject(object)) return object
  if (typeof key !== 'string') {
    const map = new RegoMap([])
    for (const each of Object.keys(object)) map.set(each, object[each] as RegoValue)
    map.set(key, value)
    return map
  }
  // Assigning to it would change what the object inherits from.
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
  else (object as Record<string, RegoValue>)[key] = value
  return object
}

/** Inserts; another value under the same key is a conflict. */
export function insertOnce(
  object: RegoValue | undefined,
  key: RegoValue,
  value: RegoValue,
): RegoValue | undefined {
  const known = lookup(object, key)
  if (known === undefined) return insert(object, key, value)
  if (isEqual(known, value)) return object
  throw new EvaluationError('object insert conflict: different values for the same key')
}

/** What two definitions of one document give together: objects are merged, of anything else the first counts. */
export function merge(
  gauge: Gauge,
  a: RegoValue | undefined,
  b: RegoValue | undefined,
): RegoValue | undefined {
  if (a === undefined) return b
  if (!isAnyObject(a) || !isAnyObject(b)) return a
  let merged = own(gauge, a)
  for (const [key, value] of entriesOf(b)) {
    const known = lookup(a, key)
    if (known === undefined) merged = insert(merged, key, value)
    else if (isAnyObject(known) && isAnyObject(value))
      merged = insert(merged, key, merge(gauge, known, value) as RegoValue)
  }
  return merged
}

/** The document with another value at a path, what stands on the way copied or made. */
export function upsert(
  gauge: Gauge,
  document: RegoValue | undefined,
  path: readonly string[],
  value: RegoValue,
  depth = 0,
): RegoValue | undefined {
  if (depth === path.length) return value
  const key = path[depth] as string
  const base = isAnyObject(document) ? own(gauge, document) : {}
  return insert(base, key, upsert(gauge, lookup(document, key), path, value, depth + 1) as RegoValue)
}

export function isSet(value: RegoValue | undefined): boolean {
  return value instanceof RegoSet
}

/** Of anything that can be counted; `undefined` of the rest. */
export function lengthOf(value: RegoValue | undefined): number | undefined {
  if (typeof value === 'string') return [...value].length
  if (Array.isArray(value)) return value.length
  if (value instanceof RegoSet || value instanceof RegoMap) return value.size
  return isObject(value) ? Object.keys(value).length : undefined
}

const nothing: readonly RegoValue[] = []

/** What a scan goes over: an array itself, the keys of anything else. */
export function keysOf(value: RegoValue | undefined): readonly RegoValue[] {
  if (typeof value !== 'object' || value === null) return nothing
  if (Array.isArray(value)) return value
  if (value instanceof RegoSet) return value.unsorted()
  if (value instanceof RegoMap) return value.entries.map(([key]) => key)
  return value instanceof Decimal ? nothing : Object.keys(value)
}

/** The same in Rego's order, for where it can be told. */
export function orderedKeysOf(value: RegoValue | undefined): readonly RegoValue[] {
  if (value instanceof RegoSet) return value.members
  const keys = keysOf(value)
  return isObject(value) ? (keys as string[]).sort(compareStrings) : keys
}

/** What a scan finds at one of these keys, arrays apart. */
export function valueAt(value: RegoValue, key: RegoValue): RegoValue | undefined {
  if (value instanceof RegoSet) return key
  if (value instanceof RegoMap) return value.get(key)
  return (value as RegoObject)[key as string]
}

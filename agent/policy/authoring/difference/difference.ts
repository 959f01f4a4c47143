import { isJsonObject, type JsonValue } from '#base/json.ts'
import { isRawJSON } from '#base/raw-json.ts'

/** Where two values part first. `undefined` on a side: nothing is there. */
export interface Difference {
  /** JSON pointer; empty for the value as a whole. */
  readonly path: string
  readonly left: JsonValue | undefined
  readonly right: JsonValue | undefined
}

/**
 * The first place, in the order of keys, at which two values differ; `undefined` where they are the same. Arrays that
 * differ in nothing but their order are the same: a Rego set crosses as an array, and each engine has an order of its own.
 */
export function firstDifference(
  left: JsonValue | undefined,
  right: JsonValue | undefined,
  path = '',
): Difference | undefined {
  if (Array.isArray(left) && Array.isArray(right)) {
    if (left.length === right.length && sorted(left) === sorted(right)) return undefined
    for (let i = 0; i < Math.max(left.length, right.length); i++) {
      const found = firstDifference(left[i], right[i], `${path}/${i}`)
      if (found !== undefined) return found
    }
    return undefined
  }
  if (isJsonObject(left) && isJsonObject(right) && !isRawJSON(left) && !isRawJSON(right)) {
    for (const key of [...new Set([...Object.keys(left), ...Object.keys(right)])].sort()) {
      const found = firstDifference(own(left, key), own(right, key), `${path}/${escaped(key)}`)
      if (found !== undefined) return found
    }
    return undefined
  }
  return left === right || canonical(left) === canonical(right) || isRounded(left, right)
    ? undefined
    : { path, left, right }
}

/** Whether two numbers are the same to a side that has them as a double. */
function isRounded(left: JsonValue | undefined, right: JsonValue | undefined): boolean {
  if (typeof left !== 'number' && typeof right !== 'number') return false
  const number = (value: JsonValue | undefined) => (isRawJSON(value) ? Number(JSON.stringify(value)) : value)
  return number(left) === number(right)
}

/** A value as people see it in a line of a report. */
export function shown(value: JsonValue | undefined): string {
  const text = value === undefined ? 'undefined' : JSON.stringify(value)
  return text.length > 200 ? `${text.slice(0, 197)}…` : text
}

/** JSON with sorted keys and, in arrays, sorted members. */
export function canonical(value: JsonValue | undefined): string {
  if (Array.isArray(value)) return sorted(value)
  if (isJsonObject(value) && !isRawJSON(value)) {
    const fields = Object.keys(value)
      .sort()
      .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
    return `{${fields.join(',')}}`
  }
  return JSON.stringify(value) ?? 'undefined'
}

function sorted(values: readonly JsonValue[]): string {
  return `[${values.map(canonical).sort().join(',')}]`
}

function own(object: { readonly [key: string]: JsonValue | undefined }, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

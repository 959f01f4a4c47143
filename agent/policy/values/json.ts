import type { JsonObject, JsonValue } from '#base/json.ts'
import { isRawJSON, parseWithSource, rawJSON } from '#base/raw-json.ts'
import { entriesOf } from './compare.ts'
import { goJsonKey } from './go-json.ts'
import { mayHoldInexactNumber, numberText, parseNumber } from './number.ts'
import { parseRegoText } from './rego-text.ts'
import { Decimal, type RegoMap, RegoSet, type RegoValue } from './value.ts'

/** Reads JSON without rounding a number, lone surrogates as U+FFFD. @throws SyntaxError, RangeError */
export function fromJsonText(text: string): RegoValue {
  const sound = wellFormedEscapes(text)
  if (!mayHoldInexactNumber.test(sound)) return JSON.parse(sound)
  return parseWithSource(sound, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && source !== String(value)
      ? parseNumber(source)
      : value,
  ) as RegoValue
}

/** JSON text with every escaped surrogate that has no other half as U+FFFD, which is how Go reads it. */
export function wellFormedEscapes(json: string): string {
  if (!/\\u[dD][89a-fA-F]/.test(json)) return json
  return json.replace(
    /\\(?:u[dD][89abAB][\da-fA-F]{2}(?:\\u[dD][c-fC-F][\da-fA-F]{2})?|u[dD][c-fC-F][\da-fA-F]{2}|.)/gs,
    // What is longer is a pair, what is shorter another escape.
    (found) => (found.length === 6 ? '\\ufffd' : found),
  )
}

/** JSON of a Rego text, with sets as arrays in Rego's order. @throws SyntaxError, RangeError */
export function jsonOfRegoText(text: string): JsonValue {
  if (!mayHoldInexactNumber.test(text)) {
    try {
      // Most results have neither sets nor keys of other types.
      return JSON.parse(text)
    } catch {
      // Rego text that is no JSON.
    }
  }
  return toJson(parseRegoText(text))
}

/**
 * As OPA shows a value in JSON: a set is an array, and so in a key; a key that is no string is the JSON of it. Numbers that a
 * double would not write alike are raw literals that `JSON.stringify` writes as they are.
 */
export function toJson(value: RegoValue): JsonValue {
  if (typeof value === 'bigint' || value instanceof Decimal) {
    const text = numberText(value)
    const double = Number(text)
    return String(double) === text ? double : rawJSON(text)
  }
  if (typeof value !== 'object' || value === null) return value as JsonValue
  if (isRawJSON(value)) return value as unknown as JsonValue
  if (Array.isArray(value)) return value.map(toJson)
  if (value instanceof RegoSet) return value.members.map(toJson)
  return Object.fromEntries(entriesOf(value as RegoMap).map(([key, item]) => [goJsonKey(key), toJson(item)]))
}

/**
 * The value that JSON stands for. Raw literals become numbers without rounding, lone surrogates U+FFFD; where there are
 * none, as nearly always, it is the same value and nothing is copied.
 */
export function fromJson(value: JsonValue): RegoValue {
  if (typeof value === 'string') return value.isWellFormed() ? value : value.toWellFormed()
  // JSON has no other word for them.
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return fromList(value)
  if (isRawJSON(value)) return parseNumber(JSON.stringify(value))
  return fromObject(value as JsonObject)
}

// Each item is looked at once, also where something is found: what is nested must not cost more with each level.
function fromList(list: readonly JsonValue[]): RegoValue {
  let copy: RegoValue[] | undefined
  for (let i = 0; i < list.length; i++) {
    const item = list[i] as JsonValue
    const known = fromJson(item)
    if (known !== item) copy ??= list.slice(0, i) as RegoValue[]
    copy?.push(known)
  }
  return copy ?? (list as RegoValue)
}

function fromObject(object: JsonObject): RegoValue {
  let copy: Map<string, RegoValue> | undefined
  for (const key in object) {
    const item = object[key]
    const known = item === undefined ? undefined : fromJson(item)
    if (copy === undefined && known === item && item !== undefined && key.isWellFormed()) continue
    copy ??= entriesBefore(object, key)
    if (known !== undefined) copy.set(key.toWellFormed(), known)
  }
  return copy === undefined ? (object as RegoValue) : Object.fromEntries(copy)
}

/** The entries before a key, which were found to stay as they are. */
function entriesBefore(object: JsonObject, end: string): Map<string, RegoValue> {
  const entries = new Map<string, RegoValue>()
  for (const key in object) {
    if (key === end) break
    entries.set(key, object[key] as RegoValue)
  }
  return entries
}

/** With doubles for the literals that `toJson` left, for readers that know no other numbers. */
export function withDoubles(value: JsonValue): JsonValue {
  if (typeof value !== 'object' || value === null) return value
  if (isRawJSON(value)) return Number((value as { readonly rawJSON: string }).rawJSON)
  if (Array.isArray(value)) return value.map(withDoubles)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withDoubles(item as JsonValue)]))
}

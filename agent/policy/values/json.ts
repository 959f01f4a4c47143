import type { JsonValue } from '#base/json.ts'
import { compareStrings, entriesOf } from './compare.ts'
import { mayHoldInexactNumber, numberText, parseNumber } from './number.ts'
import { parseRegoText } from './rego-text.ts'
import { Decimal, type RegoMap, RegoSet, type RegoValue } from './value.ts'

const { parse, rawJSON, isRawJSON } = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): RegoValue
  rawJSON(text: string): JsonValue
  isRawJSON(value: unknown): boolean
}

/** Reads JSON without rounding a number. @throws SyntaxError, RangeError */
export function fromJsonText(text: string): RegoValue {
  if (!mayHoldInexactNumber.test(text)) return JSON.parse(text)
  return parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && source !== String(value)
      ? parseNumber(source)
      : value,
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
  return Object.fromEntries(
    entriesOf(value as RegoMap).map(([key, item]) => [
      typeof key === 'string' ? key : keyText(toJson(key)),
      toJson(item),
    ]),
  )
}

/** As Go writes JSON: keys in the order of their bytes, and what HTML would read as markup escaped. */
function keyText(value: JsonValue): string {
  const sorted = JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item) || isRawJSON(item)) return item
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => compareStrings(a, b)))
  })
  return sorted.replace(
    /[<>&\u2028\u2029]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** With doubles for the literals that `toJson` left, for readers that know no other numbers. */
export function withDoubles(value: JsonValue): JsonValue {
  if (typeof value !== 'object' || value === null) return value
  if (isRawJSON(value)) return Number((value as { readonly rawJSON: string }).rawJSON)
  if (Array.isArray(value)) return value.map(withDoubles)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withDoubles(item as JsonValue)]))
}

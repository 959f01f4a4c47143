import type { JsonValue } from '#base/json.ts'
import { entriesOf } from './compare.ts'
import { numberText, parseNumber } from './number.ts'
import { Decimal, type RegoMap, RegoSet, type RegoValue } from './value.ts'

const { parse, rawJSON, isRawJSON } = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): RegoValue
  rawJSON(text: string): JsonValue
  isRawJSON(value: unknown): boolean
}

/** Where a double may not hold what is written; everything else takes the quick way. */
const mayHoldInexactNumber = /[\d.]{16}|\d[eE]/

/** Reads JSON without rounding a number. @throws SyntaxError, RangeError */
export function fromJsonText(text: string): RegoValue {
  if (!mayHoldInexactNumber.test(text)) return JSON.parse(text)
  return parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && source !== String(value)
      ? parseNumber(source)
      : value,
  )
}

/**
 * As OPA shows a value in JSON: a set is an array, and so in a key; a key that is no string is the JSON of it. Numbers that a double
 * cannot hold are raw literals that `JSON.stringify` writes as they are.
 */
export function toJson(value: RegoValue): JsonValue {
  if (typeof value === 'bigint' || value instanceof Decimal) return rawJSON(numberText(value))
  if (typeof value !== 'object' || value === null) return value as JsonValue
  if (isRawJSON(value)) return value as unknown as JsonValue
  if (Array.isArray(value)) return value.map(toJson)
  if (value instanceof RegoSet) return value.members.map(toJson)
  return Object.fromEntries(
    entriesOf(value as RegoMap).map(([key, item]) => [
      typeof key === 'string' ? key : JSON.stringify(toJson(key)),
      toJson(item),
    ]),
  )
}

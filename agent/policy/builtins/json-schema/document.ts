import { entriesOf } from '../../values/compare.ts'
import { goJson, goJsonKey } from '../../values/go-json.ts'
import { fromJsonText } from '../../values/json.ts'
import { Decimal, isArray, RegoMap, RegoSet, type RegoValue } from '../../values/value.ts'

/** A JSON value whose objects are maps: the names in them are anybody's choice, `__proto__` included. */
export type Json = null | boolean | string | number | bigint | Decimal | Json[] | Map<string, Json>

export type JsonNumber = number | bigint | Decimal

export function isNumber(value: Json | undefined): value is JsonNumber {
  return typeof value === 'number' || typeof value === 'bigint' || value instanceof Decimal
}

export function isMap(value: Json | undefined): value is Map<string, Json> {
  return value instanceof Map
}

/** What a schema fault or a document of the wrong kind is told as. */
export class SchemaError extends Error {}

/** A document or schema: JSON text, or an object or array. @throws SchemaError, its message OPA's own */
export function documentOf(value: RegoValue | undefined): Json {
  if (typeof value === 'string') {
    try {
      return plain(fromJsonText(value))
    } catch (cause) {
      throw new SchemaError('invalid JSON string', { cause })
    }
  }
  if (isArray(value) || value instanceof RegoMap) return plain(value)
  const isObject = typeof value === 'object' && value !== null && !(value instanceof RegoSet)
  if (!isObject || value instanceof Decimal) throw new SchemaError('wrong type, expected string or object')
  return plain(value)
}

function plain(value: RegoValue): Json {
  if (typeof value !== 'object' || value === null || value instanceof Decimal) return value
  if (isArray(value)) return value.map(plain)
  if (value instanceof RegoSet) return value.members.map(plain)
  return new Map(entriesOf(value as RegoMap).map(([key, item]) => [goJsonKey(key), plain(item)]))
}

/** The text by which values are compared: numbers are doubles in it, as in gojsonschema. */
export function comparedText(value: Json): string {
  return goJson(withDoubles(value))
}

function withDoubles(value: Json): RegoValue {
  if (isNumber(value)) {
    const double = Number(value instanceof Decimal ? value.text : value)
    if (!Number.isFinite(double)) throw new SchemaError('a number beyond a double')
    return double
  }
  if (Array.isArray(value)) return value.map(withDoubles)
  if (isMap(value)) return Object.fromEntries([...value].map(([key, item]) => [key, withDoubles(item)]))
  return value
}

import { compareStrings } from '../../values/compare.ts'
import { numberText } from '../../values/number.ts'
import { Decimal, isArray, RegoMap, RegoSet, type RegoValue } from '../../values/value.ts'
import { OperandError } from '../operands.ts'
import type { Operand } from '../sprintf.ts'
import { goSprintf } from '../sprintf.ts'

/** A number of the data: Go's `json.Number`, which is a string to whoever asks. */
export class JsonNumber {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/**
 * A value of a template: `undefined` is nothing at all (a key that is not there), `null` is JSON's. Integers are `bigint`,
 * `number` is a float, and of either there is only what the template itself writes or counts.
 */
export type Value =
  | undefined
  | null
  | boolean
  | string
  | bigint
  | number
  | JsonNumber
  | readonly Value[]
  | ReadonlyMap<string, Value>

/** What OPA, which reads the data from Rego's text as JSON, cannot read: Go escapes these as JSON does not. */
const unreadable = /[^\b\t\n\f\r -~\u0080-\u{10ffff}]|(?=[\u{10000}-\u{10ffff}])[^\p{L}\p{M}\p{N}\p{P}\p{S}]/u

function readable(text: string): string {
  if (unreadable.test(text)) throw new OperandError('a character that OPA cannot read back')
  return text
}

/** Data as a template sees it. @throws OperandError for sets and keys that are no strings, which JSON has not */
export function dataOf(value: RegoValue): Value {
  if (typeof value === 'string') return readable(value)
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof Decimal)
    return new JsonNumber(numberText(value))
  if (typeof value !== 'object' || value === null) return value
  if (isArray(value)) return value.map(dataOf)
  if (value instanceof RegoSet || value instanceof RegoMap) throw new OperandError('not JSON')
  return new Map(Object.entries(value).map(([key, item]) => [readable(key), dataOf(item)]))
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value)
}

export function isMap(value: Value): value is ReadonlyMap<string, Value> {
  return value instanceof Map
}

/** Keys and what they hold, in the order in which Go goes through a map. */
export function sortedEntries(map: ReadonlyMap<string, Value>): (readonly [string, Value])[] {
  return [...map].sort(([a], [b]) => compareStrings(a, b))
}

/** Whether a condition holds: everything does that is not the zero of its type. */
export function isTrue(value: Value): boolean {
  if (value instanceof JsonNumber) return value.text.length > 0
  if (isList(value)) return value.length > 0
  if (isMap(value)) return value.size > 0
  return Boolean(value)
}

/** As Go's `fmt` shows it with `%v`. */
export function shown(value: Value): string {
  if (isList(value)) return `[${value.map(shown).join(' ')}]`
  if (isMap(value))
    return `map[${sortedEntries(value)
      .map(([key, item]) => `${key}:${shown(item)}`)
      .join(' ')}]`
  return goSprintf('%v', [operandOf(value)])
}

/** What `printf` gets of a value. */
export function operandOf(value: Value): Operand {
  if (value === undefined || value === null) return null
  if (typeof value === 'number') return { float: value }
  if (value instanceof JsonNumber) return { jsonNumber: value.text }
  if (isList(value) || isMap(value)) return shown(value)
  return value as string | boolean | bigint
}

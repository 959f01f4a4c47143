import type { Builtin, Family } from '../../builtins/builtin.ts'
import { OperandError, text } from '../../builtins/operands.ts'
import { parseNumber } from '../../values/number.ts'
import { Decimal, isAnyObject, RegoSet, type RegoValue } from '../../values/value.ts'

export function typeName(value: RegoValue): string {
  if (value === null) return 'null'
  if (typeof value === 'bigint' || value instanceof Decimal) return 'number'
  if (typeof value !== 'object') return typeof value
  if (Array.isArray(value)) return 'array'
  return value instanceof RegoSet ? 'set' : 'object'
}

const is =
  (type: string): Builtin =>
  (_, value) =>
    typeName(value as RegoValue) === type

/** As Go's `ParseFloat` and then Rego read a number: no spaces, no infinities, no underscores. */
function toNumber(value: RegoValue | undefined): RegoValue {
  if (value === null || value === false) return 0
  if (value === true) return 1
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof Decimal) return value
  const match = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.exec(text(value))
  if (match === null) throw new OperandError('not a number')
  const [, sign = '', digits = '', exponent = ''] = match
  const plain = digits.startsWith('.') ? `0${digits}` : digits
  if (!Number.isFinite(Number(`${plain}${exponent}`))) throw new OperandError('beyond the doubles')
  return parseNumber(`${sign === '-' ? '-' : ''}${plain}${exponent}`)
}

/** `is_*`, `type_name`, `to_number`. */
export const typeBuiltins: Family = {
  is_number: is('number'),
  is_string: is('string'),
  is_boolean: is('boolean'),
  is_array: is('array'),
  is_set: is('set'),
  is_object: (_, value) => isAnyObject(value),
  is_null: is('null'),
  type_name: (_, value) => typeName(value as RegoValue),
  to_number: (_, value) => toNumber(value),
}

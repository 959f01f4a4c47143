import { OperandError } from '../../builtins/operands.ts'
import { integerOfParts, partsOf } from '../../values/number.ts'
import { Decimal, type RegoValue } from '../../values/value.ts'

/** The integer that a value is, however it is written; `undefined` where it is none. */
export function wholeOf(value: RegoValue | undefined): bigint | undefined {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : undefined
  if (!(value instanceof Decimal)) return undefined
  const parts = partsOf(value.text)
  return parts.exponent >= 0 ? integerOfParts(parts) : undefined
}

/** @throws OperandError where it is none. */
export function whole(value: RegoValue | undefined): bigint {
  const found = wholeOf(value)
  if (found === undefined) throw new OperandError('not an integer')
  return found
}

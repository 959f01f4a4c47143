import { integerOfParts, partsOf } from '../values/number.ts'
import {
  Decimal,
  isAnyObject,
  isArray,
  isObject,
  type RegoMap,
  type RegoObject,
  RegoSet,
  type RegoValue,
} from '../values/value.ts'

/** An operand of the wrong type or form: an error in OPA, and an error is undefined. */
export class OperandError extends Error {}

/** Whether a value can be read: to ask for that is no error. */
export function succeeds(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch {
    return false
  }
}

export function text(value: RegoValue | undefined): string {
  if (typeof value !== 'string') throw new OperandError('not a string')
  return value
}

export function boolean(value: RegoValue | undefined): boolean {
  if (typeof value !== 'boolean') throw new OperandError('not a boolean')
  return value
}

/** An integer that a double holds exactly; zeros may stand after its point, an exponent may not. */
export function integer(value: RegoValue | undefined): number {
  const plain = value instanceof Decimal && /^-?\d+\.0*$/.test(value.text) ? Number(value.text) : value
  if (typeof plain !== 'number' || !Number.isSafeInteger(plain)) throw new OperandError('not an integer')
  return plain
}

/** An integer of any size, however it is written. */
export function bigInteger(value: RegoValue | undefined): bigint {
  const found = wholeOf(value)
  if (found === undefined) throw new OperandError('not an integer')
  return found
}

/** The integer that a value is, however it is written; `undefined` where it is none. */
export function wholeOf(value: RegoValue | undefined): bigint | undefined {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : undefined
  if (!(value instanceof Decimal)) return undefined
  const parts = partsOf(value.text)
  return parts.exponent >= 0 ? integerOfParts(parts) : undefined
}

export function number(value: RegoValue | undefined): number | bigint | Decimal {
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof Decimal) return value
  throw new OperandError('not a number')
}

export function list(value: RegoValue | undefined): readonly RegoValue[] {
  if (!isArray(value)) throw new OperandError('not an array')
  return value
}

/** The members of an array or a set. */
export function collection(value: RegoValue | undefined): readonly RegoValue[] {
  if (value instanceof RegoSet) return value.members
  return list(value)
}

export function texts(value: RegoValue | undefined): readonly string[] {
  return collection(value).map(text)
}

/** An object whose keys are strings. */
export function object(value: RegoValue | undefined): RegoObject {
  if (!isObject(value)) throw new OperandError('not an object with string keys')
  return value
}

export function anyObject(value: RegoValue | undefined): RegoObject | RegoMap {
  return isAnyObject(value) ? value : object(value)
}

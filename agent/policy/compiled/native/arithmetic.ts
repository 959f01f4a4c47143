import type { Builtin, Family } from '../../builtins/builtin.ts'
import { number, OperandError, wholeOf } from '../../builtins/operands.ts'
import {
  addFloats,
  type BigFloat,
  bigFloatOf,
  divideFloats,
  multiplyFloats,
  numberOfFloat,
  truncated,
} from '../../values/big-float.ts'
import { numberText } from '../../values/number.ts'
import { integerOf, RegoSet, type RegoValue } from '../../values/value.ts'

type RegoNumber = ReturnType<typeof number>

/** What an operation does: on integers that stay exact, on integers of any size, on fractions. */
interface Operation {
  small(a: number, b: number): number
  exact(a: bigint, b: bigint): bigint
  float(a: BigFloat, b: BigFloat): BigFloat
}

function compute(operation: Operation, a: RegoNumber, b: RegoNumber): RegoNumber {
  if (Number.isInteger(a) && Number.isInteger(b)) {
    const result = operation.small(a as number, b as number)
    if (Number.isSafeInteger(result)) return result + 0
  }
  const [left, right] = [wholeOf(a), wholeOf(b)]
  if (left !== undefined && right !== undefined) return integerOf(operation.exact(left, right))
  return numberOfFloat(operation.float(floatOf(a), floatOf(b)))
}

const floatOf = (value: RegoNumber) => bigFloatOf(numberText(value))
const negative = ({ mantissa, exponent }: BigFloat): BigFloat => ({ mantissa: -mantissa, exponent })

const addition: Operation = { small: (a, b) => a + b, exact: (a, b) => a + b, float: addFloats }
const subtraction: Operation = {
  small: (a, b) => a - b,
  exact: (a, b) => a - b,
  float: (a, b) => addFloats(a, negative(b)),
}
const multiplication: Operation = { small: (a, b) => a * b, exact: (a, b) => a * b, float: multiplyFloats }

const add = (a: RegoNumber, b: RegoNumber): RegoNumber => compute(addition, a, b)

/** Of all, exactly where all are integers, else as OPA adds floats. */
export function sum(values: readonly RegoNumber[]): RegoNumber {
  if (values.every((value) => wholeOf(value) !== undefined)) return values.reduce(add, 0)
  return numberOfFloat(values.map(floatOf).reduce(addFloats, whole(0n)))
}

/** Floats are multiplied in the 53 bits of the one that OPA starts with. */
export function product(values: readonly RegoNumber[]): RegoNumber {
  const wholes = values.map(wholeOf)
  if (wholes.every((value) => value !== undefined))
    return integerOf(wholes.reduce((result, value) => result * value, 1n))
  const bits = 53
  return numberOfFloat(
    values.map(floatOf).reduce((result, value) => multiplyFloats(result, value, bits), whole(1n)),
    bits,
  )
}

function divide(a: RegoNumber, b: RegoNumber): RegoNumber {
  const divisor = wholeOf(b)
  if (divisor === 0n) throw new OperandError('divide by zero')
  const small =
    typeof a === 'number' && typeof b === 'number' && Math.abs(a) < 2 ** 31 && Math.abs(b) < 2 ** 31
  if (small && Number.isInteger(a / b) && Number.isInteger(a) && Number.isInteger(b)) return a / b + 0
  return numberOfFloat(divideFloats(floatOf(a), floatOf(b)))
}

function remainder(a: RegoNumber, b: RegoNumber): RegoNumber {
  const [left, right] = [wholeOf(a), wholeOf(b)]
  if (left === undefined || right === undefined) throw new OperandError('modulo on floating-point number')
  if (right === 0n) throw new OperandError('modulo by zero')
  return integerOf(left % right)
}

/** A rounding: integers that 32 bits hold stay what they are, all else goes through 64 bits as OPA's does. */
const rounding =
  (round: (value: BigFloat) => bigint): Builtin =>
  (_, value) => {
    const operand = number(value)
    if (typeof operand === 'number' && Number.isInteger(operand) && Math.abs(operand) < 2 ** 31)
      return operand
    return integerOf(round(floatOf(operand)))
  }

const half: BigFloat = { mantissa: 1n, exponent: -1 }
const whole = (value: bigint): BigFloat => bigFloatOf(value.toString())

/** As OPA does it: what lies between -1 and 0 is cut to 0, which has no sign, so that `ceil(-0.5)` is 1. */
function stepped(value: BigFloat, step: bigint): bigint {
  const cut = truncated(value)
  const isWhole = value.exponent >= 0 || cut << BigInt(-value.exponent) === value.mantissa
  const isPast = step > 0n ? cut < 0n : cut >= 0n
  return isWhole || isPast ? cut : cut + step
}

const binary =
  (apply: (a: RegoNumber, b: RegoNumber) => RegoNumber): Builtin =>
  (_, a, b) =>
    apply(number(a), number(b))

/** `+`, `-`, `*`, `/`, `%` and roundings; exact on integers, 64 bits on fractions. */
export const arithmeticBuiltins: Family = {
  plus: binary(add),
  mul: binary((a, b) => compute(multiplication, a, b)),
  div: binary(divide),
  rem: binary(remainder),
  minus: (_, a, b) =>
    a instanceof RegoSet && b instanceof RegoSet
      ? difference(a, b)
      : compute(subtraction, number(a), number(b)),
  abs: (_, value) => {
    const operand = number(value)
    if (typeof operand === 'number' && Number.isInteger(operand)) return Math.abs(operand)
    const float = floatOf(operand)
    return numberOfFloat(float.mantissa < 0n ? negative(float) : float)
  },
  round: rounding((value) => truncated(addFloats(value, value.mantissa < 0n ? negative(half) : half))),
  ceil: rounding((value) => stepped(value, 1n)),
  floor: rounding((value) => stepped(value, -1n)),
}

/** The members of one set that the other has not. */
export function difference(a: RegoSet, b: RegoSet): RegoSet {
  return new RegoSet(a.members.filter((member: RegoValue) => !b.has(member)))
}

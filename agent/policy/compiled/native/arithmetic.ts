import type { Builtin, Family } from '../../builtins/builtin.ts'
import { number, OperandError } from '../../builtins/operands.ts'
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
import { wholeOf } from './integers.ts'

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

export const plus = (a: RegoNumber, b: RegoNumber): RegoNumber => compute(addition, a, b)
export const times = (a: RegoNumber, b: RegoNumber): RegoNumber => compute(multiplication, a, b)

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
  (round: (value: BigFloat) => BigFloat): Builtin =>
  (_, value) => {
    const operand = number(value)
    if (typeof operand === 'number' && Number.isInteger(operand) && Math.abs(operand) < 2 ** 31)
      return operand
    return numberOfFloat(round(floatOf(operand)))
  }

const half: BigFloat = { mantissa: 1n, exponent: -1 }
const whole = (value: bigint): BigFloat => bigFloatOf(value.toString())

function stepped(value: BigFloat, step: bigint): BigFloat {
  const cut = truncated(value)
  const isWhole = value.exponent >= 0 || cut << BigInt(-value.exponent) === value.mantissa
  const isPast = step > 0n ? value.mantissa < 0n : value.mantissa > 0n
  return whole(isWhole || isPast ? cut : cut + step)
}

const binary =
  (apply: (a: RegoNumber, b: RegoNumber) => RegoNumber): Builtin =>
  (_, a, b) =>
    apply(number(a), number(b))

/** `+`, `-`, `*`, `/`, `%` and roundings; exact on integers, 64 bits on fractions. */
export const arithmeticBuiltins: Family = {
  plus: binary(plus),
  mul: binary(times),
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
  round: rounding((value) => whole(truncated(addFloats(value, value.mantissa < 0n ? negative(half) : half)))),
  ceil: rounding((value) => stepped(value, 1n)),
  floor: rounding((value) => stepped(value, -1n)),
}

/** The members of one set that the other has not. */
export function difference(a: RegoSet, b: RegoSet): RegoSet {
  return new RegoSet(a.members.filter((member: RegoValue) => !b.has(member)))
}

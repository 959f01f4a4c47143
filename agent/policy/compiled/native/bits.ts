import type { Builtin, Family } from '../../builtins/builtin.ts'
import { bigInteger, OperandError } from '../../builtins/operands.ts'
import { integerOf } from '../../values/value.ts'

const binary =
  (apply: (a: bigint, b: bigint) => bigint): Builtin =>
  (_, a, b) =>
    integerOf(apply(bigInteger(a), bigInteger(b)))

/** Beyond this a policy would make a number to fill the memory. */
const maxShift = 100_000n

function shift(by: bigint): bigint {
  if (by < 0n || by > maxShift) throw new OperandError('a shift below zero or too far')
  return by
}

/** `bits.*`, on integers of any size in two's complement. */
export const bitBuiltins: Family = {
  'bits.and': binary((a, b) => a & b),
  'bits.or': binary((a, b) => a | b),
  'bits.xor': binary((a, b) => a ^ b),
  'bits.negate': (_, value) => integerOf(~bigInteger(value)),
  'bits.lsh': binary((a, b) => a << shift(b)),
  'bits.rsh': binary((a, b) => a >> (b > maxShift ? maxShift : shift(b))),
}

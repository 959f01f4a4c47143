import { randomInt } from 'node:crypto'
import { parseNumber, partsOf } from '../values/number.ts'
import { integerOf, type RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { bigInteger, OperandError, text } from './operands.ts'

const si = ['', 'k', 'm', 'g', 't', 'p', 'e']
const sizes: ReadonlyMap<string, bigint> = new Map(
  si.flatMap((letter, power): [string, bigint][] =>
    letter === ''
      ? [['', 1n]]
      : [
          [letter, 1000n ** BigInt(power)],
          [`${letter}i`, 1024n ** BigInt(power)],
        ],
  ),
)

/** A number and what stands behind it. Digits, points, signs and an exponent belong to the number. */
function amountOf(value: string): {
  readonly digits: bigint
  readonly exponent: number
  readonly unit: string
} {
  if (value.includes(' ')) throw new OperandError('spaces are not allowed')
  const match = /^((?:[\d.+-]|[eE](?=[\d+-])[+-]?)*)(.*)$/su.exec(value)
  const [, number = '', unit = ''] = match ?? []
  if (number === '') throw new OperandError('no amount')
  if (/[eE][+-]?\d{7}/.test(number)) throw new OperandError('the exponent is too large')
  if (!/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(number)) throw new OperandError('no number')
  const sign = number.startsWith('-') ? '-' : ''
  const plain = number.replace(/^[+-]/, '').replace(/^\./, '0.')
  return { ...partsOf(sign + plain), unit }
}

/** The fraction `digits × size × 10^exponent` as a Rego number, with ten decimals where it is no integer. */
function scaled(digits: bigint, exponent: number, size: bigint): RegoValue {
  const product = digits * size
  if (exponent >= 0) return integerOf(product * 10n ** BigInt(exponent))
  const divisor = 10n ** BigInt(-exponent)
  if (product % divisor === 0n) return integerOf(product / divisor)
  const ten = 10n ** 10n
  const magnitude = product < 0n ? -product : product
  // Half away from zero, as Go rounds a rational.
  const rounded = (magnitude * ten * 2n + divisor) / (divisor * 2n)
  return parseNumber(`${product < 0n ? '-' : ''}${rounded / ten}.${String(rounded % ten).padStart(10, '0')}`)
}

/** Beyond this a policy would build a list to fill the memory. */
const maxRange = 1_000_000n

/** Up or down from the first, in steps of that size. @throws OperandError where they are too many */
export function integersFrom(first: bigint, last: bigint, by = 1n): RegoValue[] {
  const distance = last >= first ? last - first : first - last
  if (distance / by >= maxRange) throw new OperandError('too many numbers')
  const direction = last >= first ? by : -by
  return Array.from({ length: Number(distance / by) + 1 }, (_each, index) =>
    integerOf(first + BigInt(index) * direction),
  )
}

/** `units.*`, `numbers.range_step`, `rand.intn`. */
export const numberBuiltins: Family = {
  'units.parse': (_, value) => {
    const { digits, exponent, unit } = amountOf(text(value).replaceAll('"', ''))
    const normal = unit.slice(0, 1) + unit.slice(1).toLowerCase()
    if (normal === 'm') return scaled(digits, exponent - 3, 1n)
    const size = sizes.get(normal.toLowerCase())
    if (size === undefined) throw new OperandError('no such unit')
    return scaled(digits, exponent, size)
  },
  'units.parse_bytes': (_, value) => {
    const { digits, exponent, unit } = amountOf(text(value).toLowerCase().replaceAll('"', ''))
    const size = sizes.get(unit.replace(/^(.i?)b$/s, '$1'))
    if (size === undefined) throw new OperandError('no such unit')
    const product = digits * size
    return integerOf(exponent >= 0 ? product * 10n ** BigInt(exponent) : product / 10n ** BigInt(-exponent))
  },
  'numbers.range_step': (_, from, to, step) => {
    const [first, last, by] = [bigInteger(from), bigInteger(to), bigInteger(step)]
    if (by <= 0n) throw new OperandError('the step is positive')
    return integersFrom(first, last, by)
  },
  'rand.intn': (context, key, bound) => {
    const limit = bigInteger(bound)
    if (limit === 0n) return 0
    const size = limit < 0n ? -limit : limit
    if (size > 2n ** 47n) throw new OperandError('too large')
    context.memo ??= new Map()
    const name = `rand.intn ${JSON.stringify([text(key), String(size)])}`
    let chosen = context.memo.get(name)
    if (chosen === undefined) {
      chosen = randomInt(Number(size))
      context.memo.set(name, chosen)
    }
    return chosen
  },
}

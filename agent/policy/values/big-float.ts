import { goFloatDigits } from './go-float.ts'
import { type Parts, parseNumber, partsOf } from './number.ts'
import type { Decimal } from './value.ts'

/**
 * A binary number of 64 significant bits unless said otherwise, `mantissa × 2^exponent`: what Go's `big.Float` is where nobody asks for more,
 * and so what OPA computes fractions with.
 *
 * @see https://pkg.go.dev/math/big#Float
 */
export interface BigFloat {
  readonly mantissa: bigint
  readonly exponent: number
}

const usualBits = 64
const zero: BigFloat = { mantissa: 0n, exponent: 0 }

function lengthInBits(value: bigint): number {
  return (
    value.toString(16).length * 4 - (Math.clz32(Number.parseInt(value.toString(16)[0] as string, 16)) - 28)
  )
}

/** To the nearest, ties to the even mantissa. `rest` says that there was more below the last bit. */
function rounded(mantissa: bigint, exponent: number, bits = usualBits, rest = false): BigFloat {
  if (mantissa === 0n) return zero
  const magnitude = mantissa < 0n ? -mantissa : mantissa
  const excess = BigInt(lengthInBits(magnitude) - bits)
  if (excess <= 0n) return { mantissa, exponent }
  let kept = magnitude >> excess
  const below = magnitude - (kept << excess)
  const half = 1n << (excess - 1n)
  if (below > half || (below === half && (rest || (kept & 1n) === 1n))) kept++
  return { mantissa: mantissa < 0n ? -kept : kept, exponent: exponent + Number(excess) }
}

/** `numerator / denominator × 2^exponent`, rounded. */
function ratio(numerator: bigint, denominator: bigint, exponent: number): BigFloat {
  const isNegative = numerator < 0n !== denominator < 0n
  const [a, b] = [numerator < 0n ? -numerator : numerator, denominator < 0n ? -denominator : denominator]
  if (a === 0n) return zero
  // Two bits more than are kept, and whether anything is left beneath them.
  const shift = BigInt(Math.max(0, usualBits + 2 - lengthInBits(a) + lengthInBits(b)))
  const quotient = (a << shift) / b
  const isRest = quotient * b !== a << shift
  const { mantissa, exponent: power } = rounded(quotient, exponent - Number(shift), usualBits, isRest)
  return { mantissa: isNegative ? -mantissa : mantissa, exponent: power }
}

export function bigFloatOf(text: string): BigFloat {
  const { digits, exponent }: Parts = partsOf(text)
  return exponent >= 0
    ? rounded(digits * 10n ** BigInt(exponent), 0)
    : ratio(digits, 10n ** BigInt(-exponent), 0)
}

export function addFloats(a: BigFloat, b: BigFloat): BigFloat {
  const exponent = Math.min(a.exponent, b.exponent)
  return rounded(
    (a.mantissa << BigInt(a.exponent - exponent)) + (b.mantissa << BigInt(b.exponent - exponent)),
    exponent,
  )
}

export function multiplyFloats(a: BigFloat, b: BigFloat, bits?: number): BigFloat {
  return rounded(a.mantissa * b.mantissa, a.exponent + b.exponent, bits)
}

/** @throws RangeError where the divisor is zero. */
export function divideFloats(a: BigFloat, b: BigFloat): BigFloat {
  return ratio(a.mantissa, b.mantissa, a.exponent - b.exponent)
}

/** The integer part. */
export function truncated({ mantissa, exponent }: BigFloat): bigint {
  return exponent >= 0 ? mantissa << BigInt(exponent) : mantissa / (1n << BigInt(-exponent))
}

/** The number with the fewest digits of which this is the nearest float of that many bits, written as Go does. */
export function numberOfFloat({ mantissa, exponent }: BigFloat, bits = usualBits): number | bigint | Decimal {
  if (mantissa === 0n) return 0
  const magnitude = mantissa < 0n ? -mantissa : mantissa
  const missing = bits - lengthInBits(magnitude)
  const isEven = missing > 0 || (magnitude & 1n) === 0n
  // Half a unit of the last bit is 2^half; as a fraction m / 2^k is m × 5^k / 10^k, all is integers over one power of ten.
  const half = exponent - missing - 1
  const ulp = half >= 0 ? 2n ** BigInt(half) : 5n ** BigInt(-half)
  const scale = Math.max(0, -half)
  const exact = (magnitude << BigInt(missing + 1)) * ulp
  const length = exact.toString().length
  for (let drop = length - 1; drop > 0; drop--) {
    const unit = 10n ** BigInt(drop)
    const below = exact % unit
    const above = unit - below
    const isDown = below < ulp || (isEven && below === ulp)
    const isUp = above < ulp || (isEven && above === ulp)
    if (!isDown && !isUp) continue
    const digits = exact / unit
    const isNearDown = below < above || (below === above && digits % 2n === 0n)
    return written(mantissa < 0n, isDown && (!isUp || isNearDown) ? digits : digits + 1n, drop - scale)
  }
  return written(mantissa < 0n, exact, -scale)
}

/** Go's `%g` of a fraction, and plain digits of an integer. */
function written(isNegative: boolean, value: bigint, power: number): number | bigint | Decimal {
  const digits = value.toString().replace(/0+$/, '')
  const exponent = power + value.toString().length - digits.length
  const sign = isNegative ? '-' : ''
  if (exponent >= 0) return parseNumber(`${sign}${digits}${'0'.repeat(exponent)}`)
  const first = digits.length - 1 + exponent
  const rest = digits.length > 1 ? `.${digits.slice(1)}` : ''
  return parseNumber(goFloatDigits(`${sign}${digits[0]}${rest}`, first))
}

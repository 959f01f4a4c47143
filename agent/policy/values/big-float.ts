import { type Parts, parseNumber, partsOf } from './number.ts'
import type { Decimal } from './value.ts'

/**
 * A binary number of 64 significant bits, `mantissa × 2^exponent`: what Go's `big.Float` is where nobody asks for more,
 * and so what OPA computes fractions with.
 *
 * @see https://pkg.go.dev/math/big#Float
 */
export interface BigFloat {
  readonly mantissa: bigint
  readonly exponent: number
}

const bits = 64
const zero: BigFloat = { mantissa: 0n, exponent: 0 }

function lengthInBits(value: bigint): number {
  return (
    value.toString(16).length * 4 - (Math.clz32(Number.parseInt(value.toString(16)[0] as string, 16)) - 28)
  )
}

/** To the nearest, ties to the even mantissa. `rest` says that there was more below the last bit. */
function rounded(mantissa: bigint, exponent: number, rest = false): BigFloat {
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
  const shift = BigInt(Math.max(0, bits + 2 - lengthInBits(a) + lengthInBits(b)))
  const quotient = (a << shift) / b
  const isRest = quotient * b !== a << shift
  const { mantissa, exponent: power } = rounded(quotient, exponent - Number(shift), isRest)
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

export function multiplyFloats(a: BigFloat, b: BigFloat): BigFloat {
  return rounded(a.mantissa * b.mantissa, a.exponent + b.exponent)
}

/** @throws RangeError where the divisor is zero. */
export function divideFloats(a: BigFloat, b: BigFloat): BigFloat {
  return ratio(a.mantissa, b.mantissa, a.exponent - b.exponent)
}

/** The integer part. */
export function truncated({ mantissa, exponent }: BigFloat): bigint {
  return exponent >= 0 ? mantissa << BigInt(exponent) : mantissa / (1n << BigInt(-exponent))
}

/** The number with the fewest digits of which this is the nearest float of 64 bits. */
export function numberOfFloat(float: BigFloat): number | bigint | Decimal {
  const { mantissa, exponent } = float
  const whole = truncated(float)
  if (exponent >= 0 || whole * (1n << BigInt(-exponent)) === mantissa) return parseNumber(whole.toString())
  const magnitude = mantissa < 0n ? -mantissa : mantissa
  const sign = mantissa < 0n ? '-' : ''
  // A fraction m / 2^k is m × 5^k / 10^k: its decimal digits, all of them.
  const missing = BigInt(bits - lengthInBits(magnitude))
  const scale = -exponent + Number(missing) + 1
  const five = 5n ** BigInt(scale)
  const exact = (magnitude << (missing + 1n)) * five
  const isEven = ((magnitude << missing) & 1n) === 0n
  // Halfway to the neighbours; below a power of two they are nearer.
  const isPower = magnitude << missing === 1n << BigInt(bits - 1)
  const [above, below] = [five, isPower ? five / 2n : five]
  for (let drop = exact.toString().length - 1; drop >= 0; drop--) {
    const unit = 10n ** BigInt(drop)
    const down = (exact / unit) * unit
    const up = down + unit
    const isDown = exact - down < below || (isEven && exact - down === below)
    const isUp = up - exact < above || (isEven && up - exact === above)
    if (!isDown && !isUp) continue
    const isNearDown = isDown && (!isUp || exact - down < up - exact)
    return parseNumber(`${sign}${isNearDown ? down : up}e-${scale}`)
  }
  return parseNumber(`${sign}${exact}e-${scale}`)
}

import { Decimal, integerOf } from './value.ts'

/** Digits beyond which arithmetic on a number would be an attack. */
const maxExponent = 10_000

/**
 * Where JSON or Rego text may hold a number that a double would not give back as it is written: digits beyond it, an exponent,
 * zeros after the point. Everything else takes the quick way.
 */
export const mayHoldInexactNumber = /[\d.]{16}|\d[eE]|(?:^|[[{(,:\s])-?\d+\.\d*0(?!\d)/

export interface Parts {
  /** Value is `digits × 10^exponent`; `digits` has no trailing zero unless it is 0. */
  readonly digits: bigint
  readonly exponent: number
}

/**
 * Reads a JSON number without rounding.
 *
 * @throws RangeError where the exponent is absurd.
 */
export function parseNumber(text: string): number | bigint | Decimal {
  const quick = Number(text)
  if (Number.isSafeInteger(quick) && /^-?\d{1,16}$/.test(text)) return quick === 0 ? 0 : quick
  // Also a fault where the exponent is absurd.
  const { digits, exponent } = partsOf(text)
  // Written as a float it stays one, as `sprintf` can tell.
  if (/[.eE]/.test(text)) return String(quick) === text ? quick : new Decimal(text)
  return integerOf(integerOfParts({ digits, exponent }))
}

/** Of a number without a fraction: its exponent is not negative. */
export function integerOfParts({ digits, exponent }: Parts): bigint {
  return digits * 10n ** BigInt(exponent)
}

/** The integer or double that is equal to a decimal; `undefined` where there is none. */
export function plainNumber({ text }: Decimal): number | bigint | undefined {
  const parts = partsOf(text)
  if (parts.exponent >= 0) return integerOf(integerOfParts(parts))
  const quick = Number(text)
  if (!Number.isFinite(quick)) return undefined
  const shown = partsOf(String(quick))
  return shown.digits === parts.digits && shown.exponent === parts.exponent ? quick : undefined
}

/** As JSON writes it, and Go: integers without exponent, however long. */
export function numberText(value: number | bigint | Decimal): string {
  if (value instanceof Decimal) return value.text
  if (typeof value === 'bigint') return value.toString()
  if (Number.isInteger(value) && Math.abs(value) >= 1e21) return BigInt(value).toString()
  return String(value)
}

/** Negative, zero or positive, exactly. */
export function compareNumbers(a: number | bigint | Decimal, b: number | bigint | Decimal): number {
  if (typeof a === 'number' && typeof b === 'number') return a < b ? -1 : a > b ? 1 : 0
  if (!(a instanceof Decimal) && !(b instanceof Decimal)) return a < b ? -1 : a > b ? 1 : 0
  const [left, right] = [partsOf(numberText(a)), partsOf(numberText(b))]
  const exponent = Math.min(left.exponent, right.exponent)
  const difference =
    left.digits * 10n ** BigInt(left.exponent - exponent) -
    right.digits * 10n ** BigInt(right.exponent - exponent)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** @throws RangeError where the exponent is absurd, SyntaxError where it is no number. */
export function partsOf(text: string): Parts {
  const match = /^(-?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text)
  if (match === null) throw new SyntaxError(`${text} is no number`)
  const [, sign = '', whole = '0', fraction = '', power = '0'] = match
  let digits = (whole + fraction).replace(/^0+/, '')
  let exponent = Number(power) - fraction.length
  // A loop, where a regular expression would take the square of the length of zeros that are not at the end.
  let end = digits.length
  while (digits[end - 1] === '0') end--
  const significant = digits.slice(0, end)
  exponent += digits.length - significant.length
  digits = significant
  if (digits === '') return { digits: 0n, exponent: 0 }
  if (Math.abs(exponent) > maxExponent) throw new RangeError(`${text} is beyond what is computed with`)
  return { digits: BigInt(sign + digits), exponent }
}

import { exponentText, goFloat } from '../values/go-float.ts'

// What Go's `strconv.FormatFloat` writes of a double that is not negative. JavaScript's own `toFixed` rounds a tie up, Go
// rounds it to even.

/** No double has more decimals: what is asked for beyond them are zeros. */
const maxDecimals = 1100

/** `%f`. */
export function fixed(value: number, decimals: number): string {
  const kept = Math.min(decimals, maxDecimals)
  const digits = scaled(value, kept)
    .toString()
    .padStart(kept + 1, '0')
  const fraction = digits.slice(digits.length - kept).padEnd(decimals, '0')
  return decimals === 0 ? digits : `${digits.slice(0, digits.length - kept)}.${fraction}`
}

/** `%e`. */
export function exponential(value: number, decimals: number): string {
  const { digits, power } = significant(value, Math.min(decimals, maxDecimals))
  const fraction = digits.slice(1).padEnd(decimals, '0')
  return `${digits.slice(0, 1)}${fraction === '' ? '' : `.${fraction}`}${exponentText(power)}`
}

/** `%g`: with an exponent below -4 and from the precision on, which is 6 where the shortest text is asked for. */
export function general(value: number, precision: number | undefined): string {
  if (value === 0) return '0'
  if (value < 0) return `-${general(-value, precision)}`
  if (precision === undefined) return goFloat(value, 64)
  const asked = precision === 0 ? 1 : precision
  const { digits: all, power } = significant(value, Math.min(asked, maxDecimals) - 1)
  const digits = all.replace(/0+$/, '')
  const limit = asked > digits.length && digits.length >= power + 1 ? digits.length : asked
  if (power < -4 || power >= limit)
    return `${digits.slice(0, 1)}${digits.length === 1 ? '' : `.${digits.slice(1)}`}${exponentText(power)}`
  if (power < 0) return `0.${'0'.repeat(-power - 1)}${digits}`
  const whole = digits.slice(0, power + 1).padEnd(power + 1, '0')
  return digits.length > power + 1 ? `${whole}.${digits.slice(power + 1)}` : whole
}

/** The first digit and so many more, and the power of ten of the first one. */
function significant(value: number, more: number): { readonly digits: string; readonly power: number } {
  if (value === 0) return { digits: '0'.repeat(more + 1), power: 0 }
  const shortest = value.toExponential()
  const shown = Number(shortest.slice(shortest.indexOf('e') + 1))
  // The shortest text of a double may lie across a power of ten from its value.
  const power = ratio(value, -shown).whole === 0n ? shown - 1 : shown
  const digits = scaled(value, more - power).toString()
  // Rounded up to the next power of ten.
  if (digits.length > more + 1) return { digits: digits.slice(0, more + 1), power: power + 1 }
  return { digits, power }
}

/** The integer nearest to `value × 10^decimals`, the even one of two. */
function scaled(value: number, decimals: number): bigint {
  const { whole, rest, of } = ratio(value, decimals)
  return 2n * rest > of || (2n * rest === of && whole % 2n === 1n) ? whole + 1n : whole
}

/** `value × 10^decimals` exactly: `whole + rest / of`. */
function ratio(
  value: number,
  decimals: number,
): { readonly whole: bigint; readonly rest: bigint; readonly of: bigint } {
  const { power, mantissa } = bitsOf(value)
  const isNormal = power !== -1023
  const two = (isNormal ? power : -1022) - 52
  const above = (two > 0 ? 1n << BigInt(two) : 1n) * (decimals > 0 ? 10n ** BigInt(decimals) : 1n)
  const of = (two < 0 ? 1n << BigInt(-two) : 1n) * (decimals < 0 ? 10n ** BigInt(-decimals) : 1n)
  const exact = (isNormal ? mantissa | (1n << 52n) : mantissa) * above
  const whole = exact / of
  return { whole, rest: exact - whole * of, of }
}

/** What `#` makes of a float: a point always, and of `g` and `x` as many digits as Go counts, the x of 0x among them. */
export function sharpened(shown: string, verb: string, precision: number | undefined): string {
  const tailAt = shown.search(/x|X/.test(verb) ? /p/ : /e/)
  const [number, tail] = tailAt === -1 ? [shown, ''] : [shown.slice(0, tailAt), shown.slice(tailAt)]
  let missing = /[gGx]/.test(verb) ? (precision ?? 6) : 0
  missing -= number.replace('.', '').replace(/^0+/, '').length
  if (number === '0') missing--
  const point = number.includes('.') ? '' : '.'
  return number + point + '0'.repeat(Math.max(missing, 0)) + tail
}

/** The exponent and the mantissa as the bits of a double have them, the first one without its bias. */
function bitsOf(value: number): { readonly power: number; readonly mantissa: bigint } {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  const bits = view.getBigUint64(0)
  return { power: Number((bits >> 52n) & 0x7ffn) - 1023, mantissa: bits & 0xf_ffff_ffff_ffffn }
}

/** `%b` of a float: an integer and the power of two it is multiplied with. */
export function binaryExponent(value: number): string {
  const { power, mantissa } = bitsOf(value)
  const isNormal = power !== -1023
  const exponent = (isNormal ? power : -1022) - 52
  return `${isNormal ? mantissa | (1n << 52n) : mantissa}p${exponent < 0 ? '' : '+'}${exponent}`
}

/** `%x` of a float: a hexadecimal mantissa, rounded to even where a precision is asked for, and a binary exponent. */
export function hexadecimal(value: number, precision: number | undefined): string {
  let { power, mantissa } = bitsOf(value)
  if (value === 0) power = 0
  else if (power !== -1023) mantissa |= 1n << 52n
  else {
    power = -1022
    while (mantissa >> 52n === 0n) {
      mantissa <<= 1n
      power--
    }
  }
  const kept = precision === undefined || precision > 13 ? 13 : precision
  const dropped = BigInt(52 - 4 * kept)
  let digits = mantissa >> dropped
  const rest = (mantissa - (digits << dropped)) * 2n
  if (rest > 1n << dropped || (rest === 1n << dropped && dropped > 0n && digits % 2n === 1n)) digits++
  if (digits >> BigInt(4 * kept) > 1n) {
    digits >>= 1n
    power++
  }
  const written = digits.toString(16).padStart(kept + 1, '0')
  const [whole, all] = [written.slice(0, 1), written.slice(1)]
  const fraction = precision === undefined ? all.replace(/0+$/, '') : all.padEnd(precision, '0')
  const exponent = `${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  return `0x${whole}${fraction === '' ? '' : `.${fraction}`}p${exponent}`
}

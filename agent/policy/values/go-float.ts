/** Go's `strconv.FormatFloat(value, 'g', -1, bits)`: as few digits as tell the number apart. */
export function goFloat(value: number, bits: 32 | 64): string {
  if (Number.isNaN(value)) return '.nan'
  if (!Number.isFinite(value)) return value > 0 ? '.inf' : '-.inf'
  const [digits = '', power = '0'] = shortest(value, bits).split('e')
  return goFloatDigits(digits, Number(power))
}

/** The same of digits with one before the point, `-1.25`, and their power of ten. */
export function goFloatDigits(digits: string, exponent: number): string {
  if (exponent >= -4 && exponent < 6) return plainly(digits, exponent)
  return digits + exponentText(exponent)
}

/** `e+06` */
export function exponentText(power: number): string {
  return `e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
}

/** `-1.25e+3` */
function shortest(value: number, bits: 32 | 64): string {
  if (bits === 64) return value.toExponential()
  for (let digits = 0; digits < 9; digits++) {
    const shown = value.toExponential(digits)
    if (Math.fround(Number(shown)) === Math.fround(value)) return shown
  }
  return value.toExponential(8)
}

function plainly(digits: string, exponent: number): string {
  const sign = digits.startsWith('-') ? '-' : ''
  const bare = digits.replace(/[-.]/g, '')
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${bare}`
  const whole = bare.slice(0, exponent + 1).padEnd(exponent + 1, '0')
  const fraction = bare.slice(exponent + 1)
  return `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}`
}

import { Decimal, type RegoValue } from '../values/value.ts'
import { binaryExponent, exponential, fixed, general, hexadecimal, sharpened } from './fmt-float.ts'
import { quoted, shownAlone } from './go-quote.ts'

/**
 * What Go's `fmt` gets to see. Of OPA it is an integer, a float or a string, every other value being the string of its Rego
 * text; templates have truth, nothing, and numbers that are the text that JSON has of them besides.
 */
export type Operand =
  | bigint
  | { readonly float: number }
  | string
  | boolean
  | null
  | { readonly jsonNumber: string }

function operandOf(value: RegoValue): Operand {
  if (typeof value === 'string') return value
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : { float: value }
  if (value instanceof Decimal) {
    const float = Number(value.text)
    return Number.isFinite(float) ? { float } : value.text
  }
  return shownAlone(value)
}

interface Verb {
  readonly flags: string
  readonly width: number | undefined
  readonly precision: number | undefined
  readonly verb: string
  readonly integerType: string
}

const directive = /%([-+ 0#]*)(?:\[(\d+)\])?(\d+|\*)?(?:\.(\d+|\*)?)?(?:\[(\d+)\])?(.)?/gsu
const maxWidth = 1_000_000

/**
 * Go's `fmt.Sprintf` over Rego values.
 *
 * @see https://pkg.go.dev/fmt
 */
export function sprintf(format: string, values: readonly RegoValue[]): string {
  return goSprintf(format, values.map(operandOf))
}

/** Go's `fmt.Sprintf`. @param integerType what an integer of 64 bits is called where the verb does not fit it */
export function goSprintf(format: string, operands: readonly Operand[], integerType = 'int64'): string {
  let next = 0
  let isReordered = false
  const star = (shown: string | undefined): number | undefined | 'bad' => {
    if (shown === undefined || shown === '') return undefined
    if (shown !== '*') return Number(shown)
    const operand = operands[next++]
    return typeof operand === 'bigint' && operand <= maxWidth && operand >= -maxWidth
      ? Number(operand)
      : 'bad'
  }
  const written = untilTooLarge(format).replace(
    directive,
    (
      whole: string,
      flags: string,
      early: string | undefined,
      wide: string | undefined,
      exact: string | undefined,
      late: string | undefined,
      verb: string | undefined,
    ) => {
      let isIndexGood = true
      const jump = (index: string | undefined) => {
        if (index === undefined) return
        isReordered = true
        isIndexGood = Number(index) > 0 && Number(index) <= operands.length
        if (isIndexGood) next = Number(index) - 1
      }
      jump(early)
      const width = star(wide)
      const hasPrecision = /\.(?:\d|\*|\[|.?$)/su.test(whole) && whole.includes('.')
      const precision = hasPrecision ? (star(exact) ?? 0) : undefined
      jump(late)
      if (verb === undefined) return '%!(NOVERB)'
      if (verb === '%') return '%'
      let prefix = ''
      if (width === 'bad') prefix += '%!(BADWIDTH)'
      if (precision === 'bad') prefix += '%!(BADPREC)'
      if (!isIndexGood) return `${prefix}%!${verb}(BADINDEX)`
      const operand = operands[next]
      if (operand === undefined) return `${prefix}%!${verb}(MISSING)`
      next++
      const isLeft = typeof width === 'number' && width < 0
      // `%+v` asks for the fields of a struct, not for a sign.
      const marks = verb === 'v' ? flags.replaceAll('+', '') : flags
      return (
        prefix +
        one(operand, {
          flags: isLeft ? `${marks}-` : marks,
          width: typeof width === 'number' ? Math.abs(width) : undefined,
          precision: typeof precision === 'number' && precision >= 0 ? precision : undefined,
          verb,
          integerType,
        })
      )
    },
  )
  if (isReordered || next >= operands.length) return written
  const extra = operands
    .slice(next)
    .map((operand) => (operand === null ? '<nil>' : `${typeOf(operand, integerType)}=${plain(operand)}`))
  return `${written}%!(EXTRA ${extra.join(', ')})`
}

/** Go reads no further than to a number that is too large, which it notices before the last digit. */
function untilTooLarge(format: string): string {
  for (const { index, 3: width = '', 4: precision = '' } of format.matchAll(directive)) {
    if ([width, precision].some((digits) => Number(digits.slice(0, -1)) > maxWidth))
      return `${format.slice(0, index)}%`
  }
  return format
}

function typeOf(operand: Operand, integerType: string): string {
  if (typeof operand === 'string') return 'string'
  if (typeof operand === 'boolean') return 'bool'
  if (typeof operand === 'object' && operand !== null && 'jsonNumber' in operand) return 'json.Number'
  if (typeof operand === 'bigint')
    return operand >= -(2n ** 63n) && operand < 2n ** 63n ? integerType : 'big.Int'
  return 'float64'
}

function plain(operand: Operand): string {
  if (typeof operand === 'string') return operand
  if (typeof operand === 'boolean') return String(operand)
  if (operand === null) return '<nil>'
  if (typeof operand === 'object' && 'jsonNumber' in operand) return operand.jsonNumber
  return typeof operand === 'bigint' ? operand.toString() : general(operand.float, undefined)
}

function one(operand: Operand, how: Verb): string {
  if (typeof operand === 'string') return ofString(operand, how)
  if (typeof operand === 'boolean') return ofBoolean(operand, how)
  if (operand === null) return how.verb === 'v' ? padded('<nil>', how) : `%!${how.verb}(<nil>)`
  if (typeof operand === 'object' && 'jsonNumber' in operand) return ofJsonNumber(operand, how)
  if (typeof operand === 'bigint') return ofInteger(operand, how)
  return ofFloat(operand.float, how)
}

/** What Go says of a verb that does not fit: the value under the same flags. */
function wrong(operand: Operand, how: Verb): string {
  return `%!${how.verb}(${typeOf(operand, how.integerType)}=${one(operand, { ...how, flags: how.flags.replaceAll('#', ''), verb: 'v' })})`
}

function ofString(value: string, how: Verb): string {
  const cut = how.precision === undefined ? value : [...value].slice(0, how.precision).join('')
  switch (how.verb) {
    case 'v':
      return padded(how.flags.includes('#') ? quoted(cut, false) : cut, how)
    case 's':
      return padded(cut, how)
    case 'q':
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what Go's backquoted form may not hold.
      if (how.flags.includes('#') && !/[`\u0000-\u0008\u000a-\u001f\u007f\ufeff]/.test(cut))
        return padded(`\`${cut}\``, how)
      return padded(quoted(cut, how.flags.includes('+')), how)
    case 'x':
    case 'X': {
      const bytes = Buffer.from(value).subarray(0, how.precision)
      const hex = how.flags.includes(' ')
        ? [...bytes]
            .map((byte) => (how.flags.includes('#') ? '0x' : '') + byte.toString(16).padStart(2, '0'))
            .join(' ')
        : (how.flags.includes('#') && bytes.length > 0 ? '0x' : '') + bytes.toString('hex')
      return padded(how.verb === 'X' ? hex.toUpperCase() : hex, how)
    }
    case 'T':
      return padded('string', how)
    default:
      return wrong(value, how)
  }
}

function ofBoolean(value: boolean, how: Verb): string {
  return how.verb === 't' || how.verb === 'v' ? padded(String(value), how) : wrong(value, how)
}

/** A string to every verb that takes one. */
function ofJsonNumber(operand: { readonly jsonNumber: string }, how: Verb): string {
  return /[vsqxX]/.test(how.verb) ? ofString(operand.jsonNumber, how) : wrong(operand, how)
}

function ofInteger(value: bigint, how: Verb): string {
  const { flags, verb } = how
  // An integer beyond 64 bits formats itself, and knows `%s`.
  if (verb === 's' && typeOf(value, how.integerType) === 'big.Int')
    return ofInteger(value, { ...how, verb: 'd' })
  const base = { d: 10, v: 10, b: 2, o: 8, O: 8, x: 16, X: 16 }[verb]
  if (base !== undefined) {
    const magnitude = value < 0n ? -value : value
    let digits = magnitude.toString(base)
    if (how.precision !== undefined)
      digits = how.precision === 0 && value === 0n ? '' : digits.padStart(how.precision, '0')
    if (verb === 'X') digits = digits.toUpperCase()
    const mark =
      verb === 'O' ? '0o' : !flags.includes('#') ? '' : ({ b: '0b', o: '0', x: '0x', X: '0X' }[verb] ?? '')
    const sign = value < 0n ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : ''
    return paddedNumber(
      sign + mark,
      digits,
      how.precision === undefined ? how : { ...how, flags: flags.replaceAll('0', '') },
    )
  }
  const isRune = value >= 0n && value <= 0x10ffffn
  const character = isRune ? String.fromCodePoint(Number(value)) : '\ufffd'
  switch (verb) {
    case 'c':
      return padded(character.toWellFormed(), how)
    case 'q':
      return padded(
        `'${quoted(character, flags.includes('+')).slice(1, -1).replace('\\"', '"').replace("'", "\\'")}'`,
        how,
      )
    case 'U': {
      const digits = BigInt.asUintN(64, value).toString(16).toUpperCase()
      const code = `U+${digits.padStart(Math.max(how.precision ?? 0, 4), '0')}`
      const isNamed = flags.includes('#') && isRune && quoted(character, false).slice(1, -1) === character
      return padded(isNamed ? `${code} '${character}'` : code, { ...how, flags: flags.replaceAll('0', '') })
    }
    case 'T':
      return padded(typeOf(value, how.integerType), how)
    default:
      return wrong(value, how)
  }
}

function ofFloat(value: number, how: Verb): string {
  const { flags, precision, verb } = how
  let shown: string
  switch (verb) {
    case 'v':
    case 'g':
    case 'G':
      shown = general(Math.abs(value), precision)
      break
    case 'f':
    case 'F':
      shown = fixed(Math.abs(value), precision ?? 6)
      break
    case 'e':
    case 'E':
      shown = exponential(Math.abs(value), precision ?? 6)
      break
    case 'x':
    case 'X':
      shown = hexadecimal(Math.abs(value), precision)
      break
    case 'b':
      shown = binaryExponent(Math.abs(value))
      break
    case 'T':
      return padded('float64', how)
    default:
      return wrong({ float: value }, how)
  }
  // `%#v` asks for Go's syntax, which a float has without.
  if (flags.includes('#') && verb !== 'v' && verb !== 'b') shown = sharpened(shown, verb, precision)
  if (verb === 'G' || verb === 'E' || verb === 'X') shown = shown.toUpperCase()
  const sign =
    value < 0 || Object.is(value, -0) ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : ''
  return paddedNumber(sign, shown, how)
}

function padded(shown: string, { flags, width }: Verb): string {
  const missing = (width ?? 0) - [...shown].length
  if (missing <= 0) return shown
  if (flags.includes('-')) return shown + ' '.repeat(missing)
  return (flags.includes('0') ? '0' : ' ').repeat(missing) + shown
}

/** Zeros stand between the sign and the digits. */
function paddedNumber(sign: string, digits: string, how: Verb): string {
  const missing = (how.width ?? 0) - sign.length - digits.length
  if (missing > 0 && how.flags.includes('0') && !how.flags.includes('-'))
    return sign + '0'.repeat(missing) + digits
  return padded(sign + digits, { ...how, flags: how.flags.replaceAll('0', '') })
}

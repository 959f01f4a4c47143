import { OperandError } from '../operands.ts'
import type { NumberLiteral } from './nodes.ts'

const simple: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
}

/** The text of a Go literal in quotes of its kind. Bytes that are no UTF-8 are U+FFFD. @throws OperandError */
export function unquote(literal: string): string {
  const quote = literal[0] as string
  const inside = literal.slice(1, -1)
  if (quote === '`') return inside.replaceAll('\r', '')
  return inside.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|([\s\S]))/g,
    (_, byte?: string, short?: string, long?: string, octal?: string, other?: string) => {
      if (other !== undefined) {
        const plain = other === quote ? quote : simple[other]
        if (plain === undefined) throw new OperandError('an unknown escape')
        return plain
      }
      const code =
        octal === undefined ? Number.parseInt(byte ?? short ?? long ?? '', 16) : Number.parseInt(octal, 8)
      const isByte = byte !== undefined || octal !== undefined
      if (isByte && code > 0xff) throw new OperandError('no byte')
      if (isByte && code > 0x7f) return '\ufffd'
      if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw new OperandError('no character')
      return String.fromCodePoint(code)
    },
  )
}

/** `'a'` is the number of its code point. */
export function characterCode(literal: string): NumberLiteral {
  const [only, ...more] = unquote(literal)
  if (only === undefined || more.length > 0) throw new OperandError('not one character')
  return BigInt(only.codePointAt(0) as number)
}

/** A Go number; one without a point or exponent is an integer of 64 bits. @throws OperandError */
export function numberOf(literal: string): NumberLiteral {
  const bare = literal.replaceAll('_', '')
  const [, sign = '', prefix = '', digits = ''] =
    /^([+-]?)(0[xX](?=[\da-fA-F]+$)|0[bB](?=[01]+$)|0[oO]?(?=[0-7]+$)|(?=[1-9]\d*$|0$))([\da-fA-F]+)$/.exec(
      bare,
    ) ?? []
  if (digits !== '') {
    const magnitude = BigInt(`${prefix === '0' ? '0o' : prefix.toLowerCase()}${digits}`)
    const value = sign === '-' ? -magnitude : magnitude
    if (value >= 2n ** 63n || value < -(2n ** 63n)) throw new OperandError('beyond an integer')
    return value
  }
  const float = floatOf(bare)
  if (!Number.isFinite(float)) throw new OperandError('no number')
  return { float }
}

function floatOf(bare: string): number {
  const [, sign = '', whole = '', fraction = '', power = ''] =
    /^([+-]?)0[xX]([\da-fA-F]*)\.?([\da-fA-F]*)[pP]([+-]?\d+)$/.exec(bare) ?? []
  if (power !== '' && whole + fraction !== '') {
    const magnitude = Number.parseInt(whole + fraction, 16) * 2 ** (Number(power) - 4 * fraction.length)
    return sign === '-' ? -magnitude : magnitude
  }
  const isDecimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(bare) && /[.eE]/.test(bare)
  return isDecimal ? Number(bare) : Number.NaN
}

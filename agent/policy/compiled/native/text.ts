import type { Builtin, Family } from '../../builtins/builtin.ts'
import { anyObject, collection, integer, number, OperandError, text } from '../../builtins/operands.ts'
import { bigFloatOf, truncated } from '../../values/big-float.ts'
import { entriesOf } from '../../values/compare.ts'
import { numberText } from '../../values/number.ts'

/** Strings are counted in code points, as Go counts runes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what it looks for.
const isAscii = (value: string) => /^[\u0000-\u007f]*$/.test(value)

/** Go changes one character to one; JavaScript may make two of one, or look at its place. */
function mapped(value: string, change: (character: string) => string): string {
  if (isAscii(value)) return change(value)
  let result = ''
  for (const character of value) {
    const changed = change(character)
    if (character === 'İ') result += changed.slice(0, 1)
    else result += [...changed].length === 1 ? changed : character
  }
  return result
}

const predicate =
  (holds: (value: string, part: string) => boolean): Builtin =>
  (_, value, part) =>
    holds(text(value), text(part))

const cutting =
  (cut: (value: string, part: string) => string): Builtin =>
  (_, value, part) =>
    cut(text(value), text(part))

function trimLeft(value: string, cutset: string): string {
  const set = new Set(cutset)
  const runes = [...value]
  let from = 0
  while (from < runes.length && set.has(runes[from] as string)) from++
  return runes.slice(from).join('')
}

function trimRight(value: string, cutset: string): string {
  const set = new Set(cutset)
  const runes = [...value]
  let to = runes.length
  while (to > 0 && set.has(runes[to - 1] as string)) to--
  return runes.slice(0, to).join('')
}

/** Go's white space, which is not quite JavaScript's. */
const spaces =
  '\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'

function indexOf(value: string, part: string): number {
  if (part === '') throw new OperandError('an empty search string')
  const found = value.indexOf(part)
  return found <= 0 || isAscii(value) ? found : [...value.slice(0, found)].length
}

function substring(value: string, from: number, length: number): string {
  if (from < 0) throw new OperandError('a negative offset')
  if (isAscii(value)) return length < 0 ? value.slice(from) : value.slice(from, from + length)
  const runes = [...value]
  return (length < 0 ? runes.slice(from) : runes.slice(from, from + length)).join('')
}

/** Go's `strings.Replacer`: at each place the first pair that fits, an empty one once between two characters. */
function replaceAll(value: string, pairs: readonly (readonly [string, string])[]): string {
  let result = ''
  let at = 0
  let mayBeEmpty = true
  while (at <= value.length) {
    const match = pairs.find(([old]) => (old === '' ? mayBeEmpty : value.startsWith(old, at)))
    mayBeEmpty = match?.[0] !== ''
    if (match !== undefined) {
      result += match[1]
      at += match[0].length
    } else {
      if (at === value.length) break
      const character = String.fromCodePoint(value.codePointAt(at) as number)
      result += character
      at += character.length
    }
  }
  return result
}

const radixes = new Set([2, 8, 10, 16])

/** Strings. */
export const textBuiltins: Family = {
  concat: (_, separator, parts) => collection(parts).map(text).join(text(separator)),
  contains: predicate((value, part) => value.includes(part)),
  startswith: predicate((value, part) => value.startsWith(part)),
  endswith: predicate((value, part) => value.endsWith(part)),
  lower: (_, value) => mapped(text(value), (each) => each.toLowerCase()),
  upper: (_, value) => mapped(text(value), (each) => each.toUpperCase()),
  indexof: (_, value, part) => indexOf(text(value), text(part)),
  substring: (_, value, from, length) => substring(text(value), integer(from), integer(length)),
  split: (_, value, separator) => (separator === '' ? [...text(value)] : text(value).split(text(separator))),
  replace: (_, value, old, by) =>
    text(old) === ''
      ? replaceAll(text(value), [['', text(by)]])
      : text(value).replaceAll(text(old), () => text(by)),
  'strings.replace_n': (_, patterns, value) =>
    replaceAll(
      text(value),
      entriesOf(anyObject(patterns)).map(([old, by]) => [text(old), text(by)] as const),
    ),
  'strings.reverse': (_, value) => [...text(value)].reverse().join(''),
  trim: cutting((value, set) => trimRight(trimLeft(value, set), set)),
  trim_left: cutting(trimLeft),
  trim_right: cutting(trimRight),
  trim_prefix: cutting((value, prefix) => (value.startsWith(prefix) ? value.slice(prefix.length) : value)),
  trim_suffix: cutting((value, suffix) =>
    value.endsWith(suffix) ? value.slice(0, value.length - suffix.length) : value,
  ),
  trim_space: (_, value) => trimRight(trimLeft(text(value), spaces), spaces),
  format_int: (_, value, base) => {
    const radix = integer(base)
    if (!radixes.has(radix)) throw new OperandError('a base other than 2, 8, 10, 16')
    const operand = number(value)
    // What was written as a float is one, of 64 bits, however whole.
    const isInteger = typeof operand === 'bigint' || Number.isInteger(operand)
    return (isInteger ? BigInt(operand as number) : truncated(bigFloatOf(numberText(operand)))).toString(
      radix,
    )
  },
}

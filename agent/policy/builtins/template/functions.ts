import { compareStrings } from '../../values/compare.ts'
import { goText } from '../../values/go-text.ts'
import { escapePercent } from '../../values/percent.ts'
import { OperandError } from '../operands.ts'
import { goSprintf } from '../sprintf.ts'
import { isList, isMap, isTrue, JsonNumber, operandOf, shown, type Value } from './values.ts'

type TemplateFunction = (...values: readonly Value[]) => Value

/** A function with its least and greatest number of arguments. */
interface Entry {
  readonly run: TemplateFunction
  readonly least: number
  readonly most: number
}

const unbounded = Number.POSITIVE_INFINITY

function textOf(value: Value): string | undefined {
  if (typeof value === 'string') return value
  return value instanceof JsonNumber ? value.text : undefined
}

/** Blanks between two of which none is a string. */
function print(values: readonly Value[]): string {
  let printed = ''
  let wasText = true
  for (const [index, value] of values.entries()) {
    const isText = textOf(value) !== undefined
    if (index > 0 && !isText && !wasText) printed += ' '
    printed += shown(value)
    wasText = isText
  }
  return printed
}

/** As the escaping functions see their arguments: nothing is `<no value>` to them. */
function printForEscape(values: readonly Value[]): string {
  return print(values.map((value) => value ?? '<no value>'))
}

/** @throws OperandError where they cannot be compared */
function areEqual(a: Value, b: Value): boolean {
  const [left, right] = [kindOf(a), kindOf(b)]
  if (left !== right) {
    if (left === 'nothing' || right === 'nothing') return false
    throw new OperandError('two kinds')
  }
  if (left === 'collection') throw new OperandError('not to be compared')
  if (left === 'nothing') return true
  return left === 'string' ? textOf(a) === textOf(b) : a === b
}

function kindOf(value: Value): 'nothing' | 'boolean' | 'integer' | 'float' | 'string' | 'collection' {
  if (value === undefined || value === null) return 'nothing'
  if (typeof value === 'boolean') return 'boolean'
  if (typeof value === 'bigint') return 'integer'
  if (typeof value === 'number') return 'float'
  return textOf(value) === undefined ? 'collection' : 'string'
}

function isLess(a: Value, b: Value): boolean {
  const kind = kindOf(a)
  if (kind !== kindOf(b)) throw new OperandError('two kinds')
  if (kind === 'string') return compareStrings(textOf(a) as string, textOf(b) as string) < 0
  if (kind !== 'integer' && kind !== 'float') throw new OperandError('not to be ordered')
  return (a as number) < (b as number)
}

function index(item: Value, keys: readonly Value[]): Value {
  let found = item
  if (found === undefined || found === null) throw new OperandError('an index of nothing')
  for (const key of keys) {
    if (isMap(found)) {
      if (typeof key !== 'string') throw new OperandError('no key')
      found = found.get(key) ?? null
    } else if (isList(found)) {
      const at = position(key, found.length)
      if (at === found.length) throw new OperandError('beyond the end')
      found = found[at]
    } else {
      const text = textOf(found)
      if (text === undefined) throw new OperandError('no index into this')
      const bytes = Buffer.from(text)
      const byte = bytes[position(key, bytes.length)]
      if (byte === undefined) throw new OperandError('beyond the end')
      found = BigInt(byte)
    }
  }
  return found
}

function position(value: Value, length: number): number {
  if (typeof value !== 'bigint' || value < 0n || value > BigInt(length)) throw new OperandError('no index')
  return Number(value)
}

function slice(item: Value, positions: readonly Value[]): Value {
  const text = textOf(item)
  const whole = text === undefined ? item : Buffer.from(text)
  if (!isList(whole as Value) && text === undefined) throw new OperandError('no slice of this')
  const { length } = whole as { readonly length: number }
  if (positions.length > 3 || (text !== undefined && positions.length === 3))
    throw new OperandError('too many indexes')
  const [from = 0, to = length, end = length] = positions.map((each) => position(each, length))
  if (from > to || to > end) throw new OperandError('indexes out of order')
  const cut = (whole as Buffer).slice(from, to)
  if (text === undefined) return cut as unknown as Value
  return item instanceof JsonNumber ? new JsonNumber(goText(cut)) : goText(cut)
}

function length(value: Value): bigint {
  const text = textOf(value)
  if (text !== undefined) return BigInt(Buffer.byteLength(text))
  if (isMap(value)) return BigInt(value.size)
  if (isList(value)) return BigInt(value.length)
  throw new OperandError('no length')
}

const html: Readonly<Record<string, string>> = {
  '\0': '\ufffd',
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
}

function escapeScript(text: string): string {
  return text.replace(/[\\'"<>&=]|[^ -~]/gu, (character) => {
    if (/[\\'"]/.test(character)) return `\\${character}`
    if (character > '\u007f' && /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(character)) return character
    if (character === '\u007f') return character
    return `\\u${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}`
  })
}

const any = (run: TemplateFunction): Entry => ({ run, least: 0, most: unbounded })
const two = (run: (a: Value, b: Value) => Value): Entry => ({
  run: (a, b) => run(a, b),
  least: 2,
  most: 2,
})

/** What a template can call, save `and` and `or`, which do not look at every argument. */
export const functions: ReadonlyMap<string, Entry> = new Map<string, Entry>([
  ['print', any((...values) => print(values))],
  ['println', any((...values) => `${values.map(shown).join(' ')}\n`)],
  [
    'printf',
    {
      run: (format, ...values) => {
        if (typeof format !== 'string') throw new OperandError('a format is a string')
        return goSprintf(format, values.map(operandOf), 'int')
      },
      least: 1,
      most: unbounded,
    },
  ],
  [
    'html',
    any((...values) => printForEscape(values).replace(/[\0"'&<>]/g, (found) => html[found] as string)),
  ],
  ['js', any((...values) => escapeScript(printForEscape(values)))],
  [
    'urlquery',
    any((...values) => escapePercent(printForEscape(values), /[A-Za-z0-9\-_.~ ]/).replaceAll(' ', '+')),
  ],
  ['index', { run: (item, ...keys) => index(item, keys), least: 1, most: unbounded }],
  ['slice', { run: (item, ...positions) => slice(item, positions), least: 1, most: unbounded }],
  ['len', { run: (value) => length(value), least: 1, most: 1 }],
  ['not', { run: (value) => !isTrue(value), least: 1, most: 1 }],
  [
    'eq',
    {
      run: (first, ...others) => {
        if (others.length === 0) throw new OperandError('nothing to compare with')
        return others.some((other) => areEqual(first, other))
      },
      least: 1,
      most: unbounded,
    },
  ],
  ['ne', two((a, b) => !areEqual(a, b))],
  ['lt', two(isLess)],
  ['le', two((a, b) => isLess(a, b) || areEqual(a, b))],
  ['gt', two((a, b) => !(isLess(a, b) || areEqual(a, b)))],
  ['ge', two((a, b) => !isLess(a, b))],
  [
    'call',
    {
      run: () => {
        throw new OperandError('no value is a function')
      },
      least: 1,
      most: unbounded,
    },
  ],
])

export const functionNames: ReadonlySet<string> = new Set(['and', 'or', ...functions.keys()])

import { isRawJSON } from '#base/raw-json.ts'
import { goFloat } from '../../values/go-float.ts'
import { toJson } from '../../values/json.ts'
import { numberText } from '../../values/number.ts'
import type { RegoValue } from '../../values/value.ts'
import { OperandError } from '../operands.ts'
import { naturalOrder } from './natural-order.ts'
import { resolveScalar } from './resolve.ts'

type Plain = null | boolean | string | number | { readonly [key: string]: Plain } | readonly Plain[]

/**
 * Block style as go-yaml v3 writes it with two spaces.
 *
 * @throws OperandError for what go-yaml cannot read back from JSON, which is the way that OPA takes.
 */
export function writeYaml(value: RegoValue): string {
  return `${node(toJson(value) as Plain, '', 'root')}\n`.replaceAll(`${noBreak}\n`, '')
}

/** Behind a block that ends in one of Unicode's own line breaks: the emitter writes no other. No text holds it. */
const noBreak = '\0'

/** Where a node stands: what comes before it on its line. */
type Place = 'root' | 'item' | 'value' | 'key'

/** The text from behind `-`, `:` or the start of the line on, without the last line break. */
function node(value: Plain, indent: string, place: Place): string {
  if (typeof value === 'string') return scalarText(value, indent, place)
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return numberOf(numberText(value))
  if (isRawJSON(value)) return numberOf(value.rawJSON)
  const lines = Array.isArray(value) ? sequence(value, indent, place) : mapping(value as never, indent, place)
  if (lines.length === 0) return Array.isArray(value) ? '[]' : '{}'
  // Behind a dash the first line goes on, behind a key it begins a new one.
  const before = place === 'value' ? `\n${inner(indent, place)}` : ''
  return before + lines.join(`\n${inner(indent, place)}`)
}

function inner(indent: string, place: Place): string {
  return place === 'root' ? indent : `${indent}  `
}

function sequence(items: readonly Plain[], indent: string, place: Place): string[] {
  return items.map((item) => `- ${node(item, inner(indent, place), 'item')}`)
}

function mapping(entries: { readonly [key: string]: Plain }, indent: string, place: Place): string[] {
  const below = inner(indent, place)
  const keys = Object.keys(entries)
  return keys
    .map((key) => [readableKey(key), entries[key] as Plain] as const)
    .sort(([a], [b]) => naturalOrder(a, b))
    .map(([key, item]) => {
      if (/[\n\r\u0085\u2028\u2029]/.test(key) || Buffer.byteLength(key) > 128)
        return `? ${scalarText(key, below, 'item')}\n${below}: ${node(item, below, 'item')}`
      const shown = node(item, below, 'value')
      return `${scalarText(key, below, 'key')}:${shown.startsWith('\n') ? '' : ' '}${shown}`
    })
}

/** libyaml reads no longer key on one line, and the value is read from its JSON first. */
const maxKeyLength = 1024

function readableKey(key: string): string {
  if (JSON.stringify(key).length > maxKeyLength || key.includes('\u0085'))
    throw new OperandError('a key that YAML cannot read')
  return readBack(key)
}

/** What becomes of a string that is read from JSON as YAML: U+0085 breaks lines there, and lines are folded. */
function readBack(value: string): string {
  if (/[\u007f-\u0084\u0086-\u009f\ufffe\uffff]/.test(value))
    throw new OperandError('a character that YAML refuses')
  if (!value.includes('\u0085')) return value
  // Spaces are looked at from where they begin only: from each of them it would be quadratic.
  return value.replace(/(?<! ) *\u0085[ \u0085]*/g, (breaks) => {
    const count = breaks.replaceAll(' ', '').length
    return count === 1 ? ' ' : '\n'.repeat(count - 1)
  })
}

function numberOf(text: string): string {
  const resolved = resolveScalar(text)
  if (resolved.kind === 'integer') return numberText(resolved.value)
  if (resolved.kind === 'float') return goFloat(resolved.value, 64)
  return scalarText(text, '', 'value')
}

/** What YAML 1.1 took for booleans or for numbers to the base of 60, and is quoted for its readers' sake. */
const oldWords =
  /^(?:y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF|[-+]?\d[\d_]*(?::[0-5]?\d)+(?:\.[\d_]*)?)$/

function scalarText(written: string, indent: string, place: Place): string {
  const value = place === 'key' ? written : readBack(written)
  const { isPlainFit, isSingleFit, isBlockFit } = fitness(value)
  if (value.includes('\n')) return isBlockFit && place !== 'key' ? literal(value, indent) : double(value)
  if (resolveScalar(value).kind !== 'string' || oldWords.test(value)) return double(value)
  if (isPlainFit) return value
  if (!isSingleFit) return double(value)
  // Behind one of Unicode's own line breaks the emitter indents.
  const broken = value.replace(/[\u2028\u2029](?=[^\u2028\u2029])/g, `$&${indent}  `)
  return `'${broken.replaceAll("'", "''")}'`
}

/** Which styles can say a string at all, as libyaml's emitter finds it. */
function fitness(value: string): {
  readonly isPlainFit: boolean
  readonly isSingleFit: boolean
  readonly isBlockFit: boolean
} {
  const hasSpecial = /[^\t\n -~\u00a0-\ud7ff\ue000-\ufffd]|[\ud800-\udfff]|\ufeff/.test(value)
  const hasBreak = /[\n\u2028\u2029]/.test(value)
  const doesBreakMeetSpace = / [\n\u2028\u2029]/.test(value)
  const hasIndicator =
    /^(?:---|\.\.\.|[#,[\]{}&*!|>'"%@`]|[?:-](?:[ \t]|$))/.test(value) ||
    /:(?:[ \t]|$)|[ \t\n\u2028\u2029]#/.test(value)
  const hasEdge = /^[ \n\u2028\u2029]|[ \n\u2028\u2029]$/.test(value)
  const isSingleFit =
    !hasSpecial && !doesBreakMeetSpace && !value.includes('\t') && !/[\n\u2028\u2029] /.test(value)
  return {
    isPlainFit: isSingleFit && !hasBreak && !hasIndicator && !hasEdge,
    isSingleFit,
    isBlockFit: !hasSpecial && !doesBreakMeetSpace && !value.endsWith(' '),
  }
}

function literal(value: string, indent: string): string {
  const hint = /^[ \n\u2028\u2029]/.test(value) ? '2' : ''
  const chomp = /(?:^|[\n\u2028\u2029])[\n\u2028\u2029]$/.test(value)
    ? '+'
    : /[\n\u2028\u2029]$/.test(value)
      ? ''
      : '-'
  const body = value.endsWith('\n') ? value.slice(0, -1) : value
  // The emitter indents before the first character behind each break, Unicode's own included.
  const lines = body.replace(/(^|[\n\u2028\u2029])(?=[^\n\u2028\u2029])/g, `$1${indent}  `)
  return `|${hint}${chomp}\n${lines}${/[\u2028\u2029]$/.test(value) ? noBreak : ''}`
}

const escapes: ReadonlyMap<string, string> = new Map([
  ['\0', '0'],
  ['\u0007', 'a'],
  ['\b', 'b'],
  ['\t', 't'],
  ['\n', 'n'],
  ['\v', 'v'],
  ['\f', 'f'],
  ['\r', 'r'],
  ['\u001b', 'e'],
  ['"', '"'],
  ['\\', '\\'],
  ['\u2028', 'L'],
  ['\u2029', 'P'],
])

function double(value: string): string {
  // libyaml looks for a byte order mark at the start of the value at each of its characters.
  const isMarked = value.startsWith('\ufeff')
  let shown = ''
  for (const character of value) {
    const isPlain = /[ -~\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/.test(character)
    const escaped = escapes.get(character)
    if (escaped !== undefined) shown += `\\${escaped}`
    else shown += isPlain && character.length === 1 && !isMarked ? character : hexadecimal(character)
  }
  return `"${shown}"`
}

function hexadecimal(character: string): string {
  const code = character.codePointAt(0) as number
  if (code === 0xa0) return '\\_'
  const [letter, width] = code <= 0xff ? ['x', 2] : code <= 0xffff ? ['u', 4] : ['U', 8]
  return `\\${letter}${code
    .toString(16)
    .toUpperCase()
    .padStart(width as number, '0')}`
}

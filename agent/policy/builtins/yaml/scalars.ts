import { OperandError } from '../operands.ts'
import { breakLength, isAtDocumentMark, isBlank, isBlankOrEnd, isBreakOrEnd, type Source } from './source.ts'

/** One line break is a blank, of more the first is left out. */
function folded(first: string, others: string): string {
  if (first !== '\n') return first + others
  return others === '' ? ' ' : others
}

/** Blanks and line breaks between two words: what they come to. `undefined` where there is a break too few to fold. */
function between(source: Source, isBroken: boolean, mayIndent: (column: number) => boolean): string {
  let [blanks, first, others] = ['', '', '']
  let hasBreak = isBroken
  for (;;) {
    if (isBlank(source.peek())) {
      if (hasBreak && source.peek() === '\t' && !mayIndent(source.column))
        throw new OperandError('a tabulator that indents')
      if (!hasBreak) blanks += source.peek()
      source.skip(1)
    } else if (breakLength(source) > 0) {
      const line = source.skipLine()
      if (hasBreak) others += line
      else first = line
      hasBreak = true
    } else break
  }
  if (!hasBreak) return blanks
  // A line that ends in a backslash has no first break.
  return isBroken ? others : folded(first, others)
}

export function plainScalar(
  source: Source,
  indent: number,
  isInFlow: boolean,
): { readonly text: string; readonly endsLine: boolean } {
  const parts: string[] = []
  let gap = ''
  let line = source.line
  for (;;) {
    if (isAtDocumentMark(source) || source.peek() === '#') break
    const word = plainWord(source, isInFlow)
    if (word !== '') {
      parts.push(gap, word)
      gap = ''
      line = source.line
    }
    if (!isBlank(source.peek()) && breakLength(source) === 0) break
    gap = between(source, false, (column) => column >= indent)
    if (!isInFlow && source.column < indent) break
  }
  return { text: parts.join(''), endsLine: source.line > line }
}

const flowMarks = ',?[]{}'

function plainWord(source: Source, isInFlow: boolean): string {
  const from = source.at
  for (;;) {
    const character = source.peek()
    if (isBlankOrEnd(character)) break
    if (character === ':' && isBlankOrEnd(source.peek(1))) break
    if (isInFlow && flowMarks.includes(character)) break
    source.skip(1)
  }
  return source.text.slice(from, source.at)
}

const escapes: ReadonlyMap<string, string> = new Map([
  ['0', '\0'],
  ['a', '\u0007'],
  ['b', '\b'],
  ['t', '\t'],
  ['\t', '\t'],
  ['n', '\n'],
  ['v', '\v'],
  ['f', '\f'],
  ['r', '\r'],
  ['e', '\u001b'],
  [' ', ' '],
  ['"', '"'],
  ["'", "'"],
  ['\\', '\\'],
  ['N', '\u0085'],
  ['_', '\u00a0'],
  ['L', '\u2028'],
  ['P', '\u2029'],
])

export function quotedScalar(source: Source, quote: string): string {
  const parts: string[] = []
  source.skip(1)
  for (;;) {
    if (isAtDocumentMark(source) || source.peek() === '') throw new OperandError('a string without an end')
    const isBroken = quotedWord(source, quote, parts)
    if (!isBroken && source.peek() === quote) {
      source.skip(1)
      return parts.join('')
    }
    parts.push(between(source, isBroken, () => true))
  }
}

/** Up to a blank, a break or the closing quote. @returns whether a backslash ended the line */
function quotedWord(source: Source, quote: string, parts: string[]): boolean {
  let from = source.at
  const flush = () => {
    parts.push(source.text.slice(from, source.at))
  }
  while (!isBlankOrEnd(source.peek())) {
    if (source.peek() === quote) {
      if (quote === '"' || source.peek(1) !== quote) break
      flush()
      parts.push(quote)
      source.skip(2)
      from = source.at
    } else if (quote === '"' && source.peek() === '\\') {
      flush()
      source.skip(1)
      if (breakLength(source) > 0) {
        source.skipLine()
        return true
      }
      parts.push(escaped(source))
      from = source.at
    } else source.skip(1)
  }
  flush()
  return false
}

function escaped(source: Source): string {
  const letter = source.peek()
  source.skip(1)
  const plain = escapes.get(letter)
  if (plain !== undefined) return plain
  const length = { x: 2, u: 4, U: 8 }[letter]
  const digits = length === undefined ? '' : source.text.slice(source.at, source.at + length)
  if (digits.length !== length || !/^[\da-fA-F]+$/.test(digits)) throw new OperandError('no escape')
  const code = Number.parseInt(digits, 16)
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw new OperandError('no character')
  source.skip(digits.length)
  return String.fromCodePoint(code)
}

/** `|` and `>` with what they say of indentation and line breaks at the end. */
export function blockScalar(source: Source, outer: number): string {
  const isLiteral = source.peek() === '|'
  const header = source.take(/[|>](?:[+-]\d?|\d[+-]?)?/y)
  const given = Number(/\d/.exec(header)?.[0] ?? '-1')
  if (given === 0) throw new OperandError('an indentation of nothing')
  while (isBlank(source.peek())) source.skip(1)
  if (source.peek() === '#') while (!isBreakOrEnd(source.peek())) source.skip(1)
  if (!isBreakOrEnd(source.peek())) throw new OperandError('something behind the mark of a block')
  source.skipLine()
  const parts: string[] = []
  const lines = new BlockLines(source, outer, given)
  let trailing = lines.breaks()
  let leading = ''
  let wasBlank = false
  while (source.column === lines.indent && source.peek() !== '') {
    const isIndented = isBlank(source.peek())
    if (!isLiteral && leading.startsWith('\n') && !wasBlank && !isIndented) {
      if (trailing === '') parts.push(' ')
    } else parts.push(leading)
    parts.push(trailing)
    wasBlank = isIndented
    const from = source.at
    while (!isBreakOrEnd(source.peek())) source.skip(1)
    parts.push(source.text.slice(from, source.at))
    leading = source.skipLine()
    trailing = lines.breaks()
  }
  if (!header.includes('-')) parts.push(leading)
  if (header.includes('+')) parts.push(trailing)
  return parts.join('')
}

/** Empty lines of a block scalar, and its indentation, which the first line that is not empty shows. */
class BlockLines {
  readonly #source: Source
  readonly #outer: number
  /** 0 until it is known. */
  indent: number

  constructor(source: Source, outer: number, given: number) {
    this.#source = source
    this.#outer = outer
    this.indent = given > 0 ? Math.max(outer, 0) + given : 0
  }

  breaks(): string {
    const source = this.#source
    let found = ''
    let widest = 0
    for (;;) {
      const isBefore = () => this.indent === 0 || source.column < this.indent
      while (isBefore() && source.peek() === ' ') source.skip(1)
      widest = Math.max(widest, source.column)
      if (isBefore() && source.peek() === '\t') throw new OperandError('a tabulator that indents')
      if (breakLength(source) === 0) break
      found += source.skipLine()
    }
    if (this.indent === 0) this.indent = Math.max(widest, this.#outer + 1, 1)
    return found
  }
}

import { LRUCache } from 'lru-cache'
import { RE2JS } from 're2js'
import type { Family } from '../../builtins/builtin.ts'
import { list, OperandError, text } from '../../builtins/operands.ts'

const compiled = new LRUCache<string, RE2JS>({ max: 256 })

/**
 * Translates a glob to a regular expression, which is then matched in linear time.
 *
 * `*` any number of characters that are no separators, `**` of any, `?` one that is none, `[a-z]`, `[!abc]`, `{a,b}`, and
 * `\` before a character that stands for itself.
 *
 * @throws OperandError where it is no glob.
 * @see https://pkg.go.dev/github.com/gobwas/glob
 */
function toRegex(glob: string, separators: readonly string[]): string {
  const one = separators.length === 0 ? '.' : `[^${separators.map(escaped).join('')}]`
  const runes = [...glob]
  let pattern = ''
  let depth = 0
  let at = 0
  while (at < runes.length) {
    const rune = runes[at++] as string
    switch (rune) {
      case '*':
        if (runes[at] === '*') {
          at++
          pattern += '.*'
        } else pattern += `${one}*`
        break
      case '?':
        pattern += one
        break
      case '[': {
        const { text: range, next } = rangeOf(runes, at)
        pattern += range
        at = next
        break
      }
      case '{':
        depth++
        pattern += '(?:'
        break
      case '}':
        if (depth === 0) pattern += escaped(rune)
        else {
          depth--
          pattern += ')'
        }
        break
      case ',':
        pattern += depth > 0 ? '|' : escaped(rune)
        break
      case '\\':
        if (at === runes.length) throw new OperandError('a trailing backslash')
        pattern += escaped(runes[at++] as string)
        break
      default:
        pattern += escaped(rune)
    }
  }
  if (depth !== 0) throw new OperandError('an unclosed brace')
  return `(?s)^(?:${pattern})$`
}

/** A character class: one range, or a set of characters. */
function rangeOf(runes: readonly string[], from: number): { readonly text: string; readonly next: number } {
  let at = from
  const not = runes[at] === '!' ? '^' : ''
  if (not) at++
  if (runes[at + 1] === '-') {
    const [low, high] = [runes[at] as string, runes[at + 2]]
    if (
      high === undefined ||
      runes[at + 3] !== ']' ||
      (high.codePointAt(0) as number) < (low.codePointAt(0) as number)
    )
      throw new OperandError('no range')
    return { text: `[${not}${escaped(low)}-${escaped(high)}]`, next: at + 4 }
  }
  let set = ''
  for (; runes[at] !== ']'; at++) {
    if (runes[at] === '\\') at++
    const rune = runes[at]
    if (rune === undefined) throw new OperandError('an unclosed bracket')
    set += escaped(rune)
  }
  if (set === '') throw new OperandError('an empty range')
  return { text: `[${not}${set}]`, next: at + 1 }
}

function escaped(rune: string): string {
  return /^[\w\u0080-\u{10ffff}]$/u.test(rune) ? rune : `\\x{${(rune.codePointAt(0) as number).toString(16)}}`
}

/** `glob.match`. */
export const globBuiltins: Family = {
  'glob.match': (_, glob, delimiters, value) => {
    const given = delimiters === null ? [] : list(delimiters).map(text)
    if (given.some((each) => [...each].length !== 1)) throw new OperandError('a delimiter is one character')
    const separators = delimiters !== null && given.length === 0 ? ['.'] : given
    const name = `${separators.join('')}\n${text(glob)}`
    let known = compiled.get(name)
    if (known === undefined) {
      known = RE2JS.compile(toRegex(text(glob), separators))
      compiled.set(name, known)
    }
    return known.matcher(text(value)).find()
  },
}

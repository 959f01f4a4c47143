import { LRUCache } from 'lru-cache'
import { RE2JS } from 're2js'
import type { Family } from './builtin.ts'
import { integer, OperandError, text } from './operands.ts'

// A linear-time engine: the strings come from clients, and Go's syntax is what policies are written in.
const compiled = new LRUCache<string, RE2JS>({ max: 256 })

/** Go's syntax, in linear time; compiled once. @throws where it is no expression */
export function compiledRegex(pattern: string): RE2JS {
  let known = compiled.get(pattern)
  if (known === undefined) {
    known = RE2JS.compile(pattern)
    compiled.set(pattern, known)
  }
  return known
}

interface Match {
  readonly start: number
  readonly end: number
  /** What a group took, `undefined` where it took no part. */
  group(index: number): string | undefined
}

/** All matches as Go finds them: none that is empty right behind another. */
function matches(pattern: string, value: string): Match[] {
  const matcher = compiledRegex(pattern).matcher(value)
  const found: Match[] = []
  let [at, before] = [0, -1]
  while (at <= value.length && matcher.find(at)) {
    const [start, end] = [matcher.start(), matcher.end()]
    if (end > start || start !== before) {
      const groups = Array.from({ length: matcher.groupCount() + 1 }, (_, index) => matcher.group(index))
      found.push({ start, end, group: (index) => groups[index] ?? undefined })
    }
    // Behind an empty match at the same place the search goes on one character further.
    at = end > at ? end : at + ((value.codePointAt(at) ?? 0) > 0xffff ? 2 : 1)
    before = end
  }
  return found
}

/** Go's `regexp.Expand`: `$1`, `$name`, `${1}`; a name is as long as it can be, and one that is not known is nothing. */
function expand(template: string, match: Match, names: Readonly<Record<string, number>>): string {
  return template.replace(
    /\$(?:\$|([\p{L}\p{Nd}_]+)|\{([\p{L}\p{Nd}_]+)\})/gu,
    (whole, bare?: string, braced?: string) => {
      const name = bare ?? braced
      if (name === undefined) return whole === '$$' ? '$' : whole
      const index = /^\d+$/.test(name) ? Number(name) : names[name]
      return index === undefined ? '' : (match.group(index) ?? '')
    },
  )
}

/**
 * Of a template with regular expressions between delimiters, the one expression that it is.
 *
 * @throws OperandError where the delimiters do not pair.
 */
function templatePattern(template: string, open: string, close: string): string {
  let pattern = '^'
  let [depth, from] = [0, 0]
  for (let at = 0; at < template.length; at++) {
    // Two equal delimiters only ever open, as in OPA.
    if (template[at] === open) {
      if (depth++ > 0) continue
      pattern += RE2JS.quote(template.slice(from, at))
      from = at + 1
    } else if (template[at] === close && --depth <= 0) {
      if (depth < 0) throw new OperandError('delimiters that do not pair')
      const inner = template.slice(from, at)
      compiledRegex(`^${inner}$`)
      pattern += `(${inner})`
      from = at + 1
    }
  }
  if (depth !== 0) throw new OperandError('delimiters that do not pair')
  return `${pattern}${RE2JS.quote(template.slice(from))}$`
}

function delimiter(value: string): string {
  if (Buffer.byteLength(value) !== 1) throw new OperandError('a delimiter is one byte')
  return value
}

/** The regular expressions that are not compiled into the module. */
export const regexBuiltins: Family = {
  'regex.split': (_, pattern, value) => {
    const whole = text(value)
    const found = matches(text(pattern), whole)
    if (whole === '' && text(pattern) !== '') return ['']
    const parts: string[] = []
    let [from, last] = [0, 0]
    for (const { start, end } of found) {
      // As Go: an empty match at the very start splits nothing off.
      if (end !== 0) parts.push(whole.slice(from, start))
      from = end
      last = start
    }
    // And one at the end leaves nothing behind it.
    if (last !== whole.length) parts.push(whole.slice(from))
    return parts
  },
  'regex.find_n': (_, pattern, value, count) => {
    const limit = integer(count)
    const whole = text(value)
    const found = matches(text(pattern), whole).map(({ start, end }) => whole.slice(start, end))
    return limit < 0 ? found : found.slice(0, limit)
  },
  'regex.replace': (_, value, pattern, replacement) => {
    const [whole, template] = [text(value), text(replacement)]
    const names = compiledRegex(text(pattern)).namedGroups()
    let [replaced, from] = ['', 0]
    for (const match of matches(text(pattern), whole)) {
      replaced += whole.slice(from, match.start) + expand(template, match, names)
      from = match.end
    }
    return replaced + whole.slice(from)
  },
  'regex.template_match': (_, template, value, open, close) => {
    const pattern = templatePattern(text(template), delimiter(text(open)), delimiter(text(close)))
    return compiledRegex(pattern).matcher(text(value)).find()
  },
}

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

interface Match {
  readonly start: number
  readonly end: number
  /** What a group matched; empty where it did not or there is none. */
  group(name: string): string
}

/** As Go finds all: an empty match right behind another match is none. */
function* matches(pattern: string, value: string): Generator<Match> {
  const expression = compiledRegex(pattern)
  const matcher = expression.matcher(value)
  let before = -1
  while (matcher.find()) {
    const [start, end] = [matcher.start(), matcher.end()]
    if (start === end && start === before) continue
    before = end
    yield {
      start,
      end,
      group: (name) => {
        const isNumber = /^(?:0|[1-9]\d{0,7})$/.test(name)
        if (isNumber) return Number(name) <= matcher.groupCount() ? (matcher.group(Number(name)) ?? '') : ''
        return Object.hasOwn(expression.namedGroups(), name) ? (matcher.group(name) ?? '') : ''
      },
    }
  }
}

/** `$1`, `$name`, `${name}` and `$$` as Go expands them: a name is as long as it can be. */
const reference = /\$(?:(\$)|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu

/** The regular expressions that are not compiled into the module. */
export const regexBuiltins: Family = {
  'regex.split': (_, pattern, value) => {
    const whole = text(value)
    const found = [...matches(text(pattern), whole)]
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
    const found = [...matches(text(pattern), whole)].map(({ start, end }) => whole.slice(start, end))
    return limit < 0 ? found : found.slice(0, limit)
  },
  'regex.replace': (_, value, pattern, replacement) => {
    const [whole, by] = [text(value), text(replacement)]
    let replaced = ''
    let from = 0
    for (const { start, end, group } of matches(text(pattern), whole)) {
      replaced += whole.slice(from, start)
      replaced += by.replace(reference, (_found, dollar, braced, bare) => dollar ?? group(braced ?? bare))
      from = end
    }
    return replaced + whole.slice(from)
  },
  'regex.template_match': (_, template, value, open, close) => {
    const pattern = templatePattern(text(template), delimiter(text(open)), delimiter(text(close)))
    return compiledRegex(pattern).matcher(text(value)).find()
  },
}

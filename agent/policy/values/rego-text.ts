import { entriesOf, objectOf, setOf } from './compare.ts'
import { mayHoldInexactNumber, numberText, parseNumber } from './number.ts'
import { Decimal, type RegoMap, RegoSet, type RegoValue } from './value.ts'

/** Deeper values are refused: what nests so deep was made to overflow a stack. */
const maxDepth = 1000

/**
 * Reads a ground Rego term as `opa_value_dump` writes it: JSON, and beside it `{1, 2}`, `set()` and objects with keys of
 * any type.
 *
 * @throws SyntaxError where it is none, RangeError where it nests too deep or a number is absurd.
 */
export function parseRegoText(text: string): RegoValue {
  const first = text.charCodeAt(0)
  // A string, the commonest operand, is the same in both.
  if (first === 0x22) return JSON.parse(text)
  if (!mayHoldInexactNumber.test(text)) {
    try {
      // What JSON accepts has neither sets nor keys of other types; and `{}` is the empty object in both.
      return JSON.parse(text)
    } catch {
      // Rego text that is no JSON.
    }
  }
  return new Reader(text).whole()
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): RegoValue {
    const value = this.#value(0)
    this.#space()
    if (this.#at !== this.#text.length) throw this.#fault('the end')
    return value
  }

  #value(depth: number): RegoValue {
    if (depth > maxDepth) throw new RangeError('a value that nests too deep')
    this.#space()
    const character = this.#text[this.#at]
    switch (character) {
      case '"':
        return this.#string()
      case '[':
        this.#at++
        return this.#items(']', depth)
      case '{':
        return this.#braces(depth)
      case 's':
        this.#word('set()')
        return new RegoSet([])
      case 't':
        this.#word('true')
        return true
      case 'f':
        this.#word('false')
        return false
      case 'n':
        this.#word('null')
        return null
      default:
        return this.#number()
    }
  }

  #braces(depth: number): RegoValue {
    this.#at++
    if (this.#skips('}')) return {}
    const first = this.#value(depth + 1)
    if (!this.#skips(':')) {
      if (this.#skips('}')) return setOf([first])
      this.#must(',')
      return setOf([first, ...this.#items('}', depth)])
    }
    const entries: [RegoValue, RegoValue][] = [[first, this.#value(depth + 1)]]
    while (!this.#skips('}')) {
      this.#must(',')
      const key = this.#value(depth + 1)
      this.#must(':')
      entries.push([key, this.#value(depth + 1)])
    }
    return objectOf(entries)
  }

  #items(close: string, depth: number): RegoValue[] {
    const items: RegoValue[] = []
    if (this.#skips(close)) return items
    for (;;) {
      items.push(this.#value(depth + 1))
      if (this.#skips(close)) return items
      this.#must(',')
    }
  }

  #string(): string {
    const from = this.#at
    this.#at++
    while (this.#at < this.#text.length) {
      const code = this.#text.charCodeAt(this.#at++)
      if (code === 0x5c) this.#at++
      else if (code === 0x22) return JSON.parse(this.#text.slice(from, this.#at))
    }
    throw this.#fault('the end of a string')
  }

  #number(): RegoValue {
    // A policy may write `.5`, and so does the module then.
    const number = /-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
    number.lastIndex = this.#at
    const match = number.exec(this.#text)
    if (match === null) throw this.#fault('a value')
    this.#at = number.lastIndex
    return parseNumber(match[0].replace(/^-?(?=\.)/, '$&0'))
  }

  #word(word: string): void {
    if (!this.#text.startsWith(word, this.#at)) throw this.#fault(word)
    this.#at += word.length
  }

  #space(): void {
    while (this.#at < this.#text.length && this.#text.charCodeAt(this.#at) <= 0x20) this.#at++
  }

  #skips(character: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #must(character: string): void {
    if (!this.#skips(character)) throw this.#fault(character)
  }

  #fault(expected: string): SyntaxError {
    return new SyntaxError(`not a Rego value at ${this.#at}: expected ${expected}`)
  }
}

/**
 * The value as `opa_value_parse` reads it. Object keys and set members stand in Rego's order, so that equal values have
 * equal texts.
 *
 * @throws RangeError for NaN and the infinities, which no Rego value is.
 */
export function regoText(value: RegoValue): string {
  switch (typeof value) {
    case 'string':
      return stringText(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'number':
      if (!Number.isFinite(value)) throw new RangeError(`${value} is no Rego number`)
      return numberText(value)
    case 'bigint':
      return numberText(value)
    default:
  }
  if (value === null) return 'null'
  if (Array.isArray(value)) return `[${value.map(regoText).join(',')}]`
  if (value instanceof Decimal) return value.text
  if (value instanceof RegoSet)
    return value.members.length === 0 ? 'set()' : `{${value.members.map(regoText).join(',')}}`
  const pairs = entriesOf(value as RegoMap).map(([key, item]) => `${regoText(key)}:${regoText(item)}`)
  return `{${pairs.join(',')}}`
}

/** JSON's text of a string, with U+FFFD for a lone surrogate: the runtime traps on their escapes. */
export function stringText(value: string): string {
  return JSON.stringify(value.isWellFormed() ? value : value.toWellFormed())
}

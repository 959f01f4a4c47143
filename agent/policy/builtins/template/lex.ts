import { OperandError } from '../operands.ts'

export interface Token {
  readonly kind:
    | 'text'
    | 'open'
    | 'close'
    | 'space'
    | 'keyword'
    | 'identifier'
    | 'boolean'
    | 'field'
    | 'variable'
    | 'dot'
    | 'nil'
    | 'number'
    | 'character'
    | 'string'
    | 'raw'
    | 'mark'
    | 'end'
  readonly text: string
}

const keywords = new Set('block break continue define else end if range template with'.split(' '))
const space = /[ \t\r\n]+/y
const word = /[\p{L}\p{Nd}_]+/uy
const number =
  /[+-]?(?:0[xX][\da-fA-F_]*(?:\.[\da-fA-F_]*)?(?:[pP][+-]?[\d_]*)?|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?|[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?[\d_]*)?)/uy
const quoted = /"(?:[^"\\\n]|\\[^\n])*"/y
const character = /'(?:[^'\\\n]|\\[^\n])*'/y
const raw = /`[^`]*`/y
const variable = /\$[\p{L}\p{Nd}_]*/uy
const field = /\.[\p{L}\p{Nd}_]+/uy
const declare = /:=/y
const printable = /[ -~]/

/** Cuts a template into tokens; blanks inside of an action count, for they separate. @throws OperandError */
export class Lexer {
  readonly #text: string
  #at = 0
  #isInAction = false
  #depth = 0

  constructor(text: string) {
    this.#text = text
  }

  next(): Token {
    return this.#isInAction ? this.#inAction() : this.#outside()
  }

  #outside(): Token {
    const open = this.#text.indexOf('{{', this.#at)
    if (open === this.#at) return this.#open()
    const from = this.#at
    this.#at = open === -1 ? this.#text.length : open
    const found = this.#text.slice(from, this.#at)
    if (open === -1) return { kind: found === '' ? 'end' : 'text', text: found }
    const isTrimmed = /^-[ \t\r\n]/.test(this.#text.slice(open + 2, open + 4))
    const text = isTrimmed ? trimEnd(found) : found
    return text === '' ? this.#open() : { kind: 'text', text }
  }

  #open(): Token {
    this.#at += 2
    if (/^-[ \t\r\n]/.test(this.#text.slice(this.#at, this.#at + 2))) this.#at += 2
    if (!this.#text.startsWith('/*', this.#at)) {
      this.#isInAction = true
      this.#depth = 0
      return { kind: 'open', text: '{{' }
    }
    const end = this.#text.indexOf('*/', this.#at + 2)
    if (end === -1) throw new OperandError('a comment without an end')
    this.#at = end + 2
    if (!this.#takesClose()) throw new OperandError('something behind a comment')
    return this.#outside()
  }

  /** `}}`, and with ` -}}` the blanks behind it too. */
  #takesClose(): boolean {
    if (this.#text.startsWith('}}', this.#at)) {
      this.#at += 2
      return true
    }
    const isTrimming = /^[ \t\r\n]-\}\}/.test(this.#text.slice(this.#at, this.#at + 4))
    if (!isTrimming) return false
    this.#at += 4
    this.#take(space)
    return true
  }

  #inAction(): Token {
    if (this.#takesClose()) {
      if (this.#depth > 0) throw new OperandError('an open parenthesis')
      this.#isInAction = false
      return { kind: 'close', text: '}}' }
    }
    const first = this.#text[this.#at]
    if (first === undefined) throw new OperandError('an action without an end')
    const blank = this.#take(space)
    if (blank !== undefined) {
      // The last blank may belong to ` -}}`.
      if (this.#text.startsWith('-}}', this.#at)) {
        this.#at--
        if (blank.length === 1) return this.#inAction()
      }
      return { kind: 'space', text: ' ' }
    }
    switch (first) {
      case '"':
        return { kind: 'string', text: this.#must(quoted) }
      case '`':
        return { kind: 'raw', text: this.#must(raw) }
      case "'":
        return { kind: 'character', text: this.#must(character) }
      case '$':
        return this.#terminated({ kind: 'variable', text: this.#must(variable) })
      case ':':
        return { kind: 'mark', text: this.#must(declare) }
      default:
        return this.#other(first)
    }
  }

  #other(first: string): Token {
    const named = this.#take(field)
    if (named !== undefined && !/^\.\d/.test(named)) return this.#terminated({ kind: 'field', text: named })
    if (named !== undefined) this.#at -= named.length
    if (first === '.' && named === undefined) {
      this.#at++
      return this.#terminated({ kind: 'dot', text: '.' })
    }
    if (/[+\-\d.]/.test(first)) return this.#number()
    const found = this.#take(word)
    if (found !== undefined) return this.#terminated(wordToken(found))
    this.#at++
    if (first === '(') this.#depth++
    if (first === ')' && --this.#depth < 0) throw new OperandError('a closing parenthesis too many')
    if (!printable.test(first)) throw new OperandError('a character that means nothing')
    return { kind: 'mark', text: first }
  }

  #number(): Token {
    const text = this.#must(number)
    word.lastIndex = this.#at
    if (word.test(this.#text) || /[+-]/.test(this.#text[this.#at] ?? ''))
      throw new OperandError('no number that is known here')
    return { kind: 'number', text }
  }

  /** A word ends at a blank or a mark, not at the start of a string. */
  #terminated(token: Token): Token {
    const after = this.#text[this.#at]
    const isEnd = after === undefined || /[ \t\r\n.,|:()]/.test(after)
    if (!isEnd && !this.#text.startsWith('}}', this.#at)) throw new OperandError('a word that does not end')
    return token
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found === undefined || found === '') return undefined
    this.#at += found.length
    return found
  }

  #must(pattern: RegExp): string {
    const found = this.#take(pattern)
    if (found === undefined) throw new OperandError('a token that does not end')
    return found
  }
}

function wordToken(text: string): Token {
  if (text === 'true' || text === 'false') return { kind: 'boolean', text }
  if (text === 'nil') return { kind: 'nil', text }
  return { kind: keywords.has(text) ? 'keyword' : 'identifier', text }
}

/** Without a regular expression: one would look for the end at each blank. */
function trimEnd(text: string): string {
  let end = text.length
  while (end > 0 && ' \t\r\n'.includes(text[end - 1] as string)) end--
  return text.slice(0, end)
}

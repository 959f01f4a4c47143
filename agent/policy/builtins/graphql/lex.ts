import { OperandError } from '../operands.ts'

export interface Token {
  readonly kind: 'name' | 'integer' | 'float' | 'string' | 'block' | 'mark' | 'comment' | 'end'
  /** Of a mark the mark, of a string what it says. */
  readonly text: string
}

const blank = /[\t ,\n\r\ufeff]+/y
const name = /[A-Za-z_]\w*/y
const number = /-?(?:0(?!\d)|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const mark = /\.\.\.|[!$&():=@[\]{}|]/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: a comment ends at each of them but the tabulator
const comment = /#[^\u0000-\u0008\u000a-\u001f]*/y
const string = /"((?:[\t !#-[\]-\uffff]|\\["\\/bfnrt]|\\u[\da-fA-F]{4})*)"/y

const end: Token = { kind: 'end', text: '' }
const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/** Cuts a GraphQL document into tokens. @see https://spec.graphql.org/October2021/#sec-Language.Source-Text */
export class Lexer {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** @throws OperandError */
  next(): Token {
    this.#take(blank)
    const first = this.#text[this.#at]
    if (first === undefined) return end
    if (first === '#') return { kind: 'comment', text: this.#take(comment) as string }
    const named = this.#take(name)
    if (named !== undefined) return { kind: 'name', text: named }
    if (first === '"') return this.#text.startsWith('"""', this.#at) ? this.#block() : this.#string()
    const marked = this.#take(mark)
    if (marked !== undefined) return { kind: 'mark', text: marked }
    const found = this.#take(number)
    if (found === undefined || /^\.(?!\.\.)|^[eE]/.test(this.#text.slice(this.#at, this.#at + 3)))
      throw new OperandError('no token')
    return { kind: /[.eE]/.test(found) ? 'float' : 'integer', text: found }
  }

  #string(): Token {
    string.lastIndex = this.#at
    const match = string.exec(this.#text)
    if (match === null) throw new OperandError('no string')
    this.#at = string.lastIndex
    const text = (match[1] as string).replace(/\\(?:u(.{4})|(.))/gs, (_, code?: string, letter?: string) => {
      if (code === undefined) return escapes[letter as string] ?? (letter as string)
      const unit = Number.parseInt(code, 16)
      // Halves of a pair are none to Go.
      return unit >= 0xd800 && unit <= 0xdfff ? '\ufffd' : String.fromCharCode(unit)
    })
    return { kind: 'string', text }
  }

  #block(): Token {
    const from = this.#at + 3
    let close = from
    for (;;) {
      close = this.#text.indexOf('"""', close)
      if (close === -1) throw new OperandError('no end of a string')
      if (this.#text[close - 1] !== '\\') break
      close += 3
    }
    // Of more than three quotes the last three end it.
    while (this.#text[close + 3] === '"') close++
    this.#at = close + 3
    const raw = this.#text.slice(from, close)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
    if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(raw)) throw new OperandError('a control character')
    return { kind: 'block', text: blockText(raw.replaceAll('\\"""', '"""').replace(/\r\n?/g, '\n')) }
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found === undefined || found === '') return undefined
    this.#at += found.length
    return found
  }
}

/** Without the indentation that all lines but the first have in common, and without blank lines around. */
function blockText(raw: string): string {
  const lines = raw.split('\n')
  const indents = lines.map((line) => line.search(/[^ \t]/)).filter((indent) => indent !== -1)
  const common = indents.reduce((least, indent) => Math.min(least, indent), indents[0] ?? 0)
  const cut = lines.map((line, index) => (index === 0 ? line : line.slice(common)))
  const isBlank = (line: string | undefined) => line !== undefined && /^[ \t]*$/.test(line)
  let [from, to] = [0, cut.length]
  while (from < to && isBlank(cut[from])) from++
  while (from < to && isBlank(cut[to - 1])) to--
  return cut.slice(from, to).join('\n')
}

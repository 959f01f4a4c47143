import { OperandError } from '../operands.ts'
import { blockScalar, plainScalar, quotedScalar } from './scalars.ts'
import { breakLength, isBlank, isBlankOrEnd, isBreakOrEnd, Source } from './source.ts'

export interface Token {
  readonly kind:
    | 'version'
    | 'handle'
    | 'document'
    | 'document end'
    | 'stream end'
    | 'sequence'
    | 'mapping'
    | 'block end'
    | '['
    | ']'
    | '{'
    | '}'
    | '-'
    | ','
    | 'key'
    | 'value'
    | 'alias'
    | 'anchor'
    | 'tag'
    | 'plain'
    | 'quoted'
  readonly text: string
  /** What stands behind the handle of a tag, or what a handle stands for. */
  readonly suffix?: string
}

/** What may turn out to be a key once a colon comes: where it began, on one line. */
interface Candidate {
  readonly token: number
  readonly at: number
  readonly line: number
  readonly column: number
  /** At the indentation of the block: it must be one. */
  readonly isNeeded: boolean
}

const maxKeyLength = 1024
const maxLevel = 1000

/**
 * Cuts YAML into tokens as libyaml does, of which go-yaml is a port: what it takes and refuses is decided here.
 *
 * @see https://github.com/yaml/libyaml
 */
export class Scanner {
  readonly #source: Source
  readonly #tokens: Token[] = []
  readonly #indents: number[] = []
  #indent = -1
  /** For the block and for each open flow collection. */
  readonly #candidates: (Candidate | undefined)[] = [undefined]
  #mayBeKey = true

  constructor(text: string) {
    this.#source = new Source(text)
  }

  get #isInFlow(): boolean {
    return this.#candidates.length > 1
  }

  /** @throws OperandError */
  tokens(): readonly Token[] {
    while (this.#tokens.at(-1)?.kind !== 'stream end') this.#next()
    return this.#tokens
  }

  #next(): void {
    const source = this.#source
    this.#skip()
    this.#unroll(source.column)
    const first = source.peek()
    if (first === '') {
      this.#unroll(-1)
      this.#drop()
      return this.#push('stream end')
    }
    if (source.column === 0) {
      if (first === '%') return this.#directive()
      const mark = source.text.slice(source.at, source.at + 3)
      if ((mark === '---' || mark === '...') && isBlankOrEnd(source.peek(3))) {
        this.#unroll(-1)
        this.#drop()
        this.#mayBeKey = false
        source.skip(3)
        return this.#push(mark === '---' ? 'document' : 'document end')
      }
    }
    this.#content(first)
  }

  #content(first: string): void {
    const endsWord = isBlankOrEnd(this.#source.peek(1))
    switch (first) {
      case '[':
      case '{':
        this.#save()
        if (this.#candidates.push(undefined) > maxLevel) throw new OperandError('nests too deep')
        this.#mayBeKey = true
        return this.#mark(first)
      case ']':
      case '}':
        this.#drop()
        if (this.#isInFlow) this.#candidates.pop()
        this.#mayBeKey = false
        return this.#mark(first)
      case ',':
        this.#drop()
        this.#mayBeKey = true
        return this.#mark(',')
      case '*':
      case '&':
        this.#save()
        this.#mayBeKey = false
        return this.#anchor(first === '*' ? 'alias' : 'anchor')
      case '!':
        this.#save()
        this.#mayBeKey = false
        return this.#tag()
      case "'":
      case '"':
        this.#save()
        this.#mayBeKey = false
        return this.#push('quoted', quotedScalar(this.#source, first))
      default:
    }
    if (first === '-' && endsWord) return this.#entry()
    if (first === '?' && (this.#isInFlow || endsWord)) return this.#key()
    if (first === ':' && (this.#isInFlow || endsWord)) return this.#value()
    if ((first === '|' || first === '>') && !this.#isInFlow) {
      this.#drop()
      this.#mayBeKey = true
      return this.#push('quoted', blockScalar(this.#source, this.#indent))
    }
    this.#plain(first)
  }

  #plain(first: string): void {
    const next = this.#source.peek(1)
    const isPlain =
      !/[-\t ?:,[\]{}#&*!|>'"%@`]/.test(first) ||
      (first === '-' && !isBlank(next)) ||
      (!this.#isInFlow && (first === '?' || first === ':') && !isBlankOrEnd(next))
    if (!isPlain) throw new OperandError('a character that begins nothing')
    this.#save()
    this.#mayBeKey = false
    const { text, endsLine } = plainScalar(this.#source, this.#indent + 1, this.#isInFlow)
    if (endsLine) this.#mayBeKey = true
    this.#push('plain', text)
  }

  #push(kind: Token['kind'], text = ''): void {
    this.#tokens.push({ kind, text })
  }

  #mark(kind: Token['kind']): void {
    this.#source.skip(1)
    this.#push(kind)
  }

  /** Blanks, comments and line breaks; tabulators not where they would indent a block. */
  #skip(): void {
    const source = this.#source
    for (;;) {
      if (source.column === 0 && source.peek() === '\ufeff') source.skip(1)
      while (source.peek() === ' ' || ((this.#isInFlow || !this.#mayBeKey) && source.peek() === '\t'))
        source.skip(1)
      if (source.peek() === '#') while (!isBreakOrEnd(source.peek())) source.skip(1)
      if (breakLength(source) === 0) return
      source.skipLine()
      if (!this.#isInFlow) this.#mayBeKey = true
    }
  }

  #roll(column: number, at: number, kind: 'sequence' | 'mapping'): void {
    if (this.#isInFlow || this.#indent >= column) return
    if (this.#indents.push(this.#indent) > maxLevel) throw new OperandError('nests too deep')
    this.#indent = column
    this.#tokens.splice(at, 0, { kind, text: '' })
  }

  #unroll(column: number): void {
    if (this.#isInFlow) return
    while (this.#indent > column) {
      this.#push('block end')
      this.#indent = this.#indents.pop() ?? -1
    }
  }

  #save(): void {
    const { column, line, at } = this.#source
    if (!this.#mayBeKey) return
    const isNeeded = !this.#isInFlow && this.#indent === column
    this.#drop()
    this.#candidates[this.#candidates.length - 1] = { token: this.#tokens.length, at, line, column, isNeeded }
  }

  #drop(): void {
    if (this.#candidates.at(-1)?.isNeeded === true) throw new OperandError('a key without a colon')
    this.#candidates[this.#candidates.length - 1] = undefined
  }

  #entry(): void {
    if (!this.#isInFlow) {
      if (!this.#mayBeKey) throw new OperandError('an entry out of place')
      this.#roll(this.#source.column, this.#tokens.length, 'sequence')
    }
    this.#drop()
    this.#mayBeKey = true
    this.#mark('-')
  }

  #key(): void {
    if (!this.#isInFlow) {
      if (!this.#mayBeKey) throw new OperandError('a key out of place')
      this.#roll(this.#source.column, this.#tokens.length, 'mapping')
    }
    this.#drop()
    this.#mayBeKey = !this.#isInFlow
    this.#mark('key')
  }

  #value(): void {
    const { line, at, column } = this.#source
    const candidate = this.#candidates.at(-1)
    const isKey = candidate !== undefined && candidate.line === line && candidate.at + maxKeyLength >= at
    if (isKey) {
      this.#tokens.splice(candidate.token, 0, { kind: 'key', text: '' })
      this.#roll(candidate.column, candidate.token, 'mapping')
      this.#candidates[this.#candidates.length - 1] = undefined
      this.#mayBeKey = false
    } else {
      if (candidate?.isNeeded === true) throw new OperandError('a key too long')
      if (candidate !== undefined) this.#candidates[this.#candidates.length - 1] = undefined
      if (!this.#isInFlow) {
        if (!this.#mayBeKey) throw new OperandError('a value out of place')
        this.#roll(column, this.#tokens.length, 'mapping')
      }
      this.#mayBeKey = !this.#isInFlow
    }
    this.#mark('value')
  }

  #anchor(kind: 'alias' | 'anchor'): void {
    this.#source.skip(1)
    const name = this.#source.take(/[\w-]+/y)
    const after = this.#source.peek()
    if (name === '' || !(isBlankOrEnd(after) || /[?:,\]}%@`]/.test(after)))
      throw new OperandError('no name of an anchor')
    this.#push(kind, name)
  }

  #tag(): void {
    const source = this.#source
    const uri = /(?:[\w\-;/?:@&=+$,.!~*'()[\]]|%[\da-fA-F]{2})+/y
    let [handle, suffix] = ['', '']
    if (source.peek(1) === '<') {
      source.skip(2)
      suffix = source.take(uri)
      if (suffix === '' || source.peek() !== '>') throw new OperandError('no tag')
      source.skip(1)
    } else {
      handle = source.take(/![\w-]*!?/y)
      const isNamed = handle.length > 1 && handle.endsWith('!')
      const rest = source.take(uri)
      if (isNamed && rest === '') throw new OperandError('no tag')
      suffix = isNamed ? rest : handle.slice(1) + rest
      if (!isNamed) handle = '!'
      if (suffix === '') [handle, suffix] = ['', '!']
    }
    if (!isBlankOrEnd(source.peek())) throw new OperandError('a tag that does not end')
    this.#tokens.push({ kind: 'tag', text: handle, suffix })
  }

  #directive(): void {
    const source = this.#source
    this.#unroll(-1)
    this.#drop()
    this.#mayBeKey = false
    const version = source.take(/%YAML[ \t]+\d{1,9}\.\d{1,9}/y)
    if (version !== '') this.#push('version', version.replace(/^.*[ \t]/, ''))
    else {
      const found = source.take(/%TAG[ \t]+![\w-]*!?[ \t]+[^ \t\r\n\u0085\u2028\u2029]+/y)
      const [, handle = '', prefix = ''] = found.split(/[ \t]+/)
      if (handle === '' || (handle !== '!' && !handle.endsWith('!'))) throw new OperandError('no directive')
      this.#tokens.push({ kind: 'handle', text: handle, suffix: prefix })
    }
    while (isBlank(source.peek())) source.skip(1)
    if (source.peek() === '#') while (!isBreakOrEnd(source.peek())) source.skip(1)
    if (!isBreakOrEnd(source.peek())) throw new OperandError('something behind a directive')
    source.skipLine()
  }
}

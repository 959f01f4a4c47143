import { OperandError } from '../operands.ts'
import {
  type Argument,
  type Child,
  type Comments,
  type Directive,
  type Type,
  type Value,
  valueKinds,
} from './ast.ts'
import { Lexer, type Token } from './lex.ts'

/** Deeper documents are refused: they were made to overflow a stack. */
const maxDepth = 500

/** Takes tokens one after the other; the parsers of queries and schemas are built on it. @throws OperandError */
export class Reader {
  readonly #lexer: Lexer
  #peeked: Token | undefined
  #depth = 0
  /** The comments before the token that comes next. */
  comment: Comments | undefined

  constructor(text: string) {
    this.#lexer = new Lexer(text)
  }

  peek(): Token {
    if (this.#peeked !== undefined) return this.#peeked
    const comments: { Value: string }[] = []
    let token = this.#lexer.next()
    while (token.kind === 'comment') {
      comments.push({ Value: token.text })
      token = this.#lexer.next()
    }
    if (comments.length > 0) this.comment = { List: comments }
    this.#peeked = token
    return token
  }

  next(): Token {
    const token = this.peek()
    this.#peeked = undefined
    this.comment = undefined
    return token
  }

  isAt(mark: string): boolean {
    const token = this.peek()
    return token.kind === 'mark' && token.text === mark
  }

  isAtWord(word: string): boolean {
    const token = this.peek()
    return token.kind === 'name' && token.text === word
  }

  skips(mark: string): boolean {
    if (!this.isAt(mark)) return false
    this.next()
    return true
  }

  /** @returns the comments before it. */
  must(mark: string): Comments | undefined {
    if (!this.isAt(mark)) throw new OperandError(`no ${mark}`)
    const { comment } = this
    this.next()
    return comment
  }

  /** @returns the comments before it. */
  mustWord(word: string): Comments | undefined {
    if (!this.isAtWord(word)) throw new OperandError(`no ${word}`)
    const { comment } = this
    this.next()
    return comment
  }

  name(): string {
    const token = this.next()
    if (token.kind !== 'name') throw new OperandError('no name')
    return token.text
  }

  /** What stands between two marks, at least one of it where there is the first mark at all. */
  some<T>(
    open: string,
    close: string,
    read: () => T,
  ): { readonly items: T[]; readonly comment?: Comments | undefined } {
    if (!this.skips(open)) return { items: [] }
    const items = this.#until(close, read)
    if (items.length === 0) throw new OperandError('nothing between braces')
    const { comment } = this
    this.next()
    return { items, comment }
  }

  #until<T>(close: string, read: () => T): T[] {
    if (++this.#depth > maxDepth) throw new OperandError('nests too deep')
    const items: T[] = []
    while (!this.isAt(close)) items.push(read())
    this.#depth--
    return items
  }

  type(): Type {
    if (++this.#depth > maxDepth) throw new OperandError('nests too deep')
    let found: Omit<Type, 'NonNull'>
    if (this.skips('[')) {
      found = { NamedType: '', Elem: this.type() }
      this.must(']')
    } else found = { NamedType: this.name() }
    this.#depth--
    return { ...found, NonNull: this.skips('!') }
  }

  directives(isConstant: boolean): Directive[] {
    const directives: Directive[] = []
    while (this.skips('@'))
      directives.push({ Name: this.name(), Arguments: this.args(isConstant), Location: '' })
    return directives
  }

  args(isConstant: boolean): Argument[] {
    return this.some('(', ')', () => {
      this.peek()
      const { comment } = this
      const name = this.name()
      this.must(':')
      return { Name: name, Value: this.value(isConstant), Comment: comment }
    }).items
  }

  value(isConstant: boolean): Value {
    const token = this.peek()
    const { comment } = this
    if (token.kind === 'mark') {
      if (token.text === '[') return this.#collection('[', isConstant, comment)
      if (token.text === '{') return this.#collection('{', isConstant, comment)
      if (token.text !== '$' || isConstant) throw new OperandError('no value')
      this.next()
      return literal(valueKinds.variable, this.name())
    }
    this.next()
    switch (token.kind) {
      case 'integer':
      case 'float':
      case 'string':
      case 'block':
        return literal(valueKinds[token.kind], token.text)
      case 'name':
        return literal(kindOfWord(token.text), token.text)
      default:
        throw new OperandError('no value')
    }
  }

  #collection(open: '[' | '{', isConstant: boolean, comment: Comments | undefined): Value {
    this.next()
    const children = this.#until(open === '[' ? ']' : '}', (): Child => {
      if (open === '[') return { Name: '', Value: this.value(isConstant) }
      this.peek()
      const before = this.comment
      const name = this.name()
      this.must(':')
      return { Name: name, Value: this.value(isConstant), Comment: before }
    })
    this.next()
    const kind = open === '[' ? valueKinds.list : valueKinds.object
    return { ...literal(kind, ''), Children: children, Comment: comment }
  }
}

function kindOfWord(word: string): number {
  if (word === 'true' || word === 'false') return valueKinds.boolean
  return word === 'null' ? valueKinds.null : valueKinds.enum
}

function literal(kind: number, raw: string): Value {
  return { Raw: raw, Children: [], Kind: kind, ExpectedTypeHasDefault: false }
}

import { OperandError } from '../operands.ts'
import { functionNames } from './functions.ts'
import { Lexer, type Token } from './lex.ts'
import { characterCode, numberOf, unquote } from './literals.ts'
import type { Node, Operand, Pipeline, Templates } from './nodes.ts'

/** A list of nodes and what ended it. */
interface List {
  readonly nodes: readonly Node[]
  readonly end: 'end' | 'else'
}

type Context = 'if' | 'with' | 'range' | 'other'

/** Reads a template of Go's `text/template`. @throws OperandError */
export function parseTemplate(text: string): Templates {
  const templates = new Map<string, readonly Node[]>()
  const lexer = new Tokens(new Lexer(text))
  define(templates, 'template', new Parser(lexer, templates).root())
  return templates
}

/** A second definition of a name is let pass where one of the two is blank. */
function define(templates: Map<string, readonly Node[]>, name: string, nodes: readonly Node[]): void {
  const known = templates.get(name)
  if (known === undefined || known.every(isBlank)) templates.set(name, nodes)
  else if (!nodes.every(isBlank)) throw new OperandError('a name defined twice')
}

function isBlank(node: Node): boolean {
  return node.kind === 'text' && node.text.trim() === ''
}

class Tokens {
  readonly #lexer: Lexer
  readonly #back: Token[] = []

  constructor(lexer: Lexer) {
    this.#lexer = lexer
  }

  next(): Token {
    return this.#back.pop() ?? this.#lexer.next()
  }

  peek(): Token {
    const token = this.next()
    this.#back.push(token)
    return token
  }

  nextSolid(): Token {
    for (;;) {
      const token = this.next()
      if (token.kind !== 'space') return token
    }
  }

  peekSolid(): Token {
    const token = this.nextSolid()
    this.#back.push(token)
    return token
  }

  /** Gives tokens back, the first of them to come first again. */
  giveBack(...tokens: readonly Token[]): void {
    this.#back.push(...tokens.toReversed())
  }

  must(kind: Token['kind']): Token {
    const token = this.nextSolid()
    if (token.kind !== kind) throw new OperandError(`${token.kind} instead of ${kind}`)
    return token
  }
}

class Parser {
  readonly #tokens: Tokens
  readonly #templates: Map<string, readonly Node[]>
  #variables = ['$']
  #ranges = 0

  constructor(tokens: Tokens, templates: Map<string, readonly Node[]>) {
    this.#tokens = tokens
    this.#templates = templates
  }

  root(): readonly Node[] {
    const nodes: Node[] = []
    while (this.#tokens.peek().kind !== 'end') {
      const token = this.#tokens.next()
      if (token.kind === 'open' && isKeyword(this.#tokens.peekSolid(), 'define')) {
        this.#tokens.nextSolid()
        const name = unquote(this.#string())
        this.#tokens.must('close')
        define(this.#templates, name, this.#inner())
        continue
      }
      this.#tokens.giveBack(token)
      const node = this.#node()
      if (typeof node === 'string') throw new OperandError(`${node} without a start`)
      nodes.push(node)
    }
    return nodes
  }

  /** A template of its own: no variables of the outer one. */
  #inner(): readonly Node[] {
    const { nodes, end } = new Parser(this.#tokens, this.#templates).list()
    if (end !== 'end') throw new OperandError('else without a condition')
    return nodes
  }

  list(): List {
    const nodes: Node[] = []
    for (;;) {
      if (this.#tokens.peekSolid().kind === 'end') throw new OperandError('the end in the middle')
      const node = this.#node()
      if (typeof node === 'string') return { nodes, end: node }
      nodes.push(node)
    }
  }

  #node(): Node | List['end'] {
    const token = this.#tokens.nextSolid()
    if (token.kind === 'text') return { kind: 'text', text: token.text }
    if (token.kind !== 'open') throw new OperandError(`${token.kind} out of place`)
    const first = this.#tokens.nextSolid()
    if (first.kind !== 'keyword') {
      this.#tokens.giveBack(first)
      return { kind: 'action', pipeline: this.#pipeline('other', 'close') }
    }
    switch (first.text) {
      case 'break':
      case 'continue':
        this.#tokens.must('close')
        if (this.#ranges === 0) throw new OperandError(`${first.text} outside of range`)
        return { kind: first.text }
      case 'end':
        this.#tokens.must('close')
        return 'end'
      case 'else': {
        const next = this.#tokens.peekSolid()
        if (!isKeyword(next, 'if') && !isKeyword(next, 'with')) this.#tokens.must('close')
        return 'else'
      }
      case 'if':
      case 'with':
      case 'range':
        return this.#control(first.text)
      case 'template':
        return this.#call()
      case 'block':
        return this.#block()
      default:
        throw new OperandError(`${first.text} out of place`)
    }
  }

  #control(kind: 'if' | 'with' | 'range'): Node {
    const outer = this.#variables.length
    const pipeline = this.#pipeline(kind, 'close')
    if (kind === 'range') this.#ranges++
    const { nodes: body, end } = this.list()
    if (kind === 'range') this.#ranges--
    const otherwise = end === 'end' ? undefined : this.#otherwise(kind)
    this.#variables.length = outer
    return { kind, pipeline, body, otherwise }
  }

  #otherwise(kind: 'if' | 'with' | 'range'): readonly Node[] {
    const next = this.#tokens.peek()
    if (kind !== 'range' && isKeyword(next, kind)) {
      this.#tokens.next()
      return [this.#control(kind)]
    }
    const { nodes, end } = this.list()
    if (end !== 'end') throw new OperandError('else after else')
    return nodes
  }

  #string(): string {
    const token = this.#tokens.nextSolid()
    if (token.kind !== 'string' && token.kind !== 'raw') throw new OperandError('a name is a string')
    return token.text
  }

  #call(): Node {
    const name = unquote(this.#string())
    if (this.#tokens.peekSolid().kind !== 'close')
      return { kind: 'template', name, pipeline: this.#pipeline('other', 'close') }
    this.#tokens.nextSolid()
    return { kind: 'template', name, pipeline: undefined }
  }

  #block(): Node {
    const name = unquote(this.#string())
    const pipeline = this.#pipeline('other', 'close')
    define(this.#templates, name, this.#inner())
    return { kind: 'template', name, pipeline }
  }

  #pipeline(context: Context, end: 'close' | ')'): Pipeline {
    const { variables, isAssignment } = this.#declarations(context)
    const commands: (readonly Operand[])[] = []
    for (;;) {
      const token = this.#tokens.nextSolid()
      if (token.kind === end || (token.kind === 'mark' && token.text === end)) break
      this.#tokens.giveBack(token)
      commands.push(this.#command())
    }
    if (commands.length === 0) throw new OperandError('a pipeline without a value')
    const constants = new Set(['boolean', 'dot', 'nil', 'number', 'string'])
    if (commands.slice(1).some(([first]) => constants.has((first as Operand).kind)))
      throw new OperandError('a pipeline into a constant')
    return { commands, variables, isAssignment }
  }

  /** `$x :=`, `$x =`, and before a range's `$i, $x :=`. */
  #declarations(context: Context): Pick<Pipeline, 'variables' | 'isAssignment'> {
    const variables: string[] = []
    for (;;) {
      const variable = this.#tokens.peekSolid()
      if (variable.kind !== 'variable') break
      this.#tokens.next()
      const after = this.#tokens.peek()
      const next = this.#tokens.peekSolid()
      const mark = next.kind === 'mark' ? next.text : ''
      if (mark === ':=' || mark === '=' || mark === ',') {
        this.#tokens.nextSolid()
        variables.push(variable.text)
        this.#variables.push(variable.text)
        if (mark !== ',') return { variables, isAssignment: mark === '=' }
        if (context !== 'range' || variables.length > 1) throw new OperandError('too many variables')
        const then = this.#tokens.peekSolid()
        const isFine =
          then.kind === 'variable' || then.kind === 'close' || (then.kind === 'mark' && then.text === ')')
        if (!isFine) throw new OperandError('range declares variables')
        continue
      }
      this.#tokens.giveBack(...(after.kind === 'space' ? [variable, after] : [variable]))
      break
    }
    return { variables, isAssignment: false }
  }

  #command(): readonly Operand[] {
    const operands: Operand[] = []
    for (;;) {
      this.#tokens.peekSolid()
      const operand = this.#operand()
      if (operand !== undefined) operands.push(operand)
      const token = this.#tokens.next()
      if (token.kind === 'space') continue
      if (token.kind === 'close' || (token.kind === 'mark' && token.text === ')'))
        this.#tokens.giveBack(token)
      else if (token.kind !== 'mark' || token.text !== '|')
        throw new OperandError('something between operands')
      break
    }
    if (operands.length === 0) throw new OperandError('an empty command')
    return operands
  }

  #operand(): Operand | undefined {
    const term = this.#term()
    if (term === undefined || this.#tokens.peek().kind !== 'field') return term
    const names: string[] = []
    while (this.#tokens.peek().kind === 'field') names.push(this.#tokens.next().text.slice(1))
    switch (term.kind) {
      case 'field':
      case 'variable':
        return { ...term, names: [...term.names, ...names] }
      case 'boolean':
      case 'string':
      case 'number':
      case 'nil':
      case 'dot':
        throw new OperandError('a field of a constant')
      default:
        return { kind: 'chain', base: term, names }
    }
  }

  #term(): Operand | undefined {
    const token = this.#tokens.nextSolid()
    switch (token.kind) {
      case 'identifier':
        if (!functionNames.has(token.text)) throw new OperandError('no such function')
        return { kind: 'function', name: token.text }
      case 'dot':
      case 'nil':
        return { kind: token.kind }
      case 'variable':
        if (!this.#variables.includes(token.text)) throw new OperandError('no such variable')
        return { kind: 'variable', name: token.text, names: [] }
      case 'field':
        return { kind: 'field', names: [token.text.slice(1)] }
      case 'boolean':
        return { kind: 'boolean', value: token.text === 'true' }
      case 'number':
        return { kind: 'number', value: numberOf(token.text) }
      case 'character':
        return { kind: 'number', value: characterCode(token.text) }
      case 'string':
      case 'raw':
        return { kind: 'string', value: unquote(token.text) }
      default:
        if (token.kind === 'mark' && token.text === '(')
          return { kind: 'pipeline', pipeline: this.#pipeline('other', ')') }
        this.#tokens.giveBack(token)
        return undefined
    }
  }
}

function isKeyword(token: Token, text: string): boolean {
  return token.kind === 'keyword' && token.text === text
}

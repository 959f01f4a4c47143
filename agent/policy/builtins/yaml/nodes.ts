import { OperandError } from '../operands.ts'
import { Scanner, type Token } from './scan.ts'

/** A document as it was written, aliases followed to what they stand for. */
export type YamlNode =
  | { readonly kind: 'scalar'; readonly text: string; readonly tag: string }
  | { readonly kind: 'sequence'; readonly items: readonly YamlNode[] }
  | { readonly kind: 'mapping'; readonly pairs: readonly (readonly [YamlNode, YamlNode])[] }
  | { readonly kind: 'alias'; readonly target: YamlNode }

const prefix = 'tag:yaml.org,2002:'
const nothing: YamlNode = { kind: 'scalar', text: '', tag: '' }
/** What no YAML stream may hold. @see https://yaml.org/spec/1.2.2/#51-character-set */
const unprintable = /[^\t\n\r -~\u0085\u00a0-\ufffd]|[\ufffe\uffff]|(?!^)\ufeff/
/** Deeper documents are refused: they were made to overflow a stack. */
const maxDepth = 1000

/**
 * Reads the first document of a stream; those behind it must be sound too.
 *
 * @throws OperandError where it is no YAML, or nests too deep.
 */
export function parseYaml(source: string): YamlNode {
  if (unprintable.test(source)) throw new OperandError('characters that YAML refuses')
  return new Parser(new Scanner(source).tokens()).first()
}

/** What stands before a node. */
interface Properties {
  readonly tag: string
  readonly anchor: string | undefined
}

class Parser {
  readonly #tokens: readonly Token[]
  readonly #anchors = new Map<string, YamlNode>()
  #handles = new Map<string, string>()
  #at = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  get #kind(): Token['kind'] {
    return (this.#tokens[this.#at] as Token).kind
  }

  #isAt(...kinds: readonly Token['kind'][]): boolean {
    return kinds.includes(this.#kind)
  }

  #skips(kind: Token['kind']): boolean {
    if (this.#kind !== kind) return false
    this.#at++
    return true
  }

  first(): YamlNode {
    let first: YamlNode | undefined
    for (let isFirst = true; ; isFirst = false) {
      if (!isFirst) while (this.#skips('document end')) {}
      if (this.#kind === 'stream end') return first ?? nothing
      const document = this.#document(isFirst)
      first ??= document
    }
  }

  /** Only the first may do without `---`. */
  #document(mayBeBare: boolean): YamlNode {
    this.#handles = new Map()
    const isBare = mayBeBare && !this.#isAt('version', 'handle', 'document')
    if (!isBare) {
      this.#directives()
      if (!this.#skips('document')) throw new OperandError('no document')
    }
    for (const [handle, value] of [
      ['!', '!'],
      ['!!', prefix],
    ] as const)
      if (!this.#handles.has(handle)) this.#handles.set(handle, value)
    const isEmpty = this.#isAt('version', 'handle', 'document', 'document end', 'stream end')
    const node = isEmpty && !isBare ? nothing : this.#node(true, false)
    this.#skips('document end')
    return node
  }

  #directives(): void {
    let hasVersion = false
    while (this.#isAt('version', 'handle')) {
      const { kind, text, suffix = '' } = this.#tokens[this.#at++] as Token
      if (kind === 'version') {
        // go-yaml knows no other.
        if (hasVersion || text !== '1.1') throw new OperandError('another YAML')
        hasVersion = true
      } else {
        if (this.#handles.has(text)) throw new OperandError('a handle twice')
        this.#handles.set(text, suffix)
      }
    }
  }

  #node(isBlock: boolean, mayBeIndentless: boolean): YamlNode {
    if (++this.#depth > maxDepth) throw new OperandError('nests too deep')
    const node = this.#content(isBlock, mayBeIndentless)
    this.#depth--
    return node
  }

  #content(isBlock: boolean, mayBeIndentless: boolean): YamlNode {
    const { kind, text } = this.#tokens[this.#at] as Token
    if (kind === 'alias') {
      this.#at++
      const target = this.#anchors.get(text)
      if (target === undefined) throw new OperandError('an alias of nothing')
      return { kind: 'alias', target }
    }
    const from = this.#at
    const properties = this.#properties()
    const token = this.#tokens[this.#at] as Token
    if (mayBeIndentless && token.kind === '-') return this.#sequence(properties, () => this.#indentless())
    switch (token.kind) {
      case 'plain':
      case 'quoted':
        this.#at++
        return this.#scalar(properties, token.text, token.kind === 'plain')
      case '[':
        return this.#sequence(properties, () => this.#flowSequence())
      case '{':
        return this.#mapping(properties, () => this.#flowMapping())
      default:
    }
    if (isBlock && token.kind === 'sequence') return this.#sequence(properties, () => this.#blockSequence())
    if (isBlock && token.kind === 'mapping') return this.#mapping(properties, () => this.#blockMapping())
    if (this.#at === from) throw new OperandError('no node')
    return this.#scalar(properties, '', true)
  }

  #properties(): Properties {
    let [tag, anchor]: [string, string | undefined] = ['', undefined]
    for (let count = 0; count < 2; count++) {
      const { kind, text, suffix = '' } = this.#tokens[this.#at] as Token
      if (kind === 'anchor' && anchor === undefined) anchor = text
      else if (kind === 'tag' && tag === '') tag = text === '' ? suffix : this.#expanded(text, suffix)
      else break
      this.#at++
    }
    return { tag: tag.startsWith(prefix) ? `!!${tag.slice(prefix.length)}` : tag, anchor }
  }

  #expanded(handle: string, suffix: string): string {
    const found = this.#handles.get(handle)
    if (found === undefined) throw new OperandError('an unknown handle')
    return found + suffix
  }

  #named(anchor: string | undefined, node: YamlNode): YamlNode {
    if (anchor !== undefined) this.#anchors.set(anchor, node)
    return node
  }

  #scalar({ tag, anchor }: Properties, text: string, isPlain: boolean): YamlNode {
    // What is quoted is a string; `!` alone says nothing.
    const bare = tag === '!' ? '' : tag
    return this.#named(anchor, { kind: 'scalar', text, tag: bare === '' && !isPlain ? '!!str' : bare })
  }

  /** Named before its items are read: one of them may be an alias of it. */
  #sequence({ anchor }: Properties, read: () => Iterable<YamlNode>): YamlNode {
    const items: YamlNode[] = []
    const node = this.#named(anchor, { kind: 'sequence', items })
    for (const item of read()) items.push(item)
    return node
  }

  #mapping({ anchor }: Properties, read: () => Iterable<readonly [YamlNode, YamlNode]>): YamlNode {
    const pairs: (readonly [YamlNode, YamlNode])[] = []
    const node = this.#named(anchor, { kind: 'mapping', pairs })
    for (const pair of read()) pairs.push(pair)
    return node
  }

  *#blockSequence(): Iterable<YamlNode> {
    this.#at++
    while (this.#skips('-')) yield this.#isAt('-', 'block end') ? nothing : this.#node(true, false)
    if (!this.#skips('block end')) throw new OperandError('no entry')
  }

  /** Of a key, its entries no deeper than the key. */
  *#indentless(): Iterable<YamlNode> {
    while (this.#skips('-'))
      yield this.#isAt('-', 'key', 'value', 'block end') ? nothing : this.#node(true, false)
  }

  *#blockMapping(): Iterable<readonly [YamlNode, YamlNode]> {
    this.#at++
    const part = () => (this.#isAt('key', 'value', 'block end') ? nothing : this.#node(true, true))
    while (!this.#skips('block end')) {
      if (!this.#skips('key')) throw new OperandError('no key')
      const key = part()
      yield [key, this.#skips('value') ? part() : nothing]
    }
  }

  *#flowSequence(): Iterable<YamlNode> {
    this.#at++
    for (let isFirst = true; !this.#skips(']'); isFirst = false) {
      if (!isFirst && !this.#skips(',')) throw new OperandError('no comma')
      if (this.#skips(']')) return
      yield this.#skips('key') ? this.#flowPair() : this.#node(false, false)
    }
  }

  /** `[a: b]`, a mapping of one. */
  #flowPair(): YamlNode {
    let key = nothing
    if (this.#isAt('value', ',', ']')) this.#at++
    else key = this.#node(false, false)
    const isGiven = this.#skips('value') && !this.#isAt(',', ']')
    return { kind: 'mapping', pairs: [[key, isGiven ? this.#node(false, false) : nothing]] }
  }

  *#flowMapping(): Iterable<readonly [YamlNode, YamlNode]> {
    this.#at++
    const part = () => (this.#isAt(',', '}') ? nothing : this.#node(false, false))
    for (let isFirst = true; !this.#skips('}'); isFirst = false) {
      if (!isFirst && !this.#skips(',')) throw new OperandError('no comma')
      if (this.#skips('}')) return
      if (this.#skips('key')) {
        const key = this.#isAt('value') ? nothing : part()
        yield [key, this.#skips('value') ? part() : nothing]
      } else yield [this.#node(false, false), nothing]
    }
  }
}

import { isAlias, isMap, isScalar, isSeq, type Node, parseAllDocuments, type Scalar } from 'yaml'
import { OperandError } from '../operands.ts'

/** A document as it was written, aliases followed to what they stand for. */
export type YamlNode =
  | { readonly kind: 'scalar'; readonly text: string; readonly isPlain: boolean; readonly tag: string }
  | { readonly kind: 'sequence'; readonly items: readonly YamlNode[] }
  | { readonly kind: 'mapping'; readonly pairs: readonly (readonly [YamlNode, YamlNode])[] }
  | { readonly kind: 'alias'; readonly target: YamlNode }

const prefix = 'tag:yaml.org,2002:'
const nothing: YamlNode = { kind: 'scalar', text: '', isPlain: true, tag: '' }
/** What no YAML stream may hold. @see https://yaml.org/spec/1.2.2/#51-character-set */
const unprintable =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufffe\uffff]|(?!^)\ufeff/
/** A key on the line of its value; libyaml refuses what is longer. */
const maxKeyLength = 1024

/**
 * Reads the first document of a stream; those behind it must be sound too.
 *
 * @throws OperandError where it is no YAML, RangeError where it nests too deep.
 */
export function parseYaml(source: string): YamlNode {
  if (unprintable.test(source)) throw new OperandError('characters that YAML refuses')
  // Names and values are resolved by us, as go-yaml resolves them.
  const documents = parseAllDocuments(source, {
    schema: 'failsafe',
    uniqueKeys: false,
    merge: false,
    logLevel: 'silent',
    prettyErrors: false,
  })
  if ('empty' in documents) return nothing
  for (const { errors } of documents) {
    if (errors.length > 0) throw new OperandError('no YAML')
  }
  const nodes = documents.map(({ contents }) => new Reader().node(contents as Node | null))
  return nodes[0] ?? nothing
}

class Reader {
  readonly #anchors = new Map<string, YamlNode>()

  node(node: Node | null): YamlNode {
    if (node === null) return nothing
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source)
      if (target === undefined) throw new OperandError('an alias of nothing')
      return { kind: 'alias', target }
    }
    const { anchor } = node as { anchor?: string }
    if (isScalar(node)) return this.#named(anchor, scalarOf(node))
    if (isSeq(node)) {
      const items: YamlNode[] = []
      // Named before its items are read: one of them may be an alias of it.
      const sequence = this.#named(anchor, { kind: 'sequence', items })
      for (const item of node.items) items.push(this.node(item as Node | null))
      return sequence
    }
    if (!isMap(node)) throw new OperandError('no YAML node')
    const pairs: [YamlNode, YamlNode][] = []
    const mapping = this.#named(anchor, { kind: 'mapping', pairs })
    for (const { key, value } of node.items)
      pairs.push([this.#key(key as Node | null), this.node(value as Node | null)])
    return mapping
  }

  #key(node: Node | null): YamlNode {
    const key = this.node(node)
    const [from = 0, to = 0] = node?.range ?? []
    if (key.kind === 'scalar' && to - from > maxKeyLength) throw new OperandError('too long a key')
    return key
  }

  #named(anchor: string | undefined, node: YamlNode): YamlNode {
    if (anchor === undefined) return node
    // go-yaml takes no other characters, YAML 1.2 nearly all.
    if (!/^[\w-]+$/.test(anchor)) throw new OperandError('no name of an anchor')
    this.#anchors.set(anchor, node)
    return node
  }
}

function scalarOf({ value, type, tag }: Scalar): YamlNode {
  const isPlain = type === 'PLAIN'
  const short = tag?.startsWith(prefix) ? `!!${tag.slice(prefix.length)}` : (tag ?? '')
  return {
    kind: 'scalar',
    text: String(value),
    isPlain,
    // What is quoted is a string, and so is what says no more than that it is not to be resolved.
    tag: short === '!' || (short === '' && !isPlain) ? '!!str' : short,
  }
}

import { goFloat } from '../../values/go-float.ts'
import { goText } from '../../values/go-text.ts'
import { integerOf, type RegoValue } from '../../values/value.ts'
import { OperandError } from '../operands.ts'
import type { YamlNode } from './nodes.ts'
import { bytesOf, type Resolved, resolveScalar, timestampText } from './resolve.ts'

/** Of a mapping and of what is merged into it, by the text of the key. */
type Entries = Map<string, RegoValue>
type Mapping = Extract<YamlNode, { kind: 'mapping' }>

const kindsOfTags: ReadonlyMap<string, Resolved['kind']> = new Map([
  ['!!null', 'null'],
  ['!!bool', 'boolean'],
  ['!!int', 'integer'],
  ['!!float', 'float'],
  ['!!timestamp', 'timestamp'],
])

/** As much of a document may come out of aliases; go-yaml's bounds against billions of laughs. */
function maxAliasShare(decoded: number): number {
  if (decoded <= 400_000) return 0.99
  return decoded >= 4_000_000 ? 0.1 : 0.99 - (0.89 * (decoded - 400_000)) / 3_600_000
}

/** Makes a value of a document. @throws OperandError where JSON has no such value, or aliases multiply it. */
export class Decoder {
  #decoded = 0
  #ofAliases = 0
  #aliasDepth = 0
  readonly #open = new Set<YamlNode>()

  value(node: YamlNode): RegoValue {
    this.#count()
    switch (node.kind) {
      case 'alias':
        return this.#through(node, () => this.value(node.target))
      case 'scalar':
        return scalar(node)
      case 'sequence':
        return node.items.map((item) => this.value(item))
      case 'mapping': {
        const entries: Entries = new Map()
        this.#mapping(node, entries)
        return Object.fromEntries(entries)
      }
      default:
        return node satisfies never
    }
  }

  #mapping({ pairs }: Mapping, entries: Entries, taken?: Set<string>): void {
    const own = new Set<string>()
    for (const [key, item] of pairs) {
      if (isMerge(key)) continue
      const name = this.#key(key)
      if (taken?.has(name)) continue
      own.add(name)
      // Of two with one name the later counts.
      entries.set(name, this.value(item))
    }
    for (const name of own) taken?.add(name)
    const merged = pairs.filter(([key]) => isMerge(key)).map(([, source]) => source)
    // What a mapping says itself counts more than what is merged into it, and of that what comes first.
    if (merged.length > 0)
      this.#merge(merged.length === 1 ? merged[0] : listOf(merged), entries, taken ?? own)
  }

  #merge(source: YamlNode | undefined, entries: Entries, taken: Set<string>): void {
    if (source?.kind !== 'sequence') return this.#mergeOne(source, entries, taken)
    for (const item of source.items) this.#mergeOne(item, entries, taken)
  }

  #mergeOne(source: YamlNode | undefined, entries: Entries, taken: Set<string>): void {
    this.#count()
    if (source?.kind === 'mapping') return this.#mapping(source, entries, taken)
    if (source?.kind !== 'alias' || source.target.kind !== 'mapping')
      throw new OperandError('only mappings can be merged')
    const { target } = source
    this.#through(source, () => {
      this.#count()
      this.#mapping(target, entries, taken)
      return null
    })
  }

  #key(node: YamlNode): string {
    const key = node.kind === 'alias' ? node.target : node
    if (key.kind !== 'scalar') throw new OperandError('a key that JSON has not')
    this.#count()
    const resolved = resolvedOf(key)
    switch (resolved.kind) {
      case 'integer':
      case 'boolean':
        return String(resolved.value)
      case 'float':
        return goFloat(resolved.value, 32)
      case 'null':
        throw new OperandError('null is no key')
      default:
        return scalar(key) as string
    }
  }

  #through<T>(alias: YamlNode, decode: () => T): T {
    if (this.#open.has(alias)) throw new OperandError('an anchor that holds itself')
    this.#open.add(alias)
    this.#aliasDepth++
    const value = decode()
    this.#aliasDepth--
    this.#open.delete(alias)
    return value
  }

  #count(): void {
    this.#decoded++
    if (this.#aliasDepth > 0) this.#ofAliases++
    const isMuch = this.#ofAliases > 100 && this.#decoded > 1000
    if (isMuch && this.#ofAliases / this.#decoded > maxAliasShare(this.#decoded))
      throw new OperandError('too many aliases')
  }
}

/** `<<` written twice is as one with both. */
function listOf(sources: readonly YamlNode[]): YamlNode {
  return {
    kind: 'sequence',
    items: sources.flatMap((each) => (each.kind === 'sequence' ? each.items : each)),
  }
}

function isMerge(key: YamlNode): boolean {
  return key.kind === 'scalar' && key.text === '<<' && (key.tag === '' || key.tag === '!!merge')
}

type ScalarNode = Extract<YamlNode, { kind: 'scalar' }>

function resolvedOf({ text, tag }: ScalarNode): Resolved {
  if (tag === '') return resolveScalar(text)
  const wanted = kindsOfTags.get(tag)
  if (wanted === undefined) return { kind: 'string' }
  const resolved = resolveScalar(text)
  if (resolved.kind === wanted) return resolved
  if (wanted === 'float' && resolved.kind === 'integer')
    return { kind: 'float', value: Number(resolved.value) }
  throw new OperandError(`not of the type ${tag}`)
}

function scalar(node: ScalarNode): RegoValue {
  if (node.tag === '!!binary') return goText(bytesOf(node.text))
  const resolved = resolvedOf(node)
  switch (resolved.kind) {
    case 'null':
      return null
    case 'boolean':
    case 'integer':
      return resolved.value
    case 'float':
      if (!Number.isFinite(resolved.value)) throw new OperandError('no number in JSON')
      return Number.isInteger(resolved.value) ? wholeOf(resolved.value) : resolved.value
    case 'timestamp':
      // Only where the tag is written is a date more than the string it looks like.
      return node.tag === '!!timestamp' ? timestampText(node.text) : node.text
    default:
      return node.text
  }
}

function wholeOf(value: number): RegoValue {
  return Math.abs(value) < 1e21 ? integerOf(BigInt(value)) : value
}

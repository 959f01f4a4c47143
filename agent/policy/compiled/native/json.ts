import type { Family } from '../../builtins/builtin.ts'
import { anyObject, collection, OperandError, text } from '../../builtins/operands.ts'
import { entriesOf, lookup, objectOf, setOf } from '../../values/compare.ts'
import { fromJsonText } from '../../values/json.ts'
import { numberText } from '../../values/number.ts'
import { regoText } from '../../values/rego-text.ts'
import { Decimal, RegoSet, type RegoValue } from '../../values/value.ts'
import { insert, isAnyObject } from '../runtime.ts'

/** A tree of path segments; `null` where a path ends. */
type Paths = RegoValue

function pathOf(value: RegoValue): readonly RegoValue[] {
  if (Array.isArray(value)) return value
  if (value === '') return []
  return text(value)
    .replace(/^\/+/, '')
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** Of two paths of which one goes on where the other ends, the shorter one counts. */
function tree(paths: readonly (readonly RegoValue[])[]): Paths {
  const add = (node: Paths | undefined, path: readonly RegoValue[], depth: number): Paths => {
    if (node === null || depth === path.length) return null
    const key = path[depth] as RegoValue
    const base = node ?? {}
    return insert(base, key, add(lookup(base, key), path, depth + 1)) as RegoValue
  }
  return paths.filter((path) => path.length > 0).reduce<Paths>((root, path) => add(root, path, 0), {})
}

const treeOf = (value: RegoValue | undefined) => tree(collection(value).map(pathOf))

/** Without what the paths lead to; `undefined` where they lead to all of it. */
function removed(value: RegoValue, paths: Paths | undefined): RegoValue | undefined {
  if (paths === null) return undefined
  if (!isAnyObject(paths)) return value
  const kept = (item: RegoValue, key: RegoValue) => removed(item, lookup(paths, key))
  if (Array.isArray(value))
    return value.map((item, index) => kept(item, String(index))).filter((item) => item !== undefined)
  if (value instanceof RegoSet)
    return setOf(value.members.map((item) => kept(item, item)).filter((item) => item !== undefined))
  if (!isAnyObject(value)) return value
  return objectOf(
    entriesOf(value)
      .map(([key, item]) => [key, kept(item, key)] as const)
      .filter((entry): entry is [RegoValue, RegoValue] => entry[1] !== undefined),
  )
}

/** Only what the paths lead to. */
function filtered(value: RegoValue, paths: Paths): RegoValue {
  if (paths === null) return value
  const kept = (item: RegoValue, key: RegoValue): RegoValue | undefined => {
    const deeper = lookup(paths, key)
    return deeper === undefined ? undefined : filtered(item, deeper)
  }
  if (Array.isArray(value))
    return value.map((item, index) => kept(item, String(index))).filter((item) => item !== undefined)
  if (value instanceof RegoSet)
    return setOf(value.members.map((item) => kept(item, item)).filter((item) => item !== undefined))
  if (!isAnyObject(value)) return value
  return objectOf(
    entriesOf(value)
      .map(([key, item]) => [key, kept(item, key)] as const)
      .filter((entry): entry is [RegoValue, RegoValue] => entry[1] !== undefined),
  )
}

/** As Go marshals: keys sorted, no spaces, and three characters of HTML escaped. */
export function marshal(value: RegoValue): string {
  switch (typeof value) {
    case 'string':
      return quoted(value)
    case 'number':
    case 'bigint':
      return numberText(value)
    case 'boolean':
      return String(value)
    default:
  }
  if (value === null) return 'null'
  if (value instanceof Decimal) return value.text
  if (Array.isArray(value)) return `[${value.map(marshal).join()}]`
  if (value instanceof RegoSet) return `[${value.members.map(marshal).join()}]`
  if (!isAnyObject(value)) throw new OperandError('no JSON value')
  const pairs = entriesOf(value).map(
    ([key, item]) => [typeof key === 'string' ? key : regoText(key), marshal(item)] as const,
  )
  pairs.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return `{${pairs.map(([key, item]) => `${quoted(key)}:${item}`).join()}}`
}

function quoted(value: string): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029\b\f\u007f]|\\[bf]/g,
    (found) => escapes[found] ?? found,
  )
}
const escapes: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
}

/** `json.*` that a module brings with it. */
export const jsonBuiltins: Family = {
  'json.marshal': (_, value) => marshal(value as RegoValue),
  'json.unmarshal': (_, value) => fromJsonText(text(value)),
  'json.is_valid': (_, value) => {
    try {
      JSON.parse(text(value))
      return true
    } catch {
      return false
    }
  },
  'json.filter': (_, value, paths) => filtered(anyObject(value), treeOf(paths)),
  'json.remove': (_, value, paths) => removed(anyObject(value), treeOf(paths)),
}

import type { Family } from '../../builtins/builtin.ts'
import { anyObject, collection, succeeds, text } from '../../builtins/operands.ts'
import { entriesOf, lookup, objectOf, setOf } from '../../values/compare.ts'
import { goJson } from '../../values/go-json.ts'
import { fromJsonText } from '../../values/json.ts'
import { isAnyObject, RegoSet, type RegoValue } from '../../values/value.ts'
import { insert } from '../runtime.ts'

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
  return isAnyObject(paths) ? keptOf(value, (item, key) => removed(item, lookup(paths, key))) : value
}

/** Only what the paths lead to. */
function filtered(value: RegoValue, paths: Paths): RegoValue {
  if (paths === null) return value
  return keptOf(value, (item, key) => {
    const deeper = lookup(paths, key)
    return deeper === undefined ? undefined : filtered(item, deeper)
  })
}

/** A value with what `kept` makes of each member, by its key, and without those of which it makes nothing. */
function keptOf(
  value: RegoValue,
  kept: (item: RegoValue, key: RegoValue) => RegoValue | undefined,
): RegoValue {
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

/** `json.*` that a module brings with it. */
export const jsonBuiltins: Family = {
  'json.marshal': (_, value) => goJson(value as RegoValue),
  'json.unmarshal': (_, value) => fromJsonText(text(value)),
  'json.is_valid': (_, value) => succeeds(() => JSON.parse(text(value))),
  'json.filter': (_, value, paths) => filtered(anyObject(value), treeOf(paths)),
  'json.remove': (_, value, paths) => removed(anyObject(value), treeOf(paths)),
}

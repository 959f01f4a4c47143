import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { type Kind, kindOf } from './kinds.ts'

/** An object of Envoy's configuration, with what it is and where it stands. */
export interface Node {
  readonly kind: Kind | undefined
  readonly object: JsonObject
  /** The way to it, with the names of what is passed: `listeners[0 main].filter_chains[0]`. */
  readonly place: string
  /** The field or the key it stands under; of an element that of its list. */
  readonly field: string
  readonly parent: Node | undefined
}

export interface Tree {
  readonly nodes: readonly Node[]
  /** Where objects nest too deeply to be looked at. */
  readonly tooDeep: readonly string[]
}

/** Envoy's own configurations nest some thirty deep. */
const maxDepth = 200
const maxNameCharacters = 80

/** What is refused or gone is not in force. */
const notInForce = new Set(['error_state'])
/** What a dump shows twice: where it is used or configured, and in a list of its own. */
const shownTwice = new Set<Kind>(['listener', 'routeConfiguration', 'cluster', 'secret'])

/** Every object below `roots` once, in their order. */
export function treeOf(roots: readonly { readonly place: string; readonly value: unknown }[]): Tree {
  const nodes: Node[] = []
  const tooDeep: string[] = []
  const seen = new Set<string>()

  function visit(
    value: unknown,
    place: string,
    field: string,
    parent: Node | undefined,
    depth: number,
  ): void {
    if (depth > maxDepth) {
      tooDeep.push(place)
    } else if (Array.isArray(value)) {
      for (const [index, item] of value.entries())
        visit(item, `${place}[${index}${labelOf(item)}]`, field, parent, depth + 1)
    } else if (isJsonObject(value)) {
      const kind = parent === undefined && place === '' ? 'bootstrap' : kindOf(value, parent?.kind, field)
      if (kind !== undefined && shownTwice.has(kind) && isKnown(kind, value)) return
      const node: Node = { kind, object: value, place, field, parent }
      nodes.push(node)
      for (const [key, item] of Object.entries(value)) {
        if (notInForce.has(key)) continue
        visit(item, place === '' ? key : `${place}.${key}`, key, node, depth + 1)
      }
    }
  }

  function isKnown(kind: Kind, { '@type': _, ...content }: JsonObject): boolean {
    const text = `${kind} ${JSON.stringify(content)}`
    if (seen.has(text)) return true
    seen.add(text)
    return false
  }

  for (const { place, value } of roots) visit(value, place, '', undefined, 0)
  return { nodes, tooDeep }
}

/** The nearest object of a kind around a node, or the node itself. */
export function enclosing(node: Node, kind: Kind): Node | undefined {
  for (let each: Node | undefined = node; each !== undefined; each = each.parent)
    if (each.kind === kind) return each
  return undefined
}

/** What lies at the end of a way of fields; `undefined` where it ends before. */
export function at(object: unknown, path: string): JsonValue | undefined {
  let value: unknown = object
  for (const key of path.split('.')) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined
    value = value[key]
  }
  return value as JsonValue | undefined
}

/** The objects of a list; what is no object is passed over, and what is no list is empty. */
export function objectsAt(object: unknown, path: string): readonly JsonObject[] {
  const list = at(object, path)
  return Array.isArray(list) ? list.filter(isJsonObject) : []
}

/** A text; empty for whatever else stands there: only a text is a name. */
export function textAt(object: unknown, path: string): string {
  const value = at(object, path)
  return typeof value === 'string' ? value : ''
}

/** The name of an element of a list, where it or what it holds has one. */
function labelOf(item: unknown): string {
  for (const path of ['name', 'listener.name', 'route_config.name', 'cluster.name', 'secret.name']) {
    const name = textAt(item, path)
    if (name !== '') return ` ${printable(name)}`
  }
  return ''
}

/** Names come from whoever configures Envoy: nothing in one may pass for another part of a line or a path. */
export function printable(text: string): string {
  const safe = text.replace(/[^\x21-\x5a\x5e-\x7e]/g, '?')
  return safe.length > maxNameCharacters ? `${safe.slice(0, maxNameCharacters)}…` : safe
}

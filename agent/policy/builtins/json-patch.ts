import { entriesOf, isEqual, lookup, objectOf, setOf } from '../values/compare.ts'
import { regoText } from '../values/rego-text.ts'
import {
  isAnyObject,
  isArray,
  type RegoMap,
  type RegoObject,
  RegoSet,
  type RegoValue,
} from '../values/value.ts'
import type { Family } from './builtin.ts'
import { list, OperandError, text } from './operands.ts'

type Path = readonly RegoValue[]
type Child = RegoValue | Branch

/** A collection that is being changed; what was not changed below it stays the value it was. */
type Branch = ObjectBranch | SetBranch | ArrayBranch

class ObjectBranch {
  readonly #entries: Map<string, [key: RegoValue, child: Child]>

  constructor(value: RegoObject | RegoMap) {
    this.#entries = new Map(entriesOf(value).map(([key, item]) => [regoText(key), [key, item]]))
  }

  open(key: RegoValue): Child {
    const entry = this.#entries.get(regoText(key))
    if (entry === undefined) throw new OperandError('no such key')
    entry[1] = branchOf(entry[1])
    return entry[1]
  }

  insert(key: RegoValue, value: RegoValue): void {
    this.#entries.set(regoText(key), [key, value])
  }

  remove(key: RegoValue): void {
    if (!this.#entries.delete(regoText(key))) throw new OperandError('no such key')
  }

  render(): RegoValue {
    return objectOf([...this.#entries.values()].map(([key, child]) => [key, rendered(child)] as const))
  }
}

class SetBranch {
  #members: Map<string, Child>
  #mayHaveChanged = false

  constructor(value: RegoSet) {
    this.#members = new Map(value.members.map((member) => [regoText(member), member]))
  }

  open(key: RegoValue): Child {
    this.#settle()
    const member = this.#members.get(regoText(key))
    if (member === undefined) throw new OperandError('no such member')
    const opened = branchOf(member)
    this.#members.set(regoText(key), opened)
    this.#mayHaveChanged = true
    return opened
  }

  insert(key: RegoValue, value: RegoValue): void {
    if (!isEqual(key, value)) throw new OperandError('a member of a set is its own key')
    this.#settle()
    this.#members.set(regoText(key), value)
  }

  remove(key: RegoValue): void {
    this.#settle()
    if (!this.#members.delete(regoText(key))) throw new OperandError('no such member')
  }

  render(): RegoValue {
    return setOf([...this.#members.values()].map(rendered))
  }

  /** A member that was changed goes by what it has become. */
  #settle(): void {
    if (!this.#mayHaveChanged) return
    const settled = [...this.#members.values()].map(rendered)
    this.#members = new Map(settled.map((member) => [regoText(member), member]))
    this.#mayHaveChanged = false
  }
}

/** Not yet changed: the item of this index before all changes. */
class Untouched {
  readonly index: number

  constructor(index: number) {
    this.index = index
  }
}

class ArrayBranch {
  readonly #original: readonly RegoValue[]
  readonly #slots: (Child | Untouched)[]

  constructor(value: readonly RegoValue[]) {
    this.#original = value
    this.#slots = value.map((_, index) => new Untouched(index))
  }

  open(key: RegoValue): Child {
    const index = indexOf(key, this.#slots.length)
    const slot = this.#slots[index]
    if (slot === undefined) throw new OperandError('no such index')
    if (!(slot instanceof Untouched)) {
      const opened = branchOf(slot)
      this.#slots[index] = opened
      return opened
    }
    // OPA 1.22.2 reads an item that was not yet changed at its place before the other changes, also after an insertion has
    // moved it, and puts what it read there. A policy decides as it does with OPA.
    const item = this.#original[index]
    if (item === undefined) throw new OperandError('no such index')
    const opened = branchOf(item)
    this.#slots[index] = opened
    return opened
  }

  insert(key: RegoValue, value: RegoValue): void {
    const index = indexOf(key, this.#slots.length)
    if (index < 0 || index > this.#slots.length) throw new OperandError('no such index')
    this.#slots.splice(index, 0, value)
  }

  remove(key: RegoValue): void {
    const index = indexOf(key, this.#slots.length)
    if (index < 0 || index >= this.#slots.length) throw new OperandError('no such index')
    this.#slots.splice(index, 1)
  }

  render(): RegoValue {
    return this.#slots.map((slot) =>
      slot instanceof Untouched ? (this.#original[slot.index] as RegoValue) : rendered(slot),
    )
  }
}

function isBranch(child: Child): child is Branch {
  return child instanceof ObjectBranch || child instanceof SetBranch || child instanceof ArrayBranch
}

function branchOf(child: Child): Child {
  if (isBranch(child)) return child
  if (isArray(child)) return new ArrayBranch(child)
  if (child instanceof RegoSet) return new SetBranch(child)
  return isAnyObject(child) ? new ObjectBranch(child) : child
}

function rendered(child: Child): RegoValue {
  return isBranch(child) ? child.render() : child
}

function indexOf(key: RegoValue, length: number): number {
  if (key === '-') return length
  if (typeof key === 'number' && Number.isInteger(key)) return key
  if (typeof key !== 'string' || !/^[+-]?\d+$/.test(key) || /^0./.test(key))
    throw new OperandError('not an index')
  return Number(key)
}

/** A JSON pointer, its slashes at the start as many as one likes, or an array of keys. */
function pathOf(value: RegoValue): Path {
  if (value === '') return []
  if (isArray(value)) return value
  return text(value)
    .replace(/^\/+/, '')
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

class Document {
  /** `undefined` once it was removed as a whole. */
  #root: Child | undefined

  constructor(value: RegoValue) {
    this.#root = branchOf(value)
  }

  insert(path: Path, value: RegoValue): void {
    if (path.length === 0) this.#root = branchOf(value)
    else this.#collection(path).insert(path.at(-1) as RegoValue, value)
  }

  remove(path: Path): void {
    if (path.length > 0) return this.#collection(path).remove(path.at(-1) as RegoValue)
    if (this.#root === undefined) throw new OperandError('nothing is left')
    this.#root = undefined
  }

  at(path: Path): RegoValue {
    return rendered(this.#open(path))
  }

  #collection(path: Path): Branch {
    const parent = this.#open(path.slice(0, -1))
    if (!isBranch(parent)) throw new OperandError('not a collection')
    return parent
  }

  #open(path: Path): Child {
    let child = this.#root
    for (const key of path) {
      if (child === undefined || !isBranch(child)) throw new OperandError('not a collection')
      child = child.open(key)
    }
    if (child === undefined) throw new OperandError('nothing is left')
    return child
  }
}

function field(operation: RegoValue, name: string): RegoValue {
  const value = lookup(operation, name)
  if (value === undefined) throw new OperandError(`no ${name}`)
  return value
}

/** Applies one operation. @see RFC 6902 */
function apply(document: Document, operation: RegoValue): void {
  if (!isAnyObject(operation)) throw new OperandError('not an operation')
  const path = pathOf(field(operation, 'path'))
  switch (field(operation, 'op')) {
    case 'add':
      return document.insert(path, field(operation, 'value'))
    case 'remove':
      return document.remove(path)
    case 'replace':
      document.remove(path)
      return document.insert(path, field(operation, 'value'))
    case 'move': {
      const from = pathOf(field(operation, 'from'))
      const moved = document.at(from)
      document.remove(from)
      return document.insert(path, moved)
    }
    case 'copy':
      return document.insert(path, document.at(pathOf(field(operation, 'from'))))
    case 'test':
      if (isEqual(document.at(path), field(operation, 'value'))) return
      throw new OperandError('another value')
    default:
      throw new OperandError('no such operation')
  }
}

/** `json.patch`: all of its operations, or none. */
export const jsonPatchBuiltins: Family = {
  'json.patch': (_, value, operations) => {
    const document = new Document(value as RegoValue)
    for (const operation of list(operations)) apply(document, operation)
    return document.at([])
  },
}

// The two know each other: sets sort their members, and what sorts must tell sets from arrays. Neither calls at load.
import { compare } from './compare.ts'
import { ValueIndex } from './value-index.ts'

/**
 * A Rego value as host functions see it.
 *
 * Numbers have no bounds in Rego and keep their digits: an integer a double cannot hold is a `bigint`, any other number that a
 * double would not give back as it is written a `Decimal`; everything else is a `number`, so that `===` works for what is
 * common. An object whose keys are all strings is a
 * plain object, every other one a `RegoMap`.
 */
export type RegoValue =
  | null
  | boolean
  | string
  | number
  | bigint
  | Decimal
  | readonly RegoValue[]
  | RegoSet
  | RegoMap
  | RegoObject

export interface RegoObject {
  readonly [key: string]: RegoValue
}

/** A number as it was written, where a double would be written otherwise: `100.0`, `1e2`, a third with twenty digits. */
export class Decimal {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** A set; equal members stand once. Who asks for the members gets them in Rego's order; membership is a look-up. */
export class RegoSet implements Iterable<RegoValue> {
  #sorted: readonly RegoValue[] | undefined
  #index: ValueIndex<RegoValue> | undefined

  /** @param members in Rego's order, no two of them equal; `setOf` makes a set of any. */
  constructor(members: readonly RegoValue[]) {
    this.#sorted = members
  }

  get members(): readonly RegoValue[] {
    this.#sorted ??= this.unsorted().sort(compare)
    return this.#sorted
  }

  get size(): number {
    return this.#index?.size ?? (this.#sorted as readonly RegoValue[]).length
  }

  has(value: RegoValue): boolean {
    return this.#indexed().get(value) !== undefined
  }

  /** Only for who builds the set: nobody else may have seen it. */
  add(value: RegoValue): void {
    const index = this.#indexed()
    if (index.get(value) !== undefined) return
    index.set(value, value)
    this.#sorted = undefined
  }

  /** A new list of the members in no particular order. */
  unsorted(): RegoValue[] {
    return this.#sorted === undefined ? this.#indexed().items() : [...this.#sorted]
  }

  [Symbol.iterator](): Iterator<RegoValue> {
    return this.members[Symbol.iterator]()
  }

  #indexed(): ValueIndex<RegoValue> {
    if (this.#index === undefined) {
      this.#index = new ValueIndex()
      for (const member of this.#sorted ?? []) this.#index.set(member, member)
    }
    return this.#index
  }
}

type Entry = readonly [RegoValue, RegoValue]

/** An object of which some key is no string. */
export class RegoMap {
  #sorted: readonly Entry[] | undefined
  #index: ValueIndex<Entry> | undefined

  /** @param entries in Rego's order of their keys, no two of them equal. */
  constructor(entries: readonly Entry[]) {
    this.#sorted = entries
  }

  get entries(): readonly Entry[] {
    this.#sorted ??= this.#indexed()
      .items()
      .sort((a, b) => compare(a[0], b[0]))
    return this.#sorted
  }

  get size(): number {
    return this.#index?.size ?? (this.#sorted as readonly Entry[]).length
  }

  get(key: RegoValue): RegoValue | undefined {
    return this.#indexed().get(key)?.[1]
  }

  /** Only for who builds the object: nobody else may have seen it. */
  set(key: RegoValue, value: RegoValue): void {
    this.#indexed().set(key, [key, value])
    this.#sorted = undefined
  }

  #indexed(): ValueIndex<Entry> {
    if (this.#index === undefined) {
      this.#index = new ValueIndex()
      for (const entry of this.#sorted ?? []) this.#index.set(entry[0], entry)
    }
    return this.#index
  }
}

export function isObject(value: RegoValue | undefined): value is RegoObject {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof RegoSet) &&
    !(value instanceof RegoMap) &&
    !(value instanceof Decimal)
  )
}

/** An object, whatever its keys. */
export function isAnyObject(value: RegoValue | undefined): value is RegoObject | RegoMap {
  return value instanceof RegoMap || isObject(value)
}

export function isArray(value: RegoValue | undefined): value is readonly RegoValue[] {
  return Array.isArray(value)
}

/** The smallest form of an integer: a `number` where that is exact. */
export function integerOf(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : value
}

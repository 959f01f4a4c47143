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

/** A set; equal members stand once, in Rego's order. */
export class RegoSet implements Iterable<RegoValue> {
  readonly members: readonly RegoValue[]

  /** @param members in Rego's order, no two of them equal; `setOf` makes a set of any. */
  constructor(members: readonly RegoValue[]) {
    this.members = members
  }

  [Symbol.iterator](): Iterator<RegoValue> {
    return this.members[Symbol.iterator]()
  }
}

/** An object of which some key is no string. */
export class RegoMap {
  readonly entries: readonly (readonly [RegoValue, RegoValue])[]

  /** @param entries in Rego's order of their keys, no two of them equal. */
  constructor(entries: readonly (readonly [RegoValue, RegoValue])[]) {
    this.entries = entries
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

export function isArray(value: RegoValue | undefined): value is readonly RegoValue[] {
  return Array.isArray(value)
}

/** The smallest form of an integer: a `number` where that is exact. */
export function integerOf(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : value
}

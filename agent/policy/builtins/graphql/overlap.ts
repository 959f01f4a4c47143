import { compareStrings } from '../../values/compare.ts'
import { OperandError } from '../operands.ts'
import {
  type Argument,
  type Child,
  type Definition,
  type Field,
  type FieldDefinition,
  type Fragment,
  isField,
  isInline,
  responseName,
  type Selection,
  type Spread,
  type Type,
  type Value,
  valueKinds,
} from './ast.ts'
import { isLeaf, type Schema } from './types.ts'

/** Where a field was found in the schema. */
export interface Resolved {
  readonly parent: Definition | undefined
  readonly definition: FieldDefinition | undefined
}

/** Fields of a selection by the name in the answer, fragments in place followed, and the fragments it spreads. */
interface Collected {
  readonly set: readonly Selection[]
  readonly fields: ReadonlyMap<string, readonly Field[]>
  readonly spreads: readonly Spread[]
}

/** Pairs of fields compared; each may stand against each, and their number is the client's choice. */
const maxComparisons = 300_000

/**
 * Whether fields that share a name in the answer can be one. Goes about it as gqlparser does, memory of compared fragments
 * included.
 *
 * @see https://spec.graphql.org/October2021/#sec-Field-Selection-Merging
 */
export class Overlap {
  readonly #schema: Schema
  readonly #fragments: ReadonlyMap<string, Fragment>
  readonly #resolved: ReadonlyMap<Field, Resolved>
  readonly #collected = new Map<readonly Selection[], Collected>()
  readonly #pairs = new Map<string, boolean>()
  #compared = new Set<string>()
  #comparisons = 0

  constructor(
    schema: Schema,
    fragments: ReadonlyMap<string, Fragment>,
    resolved: ReadonlyMap<Field, Resolved>,
  ) {
    this.#schema = schema
    this.#fragments = fragments
    this.#resolved = resolved
  }

  /** @throws OperandError where two fields are at odds */
  check(set: readonly Selection[]): void {
    const { fields, spreads } = this.#collect(set)
    for (const alike of fields.values()) {
      for (const [index, field] of alike.entries()) {
        for (const other of alike.slice(index + 1)) this.#compare(false, field, other)
      }
    }
    this.#compared = new Set()
    for (const [index, spread] of spreads.entries()) {
      this.#withFragment(false, this.#collect(set), spread)
      for (const other of spreads.slice(index + 1)) this.#fragmentsOf(false, spread, other)
    }
  }

  #collect(set: readonly Selection[]): Collected {
    const known = this.#collected.get(set)
    if (known !== undefined) return known
    const fields = new Map<string, Field[]>()
    const spreads: Spread[] = []
    const walk = (selections: readonly Selection[]): void => {
      for (const selection of selections) {
        if (isField(selection)) {
          const alike = fields.get(responseName(selection))
          if (alike === undefined) fields.set(responseName(selection), [selection])
          else alike.push(selection)
        } else if (isInline(selection)) walk(selection.SelectionSet)
        else spreads.push(selection)
      }
    }
    walk(set)
    const collected = { set, fields, spreads }
    this.#collected.set(set, collected)
    return collected
  }

  #withFragment(areExclusive: boolean, { set, fields }: Collected, spread: Spread): void {
    if (this.#compared.has(spread.Name)) return
    this.#compared.add(spread.Name)
    const fragment = this.#fragments.get(spread.Name)
    if (fragment === undefined || fragment.SelectionSet === set) return
    const other = this.#collect(fragment.SelectionSet)
    this.#between(areExclusive, fields, other.fields)
    for (const next of other.spreads) {
      if (next.Name !== spread.Name) this.#withFragment(areExclusive, { set, fields, spreads: [] }, next)
    }
  }

  #fragmentsOf(areExclusive: boolean, a: Spread, b: Spread): void {
    if (a.Name === b.Name) return
    const key = a.Name < b.Name ? `${a.Name} ${b.Name}` : `${b.Name} ${a.Name}`
    const known = this.#pairs.get(key)
    if (known !== undefined && (areExclusive || !known)) return
    this.#pairs.set(key, areExclusive)
    const [left, right] = [this.#fragments.get(a.Name), this.#fragments.get(b.Name)]
    if (left === undefined || right === undefined) return
    const [own, other] = [this.#collect(left.SelectionSet), this.#collect(right.SelectionSet)]
    this.#between(areExclusive, own.fields, other.fields)
    for (const next of other.spreads) this.#fragmentsOf(areExclusive, a, next)
    for (const next of own.spreads) this.#fragmentsOf(areExclusive, next, b)
  }

  #between(
    areExclusive: boolean,
    a: ReadonlyMap<string, readonly Field[]>,
    b: ReadonlyMap<string, readonly Field[]>,
  ): void {
    for (const [name, fields] of a) {
      for (const other of b.get(name) ?? [])
        for (const field of fields) this.#compare(areExclusive, field, other)
    }
  }

  #compare(areParentsExclusive: boolean, a: Field, b: Field): void {
    if (++this.#comparisons > maxComparisons) throw new OperandError('too much to compare')
    const [left, right] = [this.#resolved.get(a), this.#resolved.get(b)]
    if (left?.parent === undefined || right?.parent === undefined) return
    const areExclusive =
      areParentsExclusive ||
      (left.parent.Name !== right.parent.Name &&
        left.parent.Kind === 'OBJECT' &&
        right.parent.Kind === 'OBJECT' &&
        left.definition !== undefined &&
        right.definition !== undefined)
    if (!areExclusive && (a.Name !== b.Name || !areSame(a.Arguments, b.Arguments)))
      throw new OperandError('two fields of one name')
    if (left.definition !== undefined && right.definition !== undefined)
      this.#compareTypes(left.definition.Type, right.definition.Type)
    this.#subselections(areExclusive, a.SelectionSet, b.SelectionSet)
  }

  #subselections(areExclusive: boolean, a: readonly Selection[], b: readonly Selection[]): void {
    const [left, right] = [this.#collect(a), this.#collect(b)]
    this.#between(areExclusive, left.fields, right.fields)
    for (const [own, other] of [
      [left, right],
      [right, left],
    ] as const) {
      for (const spread of other.spreads) {
        this.#compared = new Set()
        this.#withFragment(areExclusive, own, spread)
      }
    }
    for (const spread of left.spreads) {
      for (const other of right.spreads) this.#fragmentsOf(areExclusive, spread, other)
    }
  }

  #compareTypes(a: Type, b: Type): void {
    if ((a.Elem === undefined) !== (b.Elem === undefined)) throw new OperandError('a list and none')
    if (a.Elem !== undefined && b.Elem !== undefined) return this.#compareTypes(a.Elem, b.Elem)
    if (a.NonNull !== b.NonNull) throw new OperandError('null and never null')
    const [left, right] = [this.#schema.types.get(a.NamedType), this.#schema.types.get(b.NamedType)]
    if (left === undefined || right === undefined) throw new OperandError('an undefined type')
    if (isLeaf(left) && isLeaf(right) && left.Name !== right.Name) throw new OperandError('two types')
  }
}

function areSame(a: readonly Argument[], b: readonly Argument[]): boolean {
  return (
    a.length === b.length &&
    a.every((argument) =>
      b.some((other) => other.Name === argument.Name && isSame(argument.Value, other.Value)),
    )
  )
}

function isSame(a: Value, b: Value): boolean {
  if (a.Kind !== b.Kind || a.Raw !== b.Raw || a.Children.length !== b.Children.length) return false
  const order = ({ Children }: Value): readonly Child[] =>
    a.Kind === valueKinds.object ? Children.toSorted((x, y) => compareStrings(x.Name, y.Name)) : Children
  const [left, right] = [order(a), order(b)]
  return left.every((child, index) => {
    const other = right[index] as Child
    return child.Name === other.Name && isSame(child.Value, other.Value)
  })
}

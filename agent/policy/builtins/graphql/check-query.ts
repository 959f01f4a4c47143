import { OperandError } from '../operands.ts'
import {
  type Argument,
  type ArgumentDefinition,
  type Definition,
  type Directive,
  type Field,
  type FieldDefinition,
  type Fragment,
  isField,
  isInline,
  type Operation,
  type QueryDocument,
  type Selection,
  type Spread,
  type Value,
  type VariableDefinition,
  valueKinds,
} from './ast.ts'
import { Overlap, type Resolved } from './overlap.ts'
import { isCompatible, isComposite, isInput, isLeaf, type Schema, typeOf } from './types.ts'
import { checkValue, type Expected } from './values.ts'

const typename: FieldDefinition = {
  Description: '',
  Name: '__typename',
  Type: { NamedType: 'String', NonNull: false },
  Arguments: [],
  Directives: [],
}
/** Lists of lists of the schema's own types that may be asked for at once. */
const maxIntrospection = 3
/** Selections walked; each operation walks the fragments that it spreads anew. */
const maxSelections = 300_000
const introspectedLists = new Set(['fields', 'interfaces', 'possibleTypes', 'inputFields'])

function must(isRight: boolean, why: string): asserts isRight {
  if (!isRight) throw new OperandError(why)
}

function mustBeUnique(names: readonly string[]): void {
  must(new Set(names).size === names.length, 'a name twice')
}

/** Whether a query makes sense. @throws OperandError. @see https://spec.graphql.org/October2021/#sec-Validation */
export function checkQuery(schema: Schema, document: QueryDocument): void {
  new QueryCheck(schema, document).run()
}

class QueryCheck {
  readonly #schema: Schema
  readonly #document: QueryDocument
  readonly #fragments = new Map<string, Fragment>()
  readonly #resolved = new Map<Field, Resolved>()
  readonly #overlap: Overlap
  /** Of the operation that is walked. */
  #operation: Operation | undefined
  #used = new Set<string>()
  #walked = new Set<string>()
  #count = 0
  readonly #spread = new Set<string>()
  /** Selections to be judged once all fields are resolved. */
  readonly #selections: (readonly Selection[])[] = []

  constructor(schema: Schema, document: QueryDocument) {
    this.#schema = schema
    this.#document = document
    mustBeUnique(document.Fragments.map(({ Name }) => Name))
    for (const fragment of document.Fragments) this.#fragments.set(fragment.Name, fragment)
    this.#overlap = new Overlap(schema, this.#fragments, this.#resolved)
  }

  run(): void {
    const { Operations, Fragments } = this.#document
    mustBeUnique(Operations.map(({ Name }) => Name))
    must(Operations.length < 2 || Operations.every(({ Name }) => Name !== ''), 'an operation without a name')
    for (const operation of Operations) this.#walkOperation(operation)
    for (const fragment of Fragments) {
      must(this.#spread.has(fragment.Name), 'an unused fragment')
      this.#walkFragment(fragment)
    }
    this.#cycles()
    for (const set of this.#selections) this.#overlap.check(set)
  }

  #walkOperation(operation: Operation): void {
    this.#operation = operation
    this.#used = new Set()
    this.#walked = new Set()
    const root = this.#schema.roots.get(operation.Operation || 'query')
    must(root !== undefined, 'no such operation')
    mustBeUnique(operation.VariableDefinitions.map(({ Variable }) => Variable))
    for (const variable of operation.VariableDefinitions) this.#variable(variable)
    this.#directives(operation.Directives, (operation.Operation || 'query').toUpperCase())
    this.#walk(root, operation.SelectionSet)
    this.#selections.push(operation.SelectionSet)
    for (const { Variable } of operation.VariableDefinitions)
      must(this.#used.has(Variable), 'an unused variable')
    if (operation.Operation === 'subscription') this.#single(operation)
    this.#operation = undefined
  }

  #variable({ Type: type, DefaultValue, Directives }: VariableDefinition): void {
    const definition = typeOf(this.#schema, type)
    must(definition !== undefined && isInput(definition), 'no input type')
    if (DefaultValue !== undefined) this.#value(DefaultValue, { type, definition, hasDefault: false })
    this.#directives(Directives, 'VARIABLE_DEFINITION')
  }

  #walkFragment(fragment: Fragment): void {
    const definition = this.#schema.types.get(fragment.TypeCondition)
    must(definition !== undefined && isComposite(definition), 'no type for a fragment')
    this.#walked = new Set()
    this.#directives(fragment.Directives, 'FRAGMENT_DEFINITION')
    this.#walk(definition, fragment.SelectionSet)
    this.#selections.push(fragment.SelectionSet)
  }

  #walk(parent: Definition | undefined, set: readonly Selection[]): void {
    this.#count += set.length
    must(this.#count <= maxSelections, 'too much to walk')
    for (const selection of set) {
      if (isField(selection)) this.#field(parent, selection)
      else if (isInline(selection)) {
        const { TypeCondition: name } = selection
        const condition = name === '' ? parent : this.#schema.types.get(name)
        if (name !== '') must(condition !== undefined && isComposite(condition), 'no type for a fragment')
        this.#directives(selection.Directives, 'INLINE_FRAGMENT')
        this.#walk(condition, selection.SelectionSet)
        this.#selections.push(selection.SelectionSet)
        if (name !== '') this.#meets(parent, name)
      } else this.#spreadFragment(parent, selection)
    }
  }

  #field(parent: Definition | undefined, field: Field): void {
    const definition =
      field.Name === typename.Name ? typename : parent?.Fields.find(({ Name }) => Name === field.Name)
    this.#resolved.set(field, { parent, definition })
    must(parent === undefined || definition !== undefined, 'no such field')
    const type = definition === undefined ? undefined : typeOf(this.#schema, definition.Type)
    this.#arguments(field.Arguments, definition?.Arguments)
    this.#directives(field.Directives, 'FIELD')
    this.#walk(type, field.SelectionSet)
    if (this.#operation !== undefined) this.#selections.push(field.SelectionSet)
    if (type !== undefined) must(isLeaf(type) === (field.SelectionSet.length === 0), 'subfields, or none')
    if (field.Name === '__schema' || field.Name === '__type')
      must(!this.#isDeep(field, new Set(), 0), 'too deep a question about the schema')
  }

  #spreadFragment(parent: Definition | undefined, { Name, Directives }: Spread): void {
    const fragment = this.#fragments.get(Name)
    must(fragment !== undefined, 'no such fragment')
    if (this.#operation !== undefined) this.#spread.add(Name)
    const condition = this.#schema.types.get(fragment.TypeCondition)
    this.#directives(Directives, 'FRAGMENT_SPREAD')
    if (!this.#walked.has(Name)) {
      this.#walked.add(Name)
      this.#directives(fragment.Directives, 'FRAGMENT_DEFINITION')
      this.#walk(condition, fragment.SelectionSet)
    }
    this.#meets(parent, fragment.TypeCondition)
  }

  /** Whether some object can be of both types. */
  #meets(parent: Definition | undefined, name: string): void {
    const condition = this.#schema.types.get(name)
    if (parent === undefined || condition === undefined) return
    if (!isComposite(parent) || !isComposite(condition)) return
    const own = parent.Kind === 'OBJECT' ? [parent] : (this.#schema.possible.get(parent.Name) ?? [])
    const names = new Set(own.map((each) => each.Name))
    const others = this.#schema.possible.get(name) ?? []
    must(
      others.some((each) => names.has(each.Name)),
      'a fragment that never applies',
    )
  }

  #directives(directives: readonly Directive[], location: string): void {
    const seen = new Set<string>()
    for (const { Name, Arguments } of directives) {
      const definition = this.#schema.directives.get(Name)
      must(definition?.Locations.includes(location) === true, 'no directive for this place')
      must(definition.IsRepeatable || !seen.has(Name), 'a directive twice')
      seen.add(Name)
      this.#arguments(Arguments, definition.Arguments)
    }
  }

  #arguments(given: readonly Argument[], definitions: readonly ArgumentDefinition[] | undefined): void {
    mustBeUnique(given.map(({ Name }) => Name))
    for (const { Name, Value: value } of given) {
      const definition = definitions?.find((each) => each.Name === Name)
      must(definitions === undefined || definition !== undefined, 'an unknown argument')
      this.#value(value, this.#expectedOf(definition))
    }
    for (const { Name, Type: type, DefaultValue } of definitions ?? []) {
      const isNeeded = type.NonNull && DefaultValue === undefined
      must(!isNeeded || given.some((each) => each.Name === Name), 'a missing argument')
    }
  }

  #expectedOf(definition: ArgumentDefinition | FieldDefinition | undefined): Expected {
    if (definition === undefined) return { type: undefined, definition: undefined, hasDefault: false }
    const { Type: type, DefaultValue } = definition
    return {
      type,
      definition: typeOf(this.#schema, type),
      hasDefault: DefaultValue !== undefined && DefaultValue.Kind !== valueKinds.null,
    }
  }

  #value(value: Value, expected: Expected): void {
    if (value.Kind === valueKinds.variable) this.#use(value, expected)
    if (value.Kind === valueKinds.object) {
      mustBeUnique(value.Children.map(({ Name }) => Name))
      for (const child of value.Children) {
        const field = expected.definition?.Fields.find(({ Name }) => Name === child.Name)
        this.#value(child.Value, this.#expectedOf(field))
      }
      this.#oneOf(value, expected)
    }
    if (value.Kind === valueKinds.list) {
      const type = expected.type?.Elem
      const { definition } = type === undefined ? { definition: undefined } : expected
      for (const child of value.Children) this.#value(child.Value, { type, definition, hasDefault: false })
    }
    checkValue(value, expected)
  }

  #defined(name: string): VariableDefinition | undefined {
    return this.#operation?.VariableDefinitions.find(({ Variable }) => Variable === name)
  }

  #use({ Raw }: Value, { type, hasDefault }: Expected): void {
    if (this.#operation === undefined) return
    const variable = this.#defined(Raw)
    must(variable !== undefined, 'an undefined variable')
    this.#used.add(Raw)
    if (type === undefined) return
    const { DefaultValue } = variable
    const isFilled = hasDefault || (DefaultValue !== undefined && DefaultValue.Kind !== valueKinds.null)
    must(
      isCompatible(variable.Type, isFilled ? { ...type, NonNull: false } : type),
      'a variable of another type',
    )
  }

  /** The only field of such an input may not turn out to be null. */
  #oneOf({ Children }: Value, { definition }: Expected): void {
    if (definition?.Directives.some(({ Name }) => Name === 'oneOf') !== true) return
    for (const { Value: value } of Children) {
      const variable = value.Kind === valueKinds.variable ? this.#defined(value.Raw) : undefined
      must(variable === undefined || variable.Type.NonNull, 'a variable that may be null')
    }
  }

  #single(operation: Operation): void {
    const names = new Set<string>()
    const seen = new Set<string>()
    const walk = (set: readonly Selection[]): void => {
      for (const selection of set) {
        if (isField(selection)) names.add(selection.Name)
        else if (isInline(selection)) walk(selection.SelectionSet)
        else if (!seen.has(selection.Name)) {
          seen.add(selection.Name)
          walk(this.#fragments.get(selection.Name)?.SelectionSet ?? [])
        }
      }
    }
    walk(operation.SelectionSet)
    must(names.size < 2 && [...names].every((name) => !name.startsWith('__')), 'more than one subscription')
  }

  #isDeep(field: Field, visited: Set<string>, depth: number): boolean {
    const deeper = introspectedLists.has(field.Name) ? depth + 1 : depth
    if (deeper >= maxIntrospection) return true
    const walk = (set: readonly Selection[]): boolean =>
      set.some((selection) => {
        if (isField(selection)) return this.#isDeep(selection, visited, deeper)
        if (isInline(selection)) return walk(selection.SelectionSet)
        const key = `${selection.Name} ${deeper}`
        if (visited.has(key)) return false
        // Kept: what was found shallow once is so wherever it is spread at this depth.
        visited.add(key)
        return walk(this.#fragments.get(selection.Name)?.SelectionSet ?? [])
      })
    return walk(field.SelectionSet)
  }

  #cycles(): void {
    const done = new Set<string>()
    const open = new Set<string>()
    const visit = (name: string): void => {
      must(!open.has(name), 'a fragment within itself')
      if (done.has(name)) return
      open.add(name)
      const walk = (set: readonly Selection[]): void => {
        for (const selection of set) {
          if (isField(selection) || isInline(selection)) walk(selection.SelectionSet)
          else visit(selection.Name)
        }
      }
      walk(this.#fragments.get(name)?.SelectionSet ?? [])
      open.delete(name)
      done.add(name)
    }
    for (const name of this.#fragments.keys()) visit(name)
  }
}

import { OperandError } from '../operands.ts'
import type { Definition, DirectiveDefinition, FieldDefinition, SchemaDocument, Type } from './ast.ts'
import { nameOf } from './ast.ts'
import { prelude } from './prelude.ts'
import { parseSchema } from './schema.ts'

/** A schema as it is asked: types with their extensions, and what belongs to what. */
export interface Schema {
  readonly types: ReadonlyMap<string, Definition>
  readonly directives: ReadonlyMap<string, DirectiveDefinition>
  /** Types that an abstract one may turn out to be; of an object itself. */
  readonly possible: ReadonlyMap<string, readonly Definition[]>
  readonly roots: ReadonlyMap<string, Definition>
}

const redefinable = new Set(['include', 'skip', 'deprecated', 'specifiedBy', 'defer', 'oneOf'])

/** Puts a schema together. @throws OperandError where a name is there twice or leads nowhere */
export function collectTypes(document: SchemaDocument): Schema {
  const builtIn = parseSchema(prelude, true)
  const types = new Map<string, Definition>()
  for (const definition of [...builtIn.Definitions, ...document.Definitions]) {
    if (types.has(definition.Name)) throw new OperandError('a type defined twice')
    types.set(definition.Name, definition)
  }
  for (const extension of document.Extensions)
    types.set(extension.Name, extended(types.get(extension.Name), extension))
  const directives = new Map<string, DirectiveDefinition>()
  for (const directive of [...builtIn.Directives, ...document.Directives]) {
    if (directives.has(directive.Name) && !redefinable.has(directive.Name))
      throw new OperandError('a directive defined twice')
    directives.set(directive.Name, directive)
  }
  return { types, directives, possible: possibleTypes(types), roots: rootsOf(document, types) }
}

function extended(base: Definition | undefined, extension: Definition): Definition {
  if (base === undefined) return { ...extension, BuiltIn: false }
  if (base.Kind !== extension.Kind) throw new OperandError('an extension of another kind')
  return {
    ...base,
    Directives: [...base.Directives, ...extension.Directives],
    Interfaces: [...base.Interfaces, ...extension.Interfaces],
    Fields: [...base.Fields, ...extension.Fields],
    Types: [...base.Types, ...extension.Types],
    EnumValues: [...base.EnumValues, ...extension.EnumValues],
  }
}

function possibleTypes(types: ReadonlyMap<string, Definition>): Map<string, Definition[]> {
  const possible = new Map<string, Definition[]>()
  const add = (name: string, definition: Definition | undefined) => {
    if (definition === undefined) throw new OperandError('an undefined type')
    const known = possible.get(name)
    if (known === undefined) possible.set(name, [definition])
    else known.push(definition)
  }
  for (const definition of types.values()) {
    for (const member of definition.Types) add(definition.Name, types.get(member))
    for (const name of definition.Interfaces) add(name, definition)
    if (definition.Kind === 'OBJECT' || definition.Kind === 'INPUT_OBJECT') add(definition.Name, definition)
  }
  return possible
}

const named = (name: string, NonNull: boolean): Type => ({ NamedType: name, NonNull })
const plain = { Description: '', Directives: [] }
const introspection: readonly FieldDefinition[] = [
  { ...plain, Name: '__schema', Type: named('__Schema', true), Arguments: [] },
  {
    ...plain,
    Name: '__type',
    Type: named('__Type', false),
    Arguments: [{ ...plain, Name: 'name', Type: named('String', true) }],
  },
]

function rootsOf(document: SchemaDocument, types: ReadonlyMap<string, Definition>): Map<string, Definition> {
  if (document.Schema.length > 1) throw new OperandError('two schemas')
  const roots = new Map<string, Definition>()
  for (const { Operation, Type: name } of [...document.Schema, ...document.SchemaExtension].flatMap(
    ({ OperationTypes }) => OperationTypes,
  )) {
    const root = types.get(name)
    if (root === undefined) throw new OperandError('an undefined root')
    roots.set(Operation, root)
  }
  if (document.Schema.length === 0) {
    for (const name of ['Query', 'Mutation', 'Subscription']) {
      const [operation, root] = [name.toLowerCase(), types.get(name)]
      if (root !== undefined && !roots.has(operation)) roots.set(operation, root)
    }
  }
  return roots
}

/** With what a query may ask about the schema itself; only once its own fields were judged. */
export function withIntrospection(schema: Schema): Schema {
  const query = schema.roots.get('query')
  if (query === undefined) return schema
  const asked = { ...query, Fields: [...query.Fields, ...introspection] }
  const roots = new Map(
    [...schema.roots].map(([operation, root]) => [operation, root === query ? asked : root] as const),
  )
  const replace = (each: Definition) => (each === query ? asked : each)
  return {
    ...schema,
    types: new Map(schema.types).set(query.Name, asked),
    possible: new Map([...schema.possible].map(([name, list]) => [name, list.map(replace)] as const)),
    roots,
  }
}

export function isComposite(definition: Definition): boolean {
  return ['OBJECT', 'INTERFACE', 'UNION'].includes(definition.Kind)
}

export function isLeaf(definition: Definition): boolean {
  return definition.Kind === 'ENUM' || definition.Kind === 'SCALAR'
}

export function isInput(definition: Definition): boolean {
  return isLeaf(definition) || definition.Kind === 'INPUT_OBJECT'
}

export function typeOf(schema: Schema, type: Type): Definition | undefined {
  return schema.types.get(nameOf(type))
}

/** Whether a value of the one type fits where the other is asked for. */
export function isCompatible(type: Type, wanted: Type): boolean {
  if (type.NamedType !== wanted.NamedType) return false
  if (type.Elem !== undefined && (wanted.Elem === undefined || !isCompatible(type.Elem, wanted.Elem)))
    return false
  return type.NonNull || !wanted.NonNull
}

import { OperandError } from '../operands.ts'
import {
  type ArgumentDefinition,
  type Definition,
  type Directive,
  nameOf,
  type SchemaDocument,
  type Type,
  valueKinds,
} from './ast.ts'
import {
  collectTypes,
  isCompatible,
  isInput,
  isLeaf,
  type Schema,
  typeOf,
  withIntrospection,
} from './types.ts'

/** A schema that makes sense. @throws OperandError. @see https://spec.graphql.org/October2021/#sec-Type-System */
export function checkedSchema(document: SchemaDocument): Schema {
  const schema = collectTypes(document)
  for (const { Directives } of [...document.Schema, ...document.SchemaExtension])
    directives(schema, Directives, { location: 'SCHEMA' })
  for (const definition of schema.types.values()) check(schema, definition)
  inputCycles(schema)
  for (const directive of schema.directives.values()) {
    mustBeFree(directive.Name)
    args(schema, directive.Arguments, directive.Name)
  }
  return withIntrospection(schema)
}

function must(isRight: boolean, why: string): asserts isRight {
  if (!isRight) throw new OperandError(why)
}

function mustBeFree(name: string): void {
  must(!name.startsWith('__'), 'a reserved name')
}

function mustBeUnique(names: readonly string[]): void {
  must(new Set(names).size === names.length, 'a name twice')
}

function check(schema: Schema, definition: Definition): void {
  const isInputObject = definition.Kind === 'INPUT_OBJECT'
  for (const field of definition.Fields) {
    mustBeFree(field.Name)
    must(typeOf(schema, field.Type) !== undefined, 'an undefined type')
    args(schema, field.Arguments)
    directives(schema, field.Directives, {
      location: isInputObject ? 'INPUT_FIELD_DEFINITION' : 'FIELD_DEFINITION',
    })
  }
  for (const member of definition.Types) must(schema.types.get(member)?.Kind === 'OBJECT', 'no object')
  for (const name of definition.Interfaces) implementation(schema, definition, name)
  byKind(schema, definition)
  mustBeUnique(definition.Fields.map(({ Name }) => Name))
  mustBeUnique(definition.EnumValues.map(({ Name }) => Name))
  mustBeUnique(definition.Types)
  if (!definition.BuiltIn) mustBeFree(definition.Name)
  directives(schema, definition.Directives, { location: definition.Kind, mayRepeat: true })
}

function byKind(schema: Schema, { Kind, Fields, EnumValues }: Definition): void {
  switch (Kind) {
    case 'OBJECT':
    case 'INTERFACE':
      must(Fields.length > 0, 'no fields')
      for (const field of Fields)
        must(typeOf(schema, field.Type)?.Kind !== 'INPUT_OBJECT', 'an input as a field')
      return
    case 'INPUT_OBJECT':
      must(Fields.length > 0, 'no fields')
      for (const field of Fields) must(isInput(typeOf(schema, field.Type) as Definition), 'no input')
      return
    case 'ENUM':
      must(EnumValues.length > 0, 'no values')
      for (const { Name, Directives } of EnumValues) {
        must(!['true', 'false', 'null'].includes(Name), 'no name of a value')
        directives(schema, Directives, { location: 'ENUM_VALUE' })
      }
      return
    default:
  }
}

function args(schema: Schema, definitions: readonly ArgumentDefinition[], directive?: string): void {
  for (const { Name, Type: type, Directives } of definitions) {
    mustBeFree(Name)
    const definition = typeOf(schema, type)
    must(definition !== undefined && isInput(definition), 'no input type')
    directives(schema, Directives, {
      location: 'ARGUMENT_DEFINITION',
      ...(directive !== undefined && { directive }),
    })
  }
}

function directives(
  schema: Schema,
  list: readonly Directive[],
  { location, directive, mayRepeat }: { location: string; directive?: string; mayRepeat?: boolean },
): void {
  const seen = new Set<string>()
  for (const { Name, Arguments } of list) {
    mustBeFree(Name)
    must(Name !== directive, 'a directive that refers to itself')
    const definition = schema.directives.get(Name)
    must(definition?.Locations.includes(location) === true, 'no directive for this place')
    if (mayRepeat !== true) {
      must(definition.IsRepeatable || !seen.has(Name), 'a directive twice')
      seen.add(Name)
    }
    for (const argument of Arguments)
      must(
        definition.Arguments.some((each) => each.Name === argument.Name),
        'an unknown argument',
      )
    for (const { Name: wanted, Type: type, DefaultValue } of definition.Arguments) {
      if (!type.NonNull || DefaultValue !== undefined) continue
      const given = Arguments.find((each) => each.Name === wanted)
      must(given !== undefined && given.Value.Kind !== valueKinds.null, 'a missing argument')
    }
  }
}

function implementation(schema: Schema, definition: Definition, name: string): void {
  const implemented = schema.types.get(name)
  must(implemented?.Kind === 'INTERFACE', 'no interface')
  for (const wanted of implemented.Fields) {
    const field = definition.Fields.find(({ Name }) => Name === wanted.Name)
    must(field !== undefined && isCovariant(schema, wanted.Type, field.Type), 'a field that does not fit')
    for (const argument of wanted.Arguments) {
      const found = field.Arguments.find(({ Name }) => Name === argument.Name)
      must(found !== undefined && isCompatible(argument.Type, found.Type), 'an argument that does not fit')
    }
    for (const { Name, Type: type, DefaultValue } of field.Arguments) {
      const isKnown = wanted.Arguments.some((each) => each.Name === Name)
      must(isKnown || !type.NonNull || DefaultValue !== undefined, 'one argument too many')
    }
  }
  for (const ancestor of implemented.Interfaces)
    must(definition.Interfaces.includes(ancestor), 'an interface behind an interface')
}

function isCovariant(schema: Schema, wanted: Type, actual: Type): boolean {
  if (wanted.NonNull && !actual.NonNull) return false
  if (wanted.NamedType !== '') {
    const possible = schema.possible.get(wanted.NamedType) ?? []
    return wanted.NamedType === actual.NamedType || possible.some(({ Name }) => Name === actual.NamedType)
  }
  if (wanted.Elem === undefined || actual.Elem === undefined) return false
  return isCovariant(schema, wanted.Elem, actual.Elem)
}

/** An input that needs itself can never be given. */
function inputCycles(schema: Schema): void {
  const done = new Set<string>()
  const open = new Set<string>()
  const visit = (definition: Definition): void => {
    must(!open.has(definition.Name), 'an input within itself')
    if (done.has(definition.Name)) return
    open.add(definition.Name)
    for (const { Type: type } of definition.Fields) {
      const next = type.NonNull && type.NamedType !== '' ? schema.types.get(nameOf(type)) : undefined
      if (next !== undefined && !isLeaf(next) && next.Kind === 'INPUT_OBJECT') visit(next)
    }
    open.delete(definition.Name)
    done.add(definition.Name)
  }
  for (const definition of schema.types.values()) if (definition.Kind === 'INPUT_OBJECT') visit(definition)
}

/**
 * The documents that gqlparser makes, its names and all: policies see them as they are. What has no value is an empty text,
 * false, an empty list or `undefined`; only the last two are left out of what a policy sees.
 *
 * @see https://pkg.go.dev/github.com/vektah/gqlparser/v2/ast
 */
export interface Comments {
  readonly List: readonly { readonly Value: string }[]
}

export interface QueryDocument {
  readonly Operations: Operation[]
  readonly Fragments: Fragment[]
  readonly Comment?: Comments | undefined
}

export interface Operation {
  readonly Operation: string
  readonly Name: string
  readonly VariableDefinitions: readonly VariableDefinition[]
  readonly Directives: readonly Directive[]
  readonly SelectionSet: readonly Selection[]
  readonly Comment?: Comments | undefined
}

export interface VariableDefinition {
  readonly Variable: string
  readonly Type: Type
  readonly DefaultValue?: Value | undefined
  readonly Directives: readonly Directive[]
  readonly Comment?: Comments | undefined
  readonly Used: boolean
}

export type Selection = Field | Spread | InlineFragment

export interface Field {
  readonly Alias: string
  readonly Name: string
  readonly Arguments: readonly Argument[]
  readonly Directives: readonly Directive[]
  readonly SelectionSet: readonly Selection[]
  readonly Comment?: Comments | undefined
}

export interface Spread {
  readonly Name: string
  readonly Directives: readonly Directive[]
  readonly Comment?: Comments | undefined
}

interface InlineFragment {
  readonly TypeCondition: string
  readonly Directives: readonly Directive[]
  readonly SelectionSet: readonly Selection[]
  readonly Comment?: Comments | undefined
}

export interface Fragment {
  readonly Name: string
  readonly VariableDefinition: readonly VariableDefinition[]
  readonly TypeCondition: string
  readonly Directives: readonly Directive[]
  readonly SelectionSet: readonly Selection[]
  readonly Comment?: Comments | undefined
}

export interface Argument {
  readonly Name: string
  readonly Value: Value
  readonly Comment?: Comments | undefined
}

export interface Directive {
  readonly Name: string
  readonly Arguments: readonly Argument[]
  readonly Location: string
}

export interface Type {
  readonly NamedType: string
  readonly Elem?: Type | undefined
  readonly NonNull: boolean
}

/** What kinds of values are called in a document. */
export const valueKinds = {
  variable: 0,
  integer: 1,
  float: 2,
  string: 3,
  block: 4,
  boolean: 5,
  null: 6,
  enum: 7,
  list: 8,
  object: 9,
} as const

export interface Value {
  readonly Raw: string
  readonly Children: readonly Child[]
  readonly Kind: number
  readonly Comment?: Comments | undefined
  readonly ExpectedTypeHasDefault: boolean
}

export interface Child {
  readonly Name: string
  readonly Value: Value
  readonly Comment?: Comments | undefined
}

export interface SchemaDocument {
  readonly Schema: SchemaDefinition[]
  readonly SchemaExtension: SchemaDefinition[]
  readonly Directives: DirectiveDefinition[]
  readonly Definitions: Definition[]
  readonly Extensions: Definition[]
  readonly Comment?: Comments | undefined
}

/** Before and behind a description, and before a closing brace. */
interface Described {
  readonly Description: string
  readonly BeforeDescriptionComment?: Comments | undefined
  readonly AfterDescriptionComment?: Comments | undefined
}

export interface SchemaDefinition extends Described {
  readonly Directives: readonly Directive[]
  readonly OperationTypes: readonly OperationType[]
  readonly EndOfDefinitionComment?: Comments | undefined
}

export interface OperationType {
  readonly Operation: string
  readonly Type: string
  readonly Comment?: Comments | undefined
}

export interface Definition extends Described {
  readonly Kind: string
  readonly Name: string
  readonly Directives: readonly Directive[]
  readonly Interfaces: readonly string[]
  readonly Fields: readonly FieldDefinition[]
  readonly Types: readonly string[]
  readonly EnumValues: readonly EnumValueDefinition[]
  readonly BuiltIn: boolean
  readonly EndOfDefinitionComment?: Comments | undefined
}

export interface FieldDefinition extends Described {
  readonly Name: string
  readonly Arguments: readonly ArgumentDefinition[]
  readonly DefaultValue?: Value | undefined
  readonly Type: Type
  readonly Directives: readonly Directive[]
}

export interface ArgumentDefinition extends Described {
  readonly Name: string
  readonly DefaultValue?: Value | undefined
  readonly Type: Type
  readonly Directives: readonly Directive[]
}

export interface EnumValueDefinition extends Described {
  readonly Name: string
  readonly Directives: readonly Directive[]
}

export interface DirectiveDefinition extends Described {
  readonly Name: string
  readonly Arguments: readonly ArgumentDefinition[]
  readonly Locations: readonly string[]
  readonly IsRepeatable: boolean
}

export function isField(selection: Selection): selection is Field {
  return 'Alias' in selection
}

export function isInline(selection: Selection): selection is InlineFragment {
  return 'TypeCondition' in selection
}

/** The type that a list is of in the end. */
export function nameOf(type: Type): string {
  let inner = type
  while (inner.NamedType === '' && inner.Elem !== undefined) inner = inner.Elem
  return inner.NamedType
}

/** The name under which a field's answer stands. */
export function responseName(field: Field): string {
  return field.Alias || field.Name
}

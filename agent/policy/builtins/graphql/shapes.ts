import { isArray, isObject, type RegoObject, type RegoValue } from '../../values/value.ts'
import { OperandError } from '../operands.ts'

/** What a field of a node holds: a text, a flag, a number, a node of a shape, or a list of nodes or texts. */
type Kind = 'text' | 'flag' | 'number' | 'texts' | { readonly node: string } | { readonly nodes: string }
type Shape = Readonly<Record<string, Kind>>

const node = (name: string): Kind => ({ node: name })
const nodes = (name: string): Kind => ({ nodes: name })
const commented: Shape = { Comment: node('Comments') }
const described: Shape = {
  Description: 'text',
  BeforeDescriptionComment: node('Comments'),
  AfterDescriptionComment: node('Comments'),
}
const ended: Shape = { ...described, EndOfDefinitionComment: node('Comments') }
const argument: Shape = {
  ...described,
  Name: 'text',
  DefaultValue: node('Value'),
  Type: node('Type'),
  Directives: nodes('Directive'),
}

/** The nodes of `ast.ts` by their names. */
const shapes: Readonly<Record<string, Shape>> = {
  Comments: { List: nodes('CommentLine') },
  CommentLine: { Value: 'text' },
  QueryDocument: { Operations: nodes('Operation'), Fragments: nodes('Fragment'), ...commented },
  Operation: {
    Operation: 'text',
    Name: 'text',
    VariableDefinitions: nodes('VariableDefinition'),
    Directives: nodes('Directive'),
    SelectionSet: nodes('Field'),
  },
  VariableDefinition: {
    Variable: 'text',
    Type: node('Type'),
    DefaultValue: node('Value'),
    Directives: nodes('Directive'),
    Used: 'flag',
    ...commented,
  },
  // OPA takes every selection of a document that it is given for a field.
  Field: {
    Alias: 'text',
    Name: 'text',
    Arguments: nodes('Argument'),
    Directives: nodes('Directive'),
    SelectionSet: nodes('Field'),
  },
  Fragment: {
    Name: 'text',
    VariableDefinition: nodes('VariableDefinition'),
    TypeCondition: 'text',
    Directives: nodes('Directive'),
    SelectionSet: nodes('Field'),
  },
  Argument: { Name: 'text', Value: node('Value'), ...commented },
  Directive: { Name: 'text', Arguments: nodes('Argument'), Location: 'text' },
  Type: { NamedType: 'text', Elem: node('Type'), NonNull: 'flag' },
  Value: {
    Raw: 'text',
    Children: nodes('Child'),
    Kind: 'number',
    ExpectedTypeHasDefault: 'flag',
    ...commented,
  },
  Child: { Name: 'text', Value: node('Value'), ...commented },
  SchemaDocument: {
    Schema: nodes('SchemaDefinition'),
    SchemaExtension: nodes('SchemaDefinition'),
    Directives: nodes('DirectiveDefinition'),
    Definitions: nodes('Definition'),
    Extensions: nodes('Definition'),
    ...commented,
  },
  SchemaDefinition: { ...ended, Directives: nodes('Directive'), OperationTypes: nodes('OperationType') },
  OperationType: { Operation: 'text', Type: 'text', ...commented },
  Definition: {
    ...ended,
    Kind: 'text',
    Name: 'text',
    Directives: nodes('Directive'),
    Interfaces: 'texts',
    Fields: nodes('FieldDefinition'),
    Types: 'texts',
    EnumValues: nodes('EnumValueDefinition'),
    BuiltIn: 'flag',
  },
  FieldDefinition: { ...argument, Arguments: nodes('ArgumentDefinition') },
  ArgumentDefinition: argument,
  EnumValueDefinition: { ...described, Name: 'text', Directives: nodes('Directive') },
  DirectiveDefinition: {
    ...described,
    Name: 'text',
    Arguments: nodes('ArgumentDefinition'),
    Locations: 'texts',
    IsRepeatable: 'flag',
  },
}

/** A document as a policy hands it over. @throws OperandError where something of it is of the wrong type */
export function readNode<T>(shape: string, value: RegoValue | undefined): T {
  if (!isObject(value)) throw new OperandError('no node')
  const fields = Object.entries(shapes[shape] as Shape).map(
    ([name, kind]) => [name, readField(kind, Object.hasOwn(value, name) ? value[name] : undefined)] as const,
  )
  return Object.fromEntries(fields) as T
}

function readField(kind: Kind, found: RegoValue | undefined): unknown {
  const value = found ?? undefined
  if (typeof kind === 'object') {
    if ('node' in kind) return value === undefined ? undefined : readNode(kind.node, value)
    return listOf(value).map((item) => readNode(kind.nodes, item))
  }
  if (kind === 'texts') return listOf(value).map((item) => typed(item, 'string', ''))
  if (kind === 'text') return typed(value, 'string', '')
  return kind === 'flag' ? typed(value, 'boolean', false) : typed(value, 'number', 0)
}

function listOf(value: RegoValue | undefined): readonly RegoValue[] {
  if (value === undefined) return []
  if (!isArray(value)) throw new OperandError('no list')
  return value
}

function typed<T>(value: RegoValue | undefined, type: string, fallback: T): T {
  if (value === undefined || value === null) return fallback
  if (typeof value !== type) throw new OperandError(`no ${type}`)
  return value as T
}

/** A document as a policy sees it: without what is empty, save texts, flags and numbers. */
export function shownNode(value: object): RegoObject {
  const shown: Record<string, RegoValue> = {}
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined) continue
    const found = shownItem(item)
    if (found !== undefined) shown[name] = found
  }
  return shown
}

function shownItem(item: unknown): RegoValue | undefined {
  if (typeof item !== 'object' || item === null) return item as RegoValue
  if (!Array.isArray(item)) {
    const shown = shownNode(item)
    return Object.keys(shown).length === 0 ? undefined : shown
  }
  const shown = item.map(shownItem).filter((each) => each !== undefined)
  return shown.length === 0 ? undefined : shown
}

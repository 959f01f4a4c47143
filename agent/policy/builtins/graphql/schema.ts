import { OperandError } from '../operands.ts'
import type {
  ArgumentDefinition,
  Comments,
  Definition,
  DirectiveDefinition,
  EnumValueDefinition,
  FieldDefinition,
  OperationType,
  SchemaDefinition,
  SchemaDocument,
} from './ast.ts'
import { Reader } from './reader.ts'

const kinds: Readonly<Record<string, string>> = {
  scalar: 'SCALAR',
  type: 'OBJECT',
  interface: 'INTERFACE',
  union: 'UNION',
  enum: 'ENUM',
  input: 'INPUT_OBJECT',
}

const locations = new Set(
  `QUERY MUTATION SUBSCRIPTION FIELD FRAGMENT_DEFINITION FRAGMENT_SPREAD INLINE_FRAGMENT VARIABLE_DEFINITION SCHEMA SCALAR
  OBJECT FIELD_DEFINITION ARGUMENT_DEFINITION INTERFACE UNION ENUM ENUM_VALUE INPUT_OBJECT INPUT_FIELD_DEFINITION`.split(
    /\s+/,
  ),
)

interface Description {
  readonly text: string
  readonly comment: Comments | undefined
}

/** Reads a schema; whether it makes sense is another question. @throws OperandError */
export function parseSchema(text: string, isBuiltIn = false): SchemaDocument {
  return new SchemaParser(text, isBuiltIn).document()
}

class SchemaParser {
  readonly #reader: Reader
  readonly #isBuiltIn: boolean

  constructor(text: string, isBuiltIn: boolean) {
    this.#reader = new Reader(text)
    this.#isBuiltIn = isBuiltIn
  }

  document(): SchemaDocument {
    const found: SchemaDocument = {
      Schema: [],
      SchemaExtension: [],
      Directives: [],
      Definitions: [],
      Extensions: [],
    }
    while (this.#reader.peek().kind !== 'end') {
      const description = this.#description()
      const { kind, text } = this.#reader.peek()
      if (kind !== 'name') throw new OperandError('no definition')
      if (Object.hasOwn(kinds, text)) found.Definitions.push(this.#definition(description, false))
      else if (text === 'schema') found.Schema.push(this.#schema(description))
      else if (text === 'directive') found.Directives.push(this.#directive(description))
      else if (text === 'extend' && description.text === '') this.#extension(found)
      else throw new OperandError('no definition')
    }
    return { ...found, Comment: this.#reader.comment }
  }

  #description(): Description {
    const { kind } = this.#reader.peek()
    const { comment } = this.#reader
    if (kind !== 'string' && kind !== 'block') return { text: '', comment: undefined }
    return { text: this.#reader.next().text, comment }
  }

  /** Of a part of a definition, whose comments count only before a description that says something. */
  #described(): Pick<
    FieldDefinition,
    'Description' | 'BeforeDescriptionComment' | 'AfterDescriptionComment'
  > {
    const { text, comment } = this.#description()
    this.#reader.peek()
    return {
      Description: text,
      BeforeDescriptionComment: text === '' ? undefined : comment,
      AfterDescriptionComment: this.#reader.comment,
    }
  }

  #extension(found: SchemaDocument): void {
    const comment = this.#reader.mustWord('extend')
    const { text } = this.#reader.peek()
    const none = { text: '', comment: undefined }
    if (text === 'schema') {
      const schema = this.#schema(none)
      if (schema.Directives.length + schema.OperationTypes.length === 0)
        throw new OperandError('no extension')
      found.SchemaExtension.push({ ...schema, AfterDescriptionComment: comment })
      return
    }
    if (!Object.hasOwn(kinds, text)) throw new OperandError('no extension')
    const extension = this.#definition(none, true)
    const { Directives, Interfaces, Fields, Types, EnumValues } = extension
    if ([Directives, Interfaces, Fields, Types, EnumValues].every((list) => list.length === 0))
      throw new OperandError('an extension by nothing')
    found.Extensions.push({ ...extension, AfterDescriptionComment: comment })
  }

  #schema(description: Description): SchemaDefinition {
    const comment = this.#reader.mustWord('schema')
    const directives = this.#reader.directives(true)
    const types = this.#reader.some('{', '}', () => this.#operationType())
    return {
      Description: description.text,
      Directives: directives,
      OperationTypes: types.items,
      BeforeDescriptionComment: description.comment,
      AfterDescriptionComment: comment,
      EndOfDefinitionComment: types.comment,
    }
  }

  #operationType(): OperationType {
    this.#reader.peek()
    const { comment } = this.#reader
    const operation = this.#reader.name()
    if (!['query', 'mutation', 'subscription'].includes(operation)) throw new OperandError('no operation')
    this.#reader.must(':')
    return { Operation: operation, Type: this.#reader.name(), Comment: comment }
  }

  #definition(description: Description, isExtension: boolean): Definition {
    const { text } = this.#reader.peek()
    const comment = this.#reader.mustWord(text)
    const kind = kinds[text] as string
    const name = this.#reader.name()
    const mayImplement = kind === 'OBJECT' || (kind === 'INTERFACE' && !isExtension)
    const interfaces = mayImplement ? this.#interfaces() : []
    // The directives of an extended input may hold variables, for whatever reason.
    const directives = this.#reader.directives(!(isExtension && kind === 'INPUT_OBJECT'))
    const fields = ['OBJECT', 'INTERFACE', 'INPUT_OBJECT'].includes(kind)
      ? this.#reader.some('{', '}', () => this.#field(kind === 'INPUT_OBJECT'))
      : undefined
    const values = kind === 'ENUM' ? this.#reader.some('{', '}', () => this.#enumValue()) : undefined
    return {
      Kind: kind,
      Description: description.text,
      Name: name,
      Directives: directives,
      Interfaces: interfaces,
      Fields: fields?.items ?? [],
      Types: kind === 'UNION' ? this.#members() : [],
      EnumValues: values?.items ?? [],
      BuiltIn: this.#isBuiltIn,
      BeforeDescriptionComment: description.comment,
      AfterDescriptionComment: comment,
      EndOfDefinitionComment: fields?.comment ?? values?.comment,
    }
  }

  #interfaces(): string[] {
    if (!this.#reader.isAtWord('implements')) return []
    this.#reader.next()
    return this.#separated('&')
  }

  #members(): string[] {
    return this.#reader.skips('=') ? this.#separated('|') : []
  }

  #separated(mark: string): string[] {
    this.#reader.skips(mark)
    const names = [this.#reader.name()]
    while (this.#reader.skips(mark)) names.push(this.#reader.name())
    return names
  }

  #field(isInput: boolean): FieldDefinition {
    const described = this.#described()
    const name = this.#reader.name()
    const args = isInput ? [] : this.#arguments()
    this.#reader.must(':')
    return {
      ...described,
      Name: name,
      Arguments: args,
      Type: this.#reader.type(),
      DefaultValue: isInput && this.#reader.skips('=') ? this.#reader.value(true) : undefined,
      Directives: this.#reader.directives(true),
    }
  }

  #arguments(): ArgumentDefinition[] {
    return this.#reader.some('(', ')', () => {
      const { Arguments: _, ...argument } = this.#field(true)
      return argument
    }).items
  }

  #enumValue(): EnumValueDefinition {
    const described = this.#described()
    return { ...described, Name: this.#reader.name(), Directives: this.#reader.directives(true) }
  }

  #directive(description: Description): DirectiveDefinition {
    const comment = this.#reader.mustWord('directive')
    this.#reader.must('@')
    const name = this.#reader.name()
    const args = this.#arguments()
    const isRepeatable = this.#reader.isAtWord('repeatable')
    if (isRepeatable) this.#reader.next()
    this.#reader.mustWord('on')
    const named = this.#separated('|')
    if (!named.every((location) => locations.has(location))) throw new OperandError('no location')
    return {
      Description: description.text,
      Name: name,
      Arguments: args,
      Locations: named,
      IsRepeatable: isRepeatable,
      BeforeDescriptionComment: description.comment,
      AfterDescriptionComment: comment,
    }
  }
}

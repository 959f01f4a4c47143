import { OperandError } from '../operands.ts'
import type { Fragment, Operation, QueryDocument, Selection, VariableDefinition } from './ast.ts'
import { Reader } from './reader.ts'

/** Reads operations and fragments. @throws OperandError */
export function parseQuery(text: string): QueryDocument {
  const reader = new Reader(text)
  const document: QueryDocument = { Operations: [], Fragments: [] }
  while (reader.peek().kind !== 'end') {
    if (reader.isAtWord('fragment')) document.Fragments.push(fragment(reader))
    else document.Operations.push(operation(reader))
  }
  return document
}

const operations = new Set(['query', 'mutation', 'subscription'])

function operation(reader: Reader): Operation {
  if (reader.isAt('{'))
    return {
      Operation: 'query',
      Name: '',
      VariableDefinitions: [],
      Directives: [],
      SelectionSet: selections(reader),
    }
  const comment = reader.comment
  const kind = reader.name()
  if (!operations.has(kind)) throw new OperandError('no operation')
  return {
    Operation: kind,
    Name: reader.peek().kind === 'name' ? reader.name() : '',
    VariableDefinitions: variables(reader),
    Directives: reader.directives(false),
    SelectionSet: selections(reader),
    Comment: comment,
  }
}

function variables(reader: Reader): VariableDefinition[] {
  return reader.some('(', ')', () => {
    reader.peek()
    const { comment } = reader
    reader.must('$')
    const name = reader.name()
    reader.must(':')
    return {
      Variable: name,
      Type: reader.type(),
      DefaultValue: reader.skips('=') ? reader.value(true) : undefined,
      Directives: reader.directives(false),
      Comment: comment,
      Used: false,
    }
  }).items
}

function selections(reader: Reader): Selection[] {
  if (!reader.isAt('{')) throw new OperandError('no selection')
  return reader.some('{', '}', () => selection(reader)).items
}

function selection(reader: Reader): Selection {
  reader.peek()
  const { comment } = reader
  if (!reader.skips('...')) {
    const alias = reader.name()
    return {
      Alias: alias,
      Name: reader.skips(':') ? reader.name() : alias,
      Arguments: reader.args(false),
      Directives: reader.directives(false),
      SelectionSet: reader.isAt('{') ? selections(reader) : [],
      Comment: comment,
    }
  }
  const isConditional = reader.isAtWord('on')
  if (reader.peek().kind === 'name' && !isConditional)
    return { Name: reader.name(), Directives: reader.directives(false), Comment: comment }
  if (isConditional) reader.next()
  return {
    TypeCondition: isConditional ? reader.name() : '',
    Directives: reader.directives(false),
    SelectionSet: selections(reader),
    Comment: comment,
  }
}

function fragment(reader: Reader): Fragment {
  const comment = reader.mustWord('fragment')
  if (reader.isAtWord('on')) throw new OperandError('a fragment without a name')
  const name = reader.name()
  const definitions = variables(reader)
  reader.mustWord('on')
  return {
    Name: name,
    VariableDefinition: definitions,
    TypeCondition: reader.name(),
    Directives: reader.directives(false),
    SelectionSet: selections(reader),
    Comment: comment,
  }
}

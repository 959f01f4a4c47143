import { LRUCache } from 'lru-cache'
import { regoText } from '../../values/rego-text.ts'
import type { RegoValue } from '../../values/value.ts'
import type { Family } from '../builtin.ts'
import { succeeds, text } from '../operands.ts'
import type { QueryDocument, SchemaDocument } from './ast.ts'
import { checkQuery } from './check-query.ts'
import { checkedSchema } from './check-schema.ts'
import { parseQuery } from './query.ts'
import { parseSchema } from './schema.ts'
import { readNode, shownNode } from './shapes.ts'
import type { Schema } from './types.ts'

type Operand = RegoValue | undefined

// A policy asks many queries of one schema.
const checked = new LRUCache<string, Schema>({ max: 10 })

function queryOf(value: Operand): QueryDocument {
  return typeof value === 'string' ? parseQuery(value) : readNode('QueryDocument', value)
}

function schemaOf(value: Operand): SchemaDocument {
  return typeof value === 'string' ? parseSchema(value) : readNode('SchemaDocument', value)
}

function checkedOf(value: Operand): Schema {
  const key = regoText(value ?? null)
  let schema = checked.get(key)
  if (schema === undefined) {
    schema = checkedSchema(schemaOf(value))
    checked.set(key, schema)
  }
  return schema
}

function parsed(query: Operand, schema: Operand): [RegoValue, RegoValue] {
  const document = queryOf(query)
  checkQuery(checkedOf(schema), document)
  return [shownNode(document), shownNode(schemaOf(schema))]
}

/** `graphql.*`. @see https://github.com/vektah/gqlparser, whose documents these are and whose rules */
export const graphqlBuiltins: Family = {
  'graphql.parse_query': (_, query) => shownNode(parseQuery(text(query))),
  'graphql.parse_schema': (_, schema) => shownNode(parseSchema(text(schema))),
  'graphql.parse': (_, query, schema) => parsed(query, schema),
  'graphql.parse_and_verify': (_, query, schema) => {
    try {
      return [true, ...parsed(query, schema)]
    } catch {
      return [false, {}, {}]
    }
  },
  'graphql.is_valid': (_, query, schema) => succeeds(() => checkQuery(checkedOf(schema), queryOf(query))),
  'graphql.schema_is_valid': (_, schema) => succeeds(() => checkedOf(schema)),
}

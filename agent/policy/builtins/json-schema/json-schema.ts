import { LRUCache } from 'lru-cache'
import { regoText } from '../../values/rego-text.ts'
import type { RegoValue } from '../../values/value.ts'
import type { Family } from '../builtin.ts'
import { compileSchema } from './compile.ts'
import { documentOf, SchemaError } from './document.ts'
import type { Schema } from './schema.ts'
import { validate } from './validate.ts'

// A policy asks one schema for each request.
const compiled = new LRUCache<string, Schema>({ max: 32 })

function schemaOf(value: RegoValue | undefined): Schema {
  const text = regoText(value ?? null)
  let schema = compiled.get(text)
  if (schema === undefined) {
    schema = compileSchema(documentOf(value))
    compiled.set(text, schema)
  }
  return schema
}

/**
 * `json.match_schema` and `json.verify_schema` for drafts 4, 6 and 7. No reference leads out of the schema, save to the
 * schemas of these drafts: OPA would ask the network or the file system.
 *
 * @see https://github.com/xeipuuv/gojsonschema, whose texts these are
 */
export const jsonSchemaBuiltins: Family = {
  'json.verify_schema': (_, value) => {
    try {
      schemaOf(value)
      return [true, null]
    } catch (thrown) {
      if (thrown instanceof SchemaError) return [false, `jsonschema: ${thrown.message}`]
      throw thrown
    }
  },
  'json.match_schema': (_, document, schema) => {
    const findings = validate(schemaOf(schema), documentOf(document))
    return [
      findings.length === 0,
      findings.map(({ desc, field, type }) => ({ desc, error: `${field}: ${desc}`, field, type })),
    ]
  },
}

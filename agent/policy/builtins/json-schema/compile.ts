import { compareNumbers, numberText, partsOf } from '../../values/number.ts'
import type { GoUrl } from '../go-url.ts'
import { urlText } from '../go-url.ts'
import { compiledRegex } from '../regex.ts'
import { comparedText, isMap, isNumber, type Json, type JsonNumber, SchemaError } from './document.ts'
import { draftOf, inherit, parseReference, ReferencePool } from './references.ts'
import { type Draft, emptySchema, isSince, type Schema } from './schema.ts'

const typeNames = ['array', 'boolean', 'integer', 'number', 'null', 'object', 'string']
/** Parts of one schema; references can name the parts of parts of a large one. */
const maxParts = 50_000
/** Where nothing is: the address of the schema itself. */
const nowhere: GoUrl = parseReference('')

/** Where a part of a schema stands. */
interface Surroundings {
  readonly id: GoUrl
  readonly draft: Draft
  readonly isRoot?: boolean
}

/** Compiles a schema of draft 4, 6 or 7. @throws SchemaError with gojsonschema's message */
export function compileSchema(document: Json): Schema {
  const pool = new ReferencePool()
  pool.add(document, nowhere)
  const draft = draftOf(document) ?? 'hybrid'
  return new Compiler(pool).root(document, draft)
}

class Compiler {
  readonly #pool: ReferencePool
  readonly #targets = new Map<string, Schema>()
  #parts = 0

  constructor(pool: ReferencePool) {
    this.#pool = pool
  }

  root(document: Json, draft: Draft): Schema {
    return this.#schema(document, emptySchema(), { id: nowhere, draft, isRoot: true })
  }

  #schema(document: Json, schema: Schema, around: Surroundings): Schema {
    if (++this.#parts > maxParts) throw new SchemaError('too large a schema')
    const { draft } = around
    if (typeof document === 'boolean' && isSince(draft, 6)) {
      schema.passes = document
      return schema
    }
    if (!isMap(document)) throw new SchemaError('Expected: Valid Schema, given: Invalid JSON')
    const here: Surroundings = { id: this.#idOf(document, around), draft }
    this.#definitions(document, here)
    stringOf(document, 'title')
    stringOf(document, 'description')
    const reference = stringOf(document, '$ref')
    if (reference !== undefined) {
      const url = parseReference(reference)
      const known = this.#targets.get(urlText(url))
      schema.target = known ?? this.#refer(url, draft)
      // What stands beside a reference is read only where the target is known already; it never counts.
      if (known === undefined) return schema
    }
    this.#types(document, schema)
    this.#ofObjects(document, schema, here)
    this.#ofArrays(document, schema, here)
    ofNumbers(document, schema, draft)
    ofStrings(document, schema)
    counts(document, schema, ['minProperties', 'maxProperties'])
    schema.required = requiredOf(document)
    counts(document, schema, ['minItems', 'maxItems'])
    const isUnique = document.get('uniqueItems')
    if (isUnique !== undefined) {
      if (typeof isUnique !== 'boolean') throw new SchemaError('uniqueItems must be of a boolean')
      schema.isUnique = isUnique
    }
    this.#optional(document, 'contains', here, schema, isSince(draft, 6))
    const constant = document.get('const')
    if (constant !== undefined && isSince(draft, 6)) schema.constant = comparedText(constant)
    const allowed = listOf(document, 'enum')
    if (allowed !== undefined) schema.allowed = unique(allowed.map(comparedText), 'enum')
    for (const keyword of ['oneOf', 'anyOf', 'allOf'] as const)
      for (const item of listOf(document, keyword) ?? [])
        schema[keyword].push(this.#schema(item, emptySchema(), here))
    this.#optional(document, 'not', here, schema, true, 'must be of an object')
    for (const keyword of ['if', 'then', 'else'] as const)
      this.#optional(document, keyword, here, schema, isSince(draft, 7), 'must be of an object')
    return schema
  }

  #idOf(document: Map<string, Json>, { id, draft, isRoot }: Surroundings): GoUrl {
    const isOld = draft === 4 || (draft === 'hybrid' && document.has('id'))
    const written = stringOf(document, isOld ? 'id' : '$id')
    if (written === undefined) return id
    const url = parseReference(written)
    return isRoot ? url : inherit(id, url)
  }

  #definitions(document: Map<string, Json>, here: Surroundings): void {
    const definitions = document.get('definitions')
    if (definitions === undefined) return
    const refusal = () => invalidType('Array Of Schemas', 'definitions')
    if (!isMap(definitions)) throw refusal()
    for (const definition of definitions.values()) {
      if (typeof definition !== 'boolean' && !isMap(definition)) throw refusal()
      this.#schema(definition, emptySchema(), here)
    }
  }

  #refer(url: GoUrl, draft: Draft): Schema {
    const target = emptySchema()
    this.#targets.set(urlText(url), target)
    const pooled = this.#pool.get(url)
    if (typeof pooled.document !== 'boolean' && !isMap(pooled.document))
      throw new SchemaError('Valid Schema must be of type object')
    return this.#schema(pooled.document, target, { id: url, draft: pooled.draft ?? draft })
  }

  #types(document: Map<string, Json>, schema: Schema): void {
    const type = document.get('type')
    if (type === undefined) return
    for (const each of Array.isArray(type) ? type : [type]) {
      if (typeof each !== 'string') throw invalidType('type', 'string/Array Of Strings')
      if (!typeNames.includes(each))
        throw new SchemaError(
          `has a primitive type that is NOT VALID -- given: /${each}/ Expected valid values are:[${typeNames.join(' ')}]`,
        )
      if (schema.types.includes(each)) throw new SchemaError(`${each} type is duplicated`)
      schema.types.push(each)
    }
  }

  #ofObjects(document: Map<string, Json>, schema: Schema, here: Surroundings): void {
    const properties = document.get('properties')
    if (properties !== undefined) {
      if (!isMap(properties)) throw new SchemaError('Properties must be of type object')
      for (const [name, item] of properties)
        schema.properties.set(name, this.#schema(item, emptySchema(), here))
    }
    this.#additional(document, 'additionalProperties', schema, here)
    const patterns = document.get('patternProperties')
    if (patterns !== undefined) {
      if (!isMap(patterns)) throw invalidType('Valid Schema', 'patternProperties')
      for (const [pattern, item] of patterns) {
        if (!isRegex(pattern)) throw new SchemaError(`Invalid regex pattern '${pattern}'`)
        schema.patternProperties.set(pattern, this.#schema(item, emptySchema(), here))
      }
    }
    const names = document.get('propertyNames')
    if (names !== undefined && isSince(here.draft, 6)) {
      if (typeof names !== 'boolean' && !isMap(names)) throw invalidType('Valid Schema', 'patternProperties')
      schema.propertyNames = this.#schema(names, emptySchema(), here)
    }
    this.#dependencies(document, schema, here)
  }

  #additional(
    document: Map<string, Json>,
    keyword: 'additionalProperties' | 'additionalItems',
    schema: Schema,
    here: Surroundings,
  ): void {
    const additional = document.get(keyword)
    if (additional === undefined) return
    if (typeof additional !== 'boolean' && !isMap(additional))
      throw invalidType('boolean/Valid Schema', keyword)
    schema[keyword] =
      typeof additional === 'boolean' ? additional : this.#schema(additional, emptySchema(), here)
  }

  #dependencies(document: Map<string, Json>, schema: Schema, here: Surroundings): void {
    const dependencies = document.get('dependencies')
    if (dependencies === undefined) return
    if (!isMap(dependencies)) throw new SchemaError('dependencies must be of type object')
    const refusal = () => new SchemaError('Dependency must be of type Schema Or Array Of Strings')
    for (const [name, dependency] of dependencies) {
      if (Array.isArray(dependency)) {
        if (!dependency.every((each) => typeof each === 'string')) throw refusal()
        if (dependency.length > 0) schema.dependencies.set(name, dependency)
      } else if (typeof dependency === 'boolean' || isMap(dependency))
        schema.dependencies.set(name, this.#schema(dependency, emptySchema(), here))
      else throw refusal()
    }
  }

  #ofArrays(document: Map<string, Json>, schema: Schema, here: Surroundings): void {
    const items = document.get('items')
    if (items !== undefined) {
      const isSchema = (item: Json) => typeof item === 'boolean' || isMap(item)
      const all = Array.isArray(items) ? items : [items]
      const compiled = all.map((item) => {
        if (!isSchema(item)) throw invalidType('Valid Schema/Array Of Schemas', 'items')
        return this.#schema(item, emptySchema(), here)
      })
      schema.items = Array.isArray(items) ? compiled : (compiled[0] as Schema)
    }
    this.#additional(document, 'additionalItems', schema, here)
  }

  #optional(
    document: Map<string, Json>,
    keyword: 'contains' | 'not' | 'if' | 'then' | 'else',
    here: Surroundings,
    schema: Schema,
    isKnown: boolean,
    refusal?: string,
  ): void {
    const found = document.get(keyword)
    if (found === undefined || !isKnown) return
    if (refusal !== undefined && typeof found !== 'boolean' && !isMap(found))
      throw new SchemaError(`${keyword} ${refusal}`)
    schema[keyword] = this.#schema(found, emptySchema(), here)
  }
}

function invalidType(expected: string, given: string): SchemaError {
  return new SchemaError(`Invalid type. Expected: ${expected}, given: ${given}`)
}

function isRegex(pattern: string): boolean {
  try {
    compiledRegex(pattern)
    return true
  } catch {
    return false
  }
}

function stringOf(document: Map<string, Json>, key: string): string | undefined {
  const value = document.get(key)
  if (value !== undefined && typeof value !== 'string') throw invalidType('string', key)
  return value
}

function listOf(document: Map<string, Json>, key: string): Json[] | undefined {
  const value = document.get(key)
  if (value !== undefined && !Array.isArray(value)) throw new SchemaError(`${key} must be of an array`)
  return value
}

function unique(values: readonly string[], key: string): readonly string[] {
  if (new Set(values).size < values.length) throw new SchemaError(`${key} items must be unique`)
  return values
}

function requiredOf(document: Map<string, Json>): readonly string[] {
  const required = listOf(document, 'required') ?? []
  const names = required.map((name) => {
    if (typeof name !== 'string') throw invalidType('string', 'required')
    return name
  })
  return unique(names, 'required')
}

type Count = 'minLength' | 'maxLength' | 'minItems' | 'maxItems' | 'minProperties' | 'maxProperties'

function counts(document: Map<string, Json>, schema: Schema, [least, most]: readonly [Count, Count]): void {
  for (const key of [least, most]) {
    const value = document.get(key)
    if (value === undefined) continue
    if (typeof value !== 'number' || !Number.isInteger(value))
      throw new SchemaError(`${key} must be of an integer`)
    if (value < 0) throw new SchemaError(`${key} must be greater than or equal to 0`)
    schema[key] = value
  }
  if (least === 'minItems') return
  if ((schema[least] ?? 0) > (schema[most] ?? Number.POSITIVE_INFINITY))
    throw new SchemaError(`${least} cannot be greater than ${most}`)
}

function ofStrings(document: Map<string, Json>, schema: Schema): void {
  counts(document, schema, ['minLength', 'maxLength'])
  const pattern = stringOf(document, 'pattern')
  if (pattern !== undefined) {
    if (!isRegex(pattern)) throw new SchemaError('pattern must be a valid regex')
    schema.pattern = compiledRegex(pattern)
  }
  const format = stringOf(document, 'format')
  if (format !== undefined) schema.format = format
}

function ofNumbers(document: Map<string, Json>, schema: Schema, draft: Draft): void {
  const multipleOf = document.get('multipleOf')
  if (multipleOf !== undefined) {
    if (!isNumber(multipleOf)) throw invalidType('Number', 'multipleOf')
    mustBeComputable(multipleOf)
    if (compareNumbers(multipleOf, 0) <= 0)
      throw new SchemaError('multipleOf must be strictly greater than 0')
    schema.multipleOf = multipleOf
  }
  bound(document, schema, draft, { plain: 'minimum', exclusive: 'exclusiveMinimum' })
  bound(document, schema, draft, { plain: 'maximum', exclusive: 'exclusiveMaximum' })
}

/** Draft 4 has a switch that makes a bound exclusive, its successors a bound of its own. */
function bound(
  document: Map<string, Json>,
  schema: Schema,
  draft: Draft,
  {
    plain,
    exclusive,
  }: { readonly plain: 'minimum' | 'maximum'; readonly exclusive: 'exclusiveMinimum' | 'exclusiveMaximum' },
): void {
  const value = document.get(plain)
  if (value !== undefined) {
    if (!isNumber(value)) throw new SchemaError(`${plain} must be of a Number`)
    schema[plain] = mustBeComputable(value)
  }
  const limit = document.get(exclusive)
  if (limit === undefined) return
  if (typeof limit === 'boolean' && (draft === 4 || draft === 'hybrid')) {
    if (schema[plain] === undefined) throw new SchemaError(`${exclusive} cannot be used without ${plain}`)
    if (!limit) return
    schema[exclusive] = schema[plain]
    delete schema[plain]
  } else if (isNumber(limit) && draft !== 4) schema[exclusive] = mustBeComputable(limit)
  else
    throw invalidType(draft === 4 ? 'boolean' : draft === 'hybrid' ? 'boolean/number' : 'number', exclusive)
}

/** @throws RangeError where the exponent is absurd. */
function mustBeComputable(value: JsonNumber): JsonNumber {
  partsOf(numberText(value))
  return value
}

import { goFloatDigits } from '../../values/go-float.ts'
import { compareNumbers, numberText, partsOf } from '../../values/number.ts'
import { compiledRegex } from '../regex.ts'
import { comparedText, isMap, isNumber, type Json, type JsonNumber, SchemaError } from './document.ts'
import { hasFormat } from './formats.ts'
import type { Schema } from './schema.ts'

/** What does not fit, as gojsonschema tells it. */
export interface Finding {
  readonly type: string
  readonly field: string
  readonly desc: string
}

/** Where a value stands in the document, in a chain of names. */
interface Place {
  readonly name: string
  readonly parent: Place | undefined
}

/** The score says how near a schema came: of alternatives the nearest one's findings are told. */
interface Result {
  readonly findings: Finding[]
  score: number
}

/** Comparisons of one validation; schemas that refer to each other can ask exponentially many. */
const maxSteps = 500_000

/** Judges a document. @throws SchemaError where that takes too long */
export function validate(schema: Schema, document: Json): readonly Finding[] {
  const result: Result = { findings: [], score: 0 }
  new Validator().judge(schema, document, result, { name: '(Root)', parent: undefined })
  return result.findings
}

function fieldOf(place: Place): string {
  const names: string[] = []
  for (let at: Place | undefined = place; at !== undefined; at = at.parent) names.push(at.name)
  const path = names.reverse().join('.')
  return path.startsWith('(Root).') ? path.slice('(Root).'.length) : path
}

function find(result: Result, place: Place, type: string, desc: string): void {
  result.findings.push({ type, field: fieldOf(place), desc })
  result.score -= 2
}

function merge(result: Result, other: Result | undefined): void {
  if (other === undefined) return
  for (const finding of other.findings) result.findings.push(finding)
  result.score += other.score
}

const isValid = (result: Result) => result.findings.length === 0

function typeOf(value: Json): string {
  if (value === null) return 'null'
  if (isNumber(value)) return isWhole(value) ? 'integer' : 'number'
  if (Array.isArray(value)) return 'array'
  return isMap(value) ? 'object' : typeof value
}

function isWhole(value: JsonNumber): boolean {
  return partsOf(numberText(value)).exponent >= 0
}

class Validator {
  #steps = 0

  judge(schema: Schema, value: Json, result: Result, place: Place): void {
    this.#count(1)
    if (schema.passes !== undefined) {
      if (!schema.passes) find(result, place, 'false', 'False always fails validation')
      return
    }
    if (schema.target !== undefined) return this.judge(schema.target, value, result, place)
    const given = typeOf(value)
    const isOfType =
      schema.types.length === 0 ||
      schema.types.includes(given) ||
      (given === 'integer' && schema.types.includes('number'))
    if (!isOfType) {
      const expected = schema.types.length > 1 ? `[${schema.types.join()}]` : schema.types[0]
      return find(result, place, 'invalid_type', `Invalid type. Expected: ${expected}, given: ${given}`)
    }
    this.#combine(schema, value, result, place)
    if (Array.isArray(value)) this.#array(schema, value, result, place)
    else if (isMap(value)) this.#object(schema, value, result, place)
    else if (isNumber(value)) this.#number(schema, value, result, place)
    this.#common(schema, value, result, place)
    if (typeof value === 'string') this.#string(schema, value, result, place)
    if (isMap(value)) {
      for (const [name, property] of schema.properties) {
        const item = value.get(name)
        if (item !== undefined) this.judge(property, item, result, { name, parent: place })
      }
    }
    result.score++
  }

  #alone(schema: Schema, value: Json, place: Place): Result {
    const result: Result = { findings: [], score: 0 }
    this.judge(schema, value, result, place)
    return result
  }

  #combine(schema: Schema, value: Json, result: Result, place: Place): void {
    this.#anyOf(schema, value, result, place)
    this.#oneOf(schema, value, result, place)
    if (schema.allOf.length > 0) {
      const all = schema.allOf.map((each) => this.#alone(each, value, place))
      for (const each of all) merge(result, each)
      if (!all.every(isValid)) find(result, place, 'number_all_of', 'Must validate all the schemas (allOf)')
    }
    if (schema.not !== undefined && isValid(this.#alone(schema.not, value, place)))
      find(result, place, 'number_not', 'Must not validate the schema (not)')
    this.#dependencies(schema, value, result, place)
    this.#condition(schema, value, result, place)
    result.score++
  }

  #anyOf(schema: Schema, value: Json, result: Result, place: Place): void {
    let nearest: Result | undefined
    for (const each of schema.anyOf) {
      const alone = this.#alone(each, value, place)
      if (isValid(alone)) return
      if (nearest === undefined || alone.score > nearest.score) nearest = alone
    }
    if (nearest === undefined) return
    find(result, place, 'number_any_of', 'Must validate at least one schema (anyOf)')
    merge(result, nearest)
  }

  #oneOf(schema: Schema, value: Json, result: Result, place: Place): void {
    if (schema.oneOf.length === 0) return
    let nearest: Result | undefined
    let fitting = 0
    for (const each of schema.oneOf) {
      const alone = this.#alone(each, value, place)
      if (isValid(alone)) fitting++
      else if (fitting === 0 && (nearest === undefined || alone.score > nearest.score)) nearest = alone
    }
    if (fitting === 1) return
    find(result, place, 'number_one_of', 'Must validate one and only one schema (oneOf)')
    if (fitting === 0) merge(result, nearest)
  }

  #dependencies(schema: Schema, value: Json, result: Result, place: Place): void {
    if (!isMap(value)) return
    for (const [name, dependency] of schema.dependencies) {
      if (!value.has(name)) continue
      if (!('types' in dependency)) {
        for (const other of dependency) {
          if (!value.has(other)) find(result, place, 'missing_dependency', `Has a dependency on ${other}`)
        }
      } else this.judge(dependency, value, result, place)
    }
  }

  #condition(schema: Schema, value: Json, result: Result, place: Place): void {
    if (schema.if === undefined) return
    const holds = isValid(this.#alone(schema.if, value, place))
    const branch = holds ? schema.then : schema.else
    if (branch === undefined) return
    const alone = this.#alone(branch, value, place)
    if (isValid(alone)) return
    if (holds) find(result, place, 'condition_then', 'Must validate "then" as "if" was valid')
    else find(result, place, 'condition_else', 'Must validate "else" as "if" was not valid')
    merge(result, alone)
  }

  #common(schema: Schema, value: Json, result: Result, place: Place): void {
    if (schema.constant !== undefined && comparedText(value) !== schema.constant)
      find(result, place, 'const', `${fieldOf(place)} does not match: ${schema.constant}`)
    if (schema.allowed !== undefined && !schema.allowed.includes(comparedText(value)))
      find(
        result,
        place,
        'enum',
        `${fieldOf(place)} must be one of the following: ${schema.allowed.join(', ')}`,
      )
    if (schema.format !== undefined && typeof value === 'string' && !hasFormat(schema.format, value))
      find(result, place, 'format', `Does not match format '${schema.format}'`)
    result.score++
  }

  #array(schema: Schema, value: readonly Json[], result: Result, place: Place): void {
    const at = (index: number): Place => ({ name: String(index), parent: place })
    const { items, additionalItems } = schema
    const listed: readonly Schema[] = items !== undefined && !('types' in items) ? items : []
    for (const [index, item] of value.entries()) {
      const each = items !== undefined && 'types' in items ? items : listed[index]
      if (each !== undefined) merge(result, this.#alone(each, item, at(index)))
    }
    if (listed.length > 0 && listed.length < value.length) {
      if (additionalItems === false)
        find(result, place, 'array_no_additional_items', 'No additional items allowed on array')
      else if (typeof additionalItems === 'object') {
        for (let index = listed.length; index < value.length; index++)
          merge(result, this.#alone(additionalItems, value[index] as Json, at(index)))
      }
    }
    if (value.length < (schema.minItems ?? 0))
      find(result, place, 'array_min_items', `Array must have at least ${schema.minItems} items`)
    if (value.length > (schema.maxItems ?? Number.POSITIVE_INFINITY))
      find(result, place, 'array_max_items', `Array must have at most ${schema.maxItems} items`)
    if (schema.isUnique === true) uniqueItems(value, result, place)
    if (schema.contains !== undefined) this.#contains(schema.contains, value, result, place)
    result.score++
  }

  #contains(schema: Schema, value: readonly Json[], result: Result, place: Place): void {
    let nearest: Result | undefined
    for (const [index, item] of value.entries()) {
      const alone = this.#alone(schema, item, { name: String(index), parent: place })
      if (isValid(alone)) return
      if (nearest === undefined || alone.score > nearest.score) nearest = alone
    }
    find(result, place, 'contains', 'At least one of the items must match')
    merge(result, nearest)
  }

  #object(schema: Schema, value: ReadonlyMap<string, Json>, result: Result, place: Place): void {
    if (value.size < (schema.minProperties ?? 0))
      find(result, place, 'array_min_properties', `Must have at least ${schema.minProperties} properties`)
    if (value.size > (schema.maxProperties ?? Number.POSITIVE_INFINITY))
      find(result, place, 'array_max_properties', `Must have at most ${schema.maxProperties} properties`)
    for (const name of schema.required) {
      if (value.has(name)) result.score++
      else find(result, place, 'required', `${name} is required`)
    }
    for (const [name, item] of value) {
      const isMatched = this.#patterns(schema, name, item, result, place)
      if (isMatched || schema.properties.has(name)) continue
      const { additionalProperties: additional } = schema
      if (additional === false)
        find(result, place, 'additional_property_not_allowed', `Additional property ${name} is not allowed`)
      else if (typeof additional === 'object')
        merge(result, this.#alone(additional, item, { name, parent: place }))
    }
    if (schema.propertyNames !== undefined) this.#names(schema.propertyNames, value, result, place)
    result.score++
  }

  #patterns(schema: Schema, name: string, item: Json, result: Result, place: Place): boolean {
    let isMatched = false
    for (const [pattern, each] of schema.patternProperties) {
      this.#count(1 + name.length / 16)
      if (!compiledRegex(pattern).matcher(name).find()) continue
      isMatched = true
      merge(result, this.#alone(each, item, { name, parent: place }))
    }
    if (isMatched) result.score++
    return isMatched
  }

  #names(schema: Schema, value: ReadonlyMap<string, Json>, result: Result, place: Place): void {
    for (const name of value.keys()) {
      const alone = this.#alone(schema, name, place)
      if (isValid(alone)) continue
      find(result, place, 'invalid_property_name', `Property name of "${name}" does not match`)
      merge(result, alone)
    }
  }

  #string(schema: Schema, value: string, result: Result, place: Place): void {
    const { minLength, maxLength, pattern } = schema
    if (minLength !== undefined && lengthOf(value) < minLength)
      find(result, place, 'string_gte', `String length must be greater than or equal to ${minLength}`)
    if (maxLength !== undefined && lengthOf(value) > maxLength)
      find(result, place, 'string_lte', `String length must be less than or equal to ${maxLength}`)
    if (pattern !== undefined && !pattern.matcher(value).find())
      find(result, place, 'pattern', `Does not match pattern '${pattern.pattern()}'`)
    result.score++
  }

  #number(schema: Schema, value: JsonNumber, result: Result, place: Place): void {
    const { multipleOf, maximum, exclusiveMaximum, minimum, exclusiveMinimum } = schema
    if (multipleOf !== undefined && !isMultiple(value, multipleOf))
      find(result, place, 'multiple_of', `Must be a multiple of ${shown(multipleOf)}`)
    if (maximum !== undefined && compareNumbers(value, maximum) > 0)
      find(result, place, 'number_lte', `Must be less than or equal to ${shown(maximum)}`)
    if (exclusiveMaximum !== undefined && compareNumbers(value, exclusiveMaximum) >= 0)
      find(result, place, 'number_lt', `Must be less than ${shown(exclusiveMaximum)}`)
    if (minimum !== undefined && compareNumbers(value, minimum) < 0)
      find(result, place, 'number_gte', `Must be greater than or equal to ${shown(minimum)}`)
    if (exclusiveMinimum !== undefined && compareNumbers(value, exclusiveMinimum) <= 0)
      find(result, place, 'number_gt', `Must be greater than ${shown(exclusiveMinimum)}`)
    result.score++
  }

  #count(steps: number): void {
    this.#steps += steps
    if (this.#steps > maxSteps) throw new SchemaError('too much to validate')
  }
}

function uniqueItems(value: readonly Json[], result: Result, place: Place): void {
  const seen = new Map<string, number>()
  for (const [index, item] of value.entries()) {
    const text = comparedText(item)
    const before = seen.get(text)
    if (before !== undefined) find(result, place, 'unique', `array items[${before},${index}] must be unique`)
    seen.set(text, index)
  }
}

function lengthOf(value: string): number {
  let length = 0
  for (const _ of value) length++
  return length
}

function isMultiple(value: JsonNumber, of: JsonNumber): boolean {
  const [a, b] = [partsOf(numberText(value)), partsOf(numberText(of))]
  const exponent = Math.min(a.exponent, b.exponent)
  return (
    (a.digits * 10n ** BigInt(a.exponent - exponent)) % (b.digits * 10n ** BigInt(b.exponent - exponent)) ===
    0n
  )
}

/** As Go prints a `big.Float`: with an exponent where it has more than six digits before the point. */
function shown(value: JsonNumber): string {
  const { digits, exponent } = partsOf(numberText(value))
  const text = String(digits)
  const [sign, bare] = text.startsWith('-') ? ['-', text.slice(1)] : ['', text]
  const mantissa = bare.length > 1 ? `${bare[0]}.${bare.slice(1)}` : bare
  return goFloatDigits(`${sign}${mantissa}`, exponent + bare.length - 1)
}

import type { RE2JS } from 're2js'
import type { JsonNumber } from './document.ts'

/** The `$schema` in force: one of three drafts, or what all of them have where none is named. */
export type Draft = 4 | 6 | 7 | 'hybrid'

export function isSince(draft: Draft, first: 6 | 7): boolean {
  return draft === 'hybrid' || draft >= first
}

/** A compiled schema. What is absent is not asked. */
export interface Schema {
  /** Of a boolean schema: whether everything passes. */
  passes?: boolean
  /** Of a `$ref`: what it stands for, alone. */
  target?: Schema
  readonly types: string[]
  readonly properties: Map<string, Schema>
  readonly patternProperties: Map<string, Schema>
  additionalProperties?: Schema | boolean
  propertyNames?: Schema
  readonly dependencies: Map<string, Schema | readonly string[]>
  items?: Schema | readonly Schema[]
  additionalItems?: Schema | boolean
  contains?: Schema
  multipleOf?: JsonNumber
  minimum?: JsonNumber
  maximum?: JsonNumber
  exclusiveMinimum?: JsonNumber
  exclusiveMaximum?: JsonNumber
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  minProperties?: number
  maxProperties?: number
  isUnique?: boolean
  pattern?: RE2JS
  format?: string
  required: readonly string[]
  /** By the text that values are compared by. */
  constant?: string
  allowed?: readonly string[]
  readonly allOf: Schema[]
  readonly anyOf: Schema[]
  readonly oneOf: Schema[]
  not?: Schema
  if?: Schema
  then?: Schema
  else?: Schema
}

export function emptySchema(): Schema {
  return {
    types: [],
    properties: new Map(),
    patternProperties: new Map(),
    dependencies: new Map(),
    required: [],
    allOf: [],
    anyOf: [],
    oneOf: [],
  }
}

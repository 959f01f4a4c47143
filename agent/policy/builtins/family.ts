import type { JsonValue } from '#base/json.ts'
import type { Builtin, EvaluationContext } from './builtin.ts'

type JsonFunction = (context: EvaluationContext, ...args: JsonValue[]) => JsonValue | undefined

/** A table of builtins that take and give JSON. */
export function jsonFamily(functions: Readonly<Record<string, JsonFunction>>): [string, Builtin][] {
  return Object.entries(functions).map(([name, call]) => [name, { takes: 'json', call }])
}

/** An operand of the wrong type is an error in OPA, and an error is undefined. */
export class OperandError extends Error {}

export function text(value: JsonValue | undefined): string {
  if (typeof value !== 'string') throw new OperandError('not a string')
  return value
}

export function integer(value: JsonValue | undefined): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw new OperandError('not an integer')
  return value
}

export function list(value: JsonValue | undefined): readonly JsonValue[] {
  if (!Array.isArray(value)) throw new OperandError('not an array')
  return value
}

export function texts(value: JsonValue | undefined): readonly string[] {
  return list(value).map(text)
}

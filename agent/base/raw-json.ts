import type { JsonValue } from './json.ts'

/** Text that `JSON.stringify` writes as it stands: how a number that is no double goes through JSON unharmed. */
export interface RawJson {
  readonly rawJSON: string
}

/** Is told how a value was written, where that is a number, a string, a boolean or null. */
export type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown

/**
 * In the language, but not yet in TypeScript's library.
 *
 * @see https://tc39.es/proposal-json-parse-with-source/
 */
export const {
  parse: parseWithSource,
  rawJSON,
  isRawJSON,
} = JSON as unknown as {
  parse(text: string, reviver: Reviver): unknown
  rawJSON(text: string): JsonValue
  isRawJSON(value: unknown): value is RawJson
}

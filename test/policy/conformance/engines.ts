import { join } from 'node:path'
import type { JsonObject, JsonValue } from '#base/json.ts'
import { createCompiledEngine } from '#policy/compiled/compiled.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { parseExactJson } from '#policy/input/json-text.ts'
import { toJson } from '#policy/values/json.ts'
import { parseRegoText } from '#policy/values/rego-text.ts'
import type { Question } from '../../harness/conformance.ts'

/** Gives the value of `result`, or `undefined`; throws where the evaluation fails as a whole. */
export type Ask = (question: Question) => JsonValue | undefined

/** An engine that the cases are put to. */
export interface Subject {
  readonly ask: Ask
  /** Names the cases that it does not pass, and why. */
  readonly list: string
}

/** What every compiled case calls its query. */
const entrypoint = 'eval'
/** The same for all, so that a case gives the same twice. */
const nowNs = 1_764_000_000_000_000_000n

const listOf = (engine: string) => join(import.meta.dirname, `not-passed.${engine}.json`)

export const engines = {
  wasm: {
    list: listOf('wasm'),
    ask: ({ head, wasm }) => {
      const engine = createEngine({ wasm, data: parseExactJson(head.data) as JsonObject, place: head.name })
      // The module reads its input as Rego, of which JSON is a part.
      const input =
        head.input === undefined ? undefined : { value: toJson(parseRegoText(head.input)), text: head.input }
      return engine.evaluate(entrypoint, input, { nowNs })
    },
  },
  compiled: {
    list: listOf('compiled'),
    ask: ({ head, plan }) => {
      const data = parseExactJson(head.data) as JsonObject
      const engine = createCompiledEngine({ plan: plan.toString(), data, place: head.name })
      // Sets and keys of any type are values to it, though JSON cannot say them.
      const value = head.input === undefined ? undefined : (parseRegoText(head.input) as JsonValue)
      const input = value === undefined ? undefined : { value, text: '', isExact: true }
      return engine.evaluate(entrypoint, input, { nowNs })
    },
  },
} as const satisfies Readonly<Record<string, Subject>>

export type EngineName = keyof typeof engines

export function isEngineName(name: string): name is EngineName {
  return Object.hasOwn(engines, name)
}

import type { JsonValue } from '#base/json.ts'
import { wellFormedJson } from '../input/json-text.ts'

/** The input of a decision in the two forms that engines and logs want. */
export interface PolicyInput {
  readonly value: JsonValue
  /** JSON of it, without lone surrogates, on which the runtime inside a module traps. */
  readonly text: string
  /** Length of `text` where it is made already. */
  readonly textLength?: number | undefined
}

/** Makes the text once, when first asked for. */
export class InputDocument implements PolicyInput {
  readonly value: JsonValue
  #text: string | undefined

  constructor(value: JsonValue) {
    this.value = value
  }

  get text(): string {
    this.#text ??= wellFormedJson(JSON.stringify(this.value))
    return this.#text
  }

  get textLength(): number | undefined {
    return this.#text?.length
  }
}

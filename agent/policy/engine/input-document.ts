import type { JsonValue } from '#base/json.ts'
import { wellFormedJson } from '../input/json-text.ts'
import { type Weight, weigh } from '../input/weigh.ts'

/** The input of a decision in the two forms that engines and logs want. */
export interface PolicyInput {
  readonly value: JsonValue
  /** JSON of it, without lone surrogates, on which the runtime inside a module traps. */
  readonly text: string
  /** Length of `text` where it is made already. */
  readonly textLength?: number | undefined
  /** Whether it is known that `value` holds no raw literal, and no number that JSON cannot say. */
  readonly isExact?: boolean
}

/** Makes the text once, when first asked for. */
export class InputDocument implements PolicyInput {
  readonly value: JsonValue
  #text: string | undefined
  #weight: Weight | undefined

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

  /** About how many characters the text has, or would have: it is not made for this. */
  get characters(): number {
    return this.#weighed().characters
  }

  get isExact(): boolean {
    return this.#weighed().isExact
  }

  #weighed(): Weight {
    this.#weight ??= weigh(this.value)
    return this.#weight
  }
}

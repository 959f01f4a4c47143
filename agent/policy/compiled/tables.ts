import { parseNumber } from '../values/number.ts'
import { Decimal, RegoMap, RegoSet, type RegoValue } from '../values/value.ts'
import type { Plan } from './plan.ts'

/** A value that is known when the plan is compiled, and how the generated text names it. */
export interface Known {
  readonly value: RegoValue
  readonly text: string
}

/** Names that any object answers to without having them; and what the classes of values have. */
const inherited = new Set(
  [Object.prototype, Decimal.prototype, RegoSet.prototype, RegoMap.prototype].flatMap((prototype) =>
    Object.getOwnPropertyNames(prototype),
  ),
)

/** Whether reading the property of that name from a plain object gives the object's own or nothing. */
export function isPlainKey(key: RegoValue): key is string {
  return typeof key === 'string' && !inherited.has(key) && key !== 'text' && !/^(?:0|[1-9]\d*)$/.test(key)
}

/**
 * Everything of a plan that must not stand in generated text: strings, numbers and names go through tables, and the text
 * has indices that were made here.
 */
export class Tables {
  readonly values: RegoValue[] = []
  readonly paths: (readonly string[])[] = []
  readonly builtins: string[] = []
  readonly #strings: readonly string[]
  readonly #known = new Map<RegoValue, Known>()

  constructor(plan: Plan) {
    this.#strings = (plan.static?.strings ?? []).map(({ value }) => value)
  }

  /** @throws RangeError where the plan has no such string. */
  string(index: number): Known {
    return this.constant(this.#stringAt(index))
  }

  number(index: number): Known {
    // Rego lets the zero before the point be left out.
    return this.constant(parseNumber(this.#stringAt(index).replace(/^(-?)\./, '$10.')))
  }

  path(indices: readonly number[]): string {
    this.paths.push(indices.map((index) => this.#stringAt(index)))
    return `P[${this.paths.length - 1}]`
  }

  /** Small integers, booleans and null stand for themselves, all else in the table. */
  constant(value: RegoValue): Known {
    if (value === null || typeof value === 'boolean') return { value, text: String(value) }
    if (typeof value === 'number' && Number.isSafeInteger(value)) return { value, text: `(${value})` }
    let known = this.#known.get(value)
    if (known === undefined) {
      known = { value, text: `K${this.values.push(value) - 1}` }
      this.#known.set(value, known)
    }
    return known
  }

  builtin(name: string): string {
    const index = this.builtins.indexOf(name)
    return `B${index === -1 ? this.builtins.push(name) - 1 : index}`
  }

  #stringAt(index: number): string {
    const value = this.#strings[index]
    if (value === undefined) throw new RangeError(`the plan has no string ${index}`)
    return value
  }
}

import { entriesOf } from './compare.ts'
import { integerOfParts, numberText, partsOf } from './number.ts'
import { Decimal, RegoSet, type RegoValue } from './value.ts'

/** Values by key, equal keys being one key however they were made. */
export class ValueIndex<T> {
  /** By what JavaScript compares as Rego does: strings, numbers, bigints, booleans, null. */
  readonly #scalars = new Map<unknown, T>()
  #others: Map<string, T> | undefined

  get size(): number {
    return this.#scalars.size + (this.#others?.size ?? 0)
  }

  get(key: RegoValue): T | undefined {
    return typeof key !== 'object' || key === null ? this.#scalars.get(key) : this.#others?.get(keyText(key))
  }

  set(key: RegoValue, item: T): void {
    if (typeof key !== 'object' || key === null) this.#scalars.set(key, item)
    else {
      this.#others ??= new Map()
      this.#others.set(keyText(key), item)
    }
  }

  items(): T[] {
    return this.#others === undefined
      ? [...this.#scalars.values()]
      : [...this.#scalars.values(), ...this.#others.values()]
  }
}

/** Equal values have equal texts, and only they. */
function keyText(value: RegoValue): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value)
    case 'number':
    case 'bigint':
      return numberText(value)
    case 'boolean':
      return value ? 'true' : 'false'
    default:
  }
  if (value === null) return 'null'
  if (Array.isArray(value)) return `[${value.map(keyText).join()}]`
  if (value instanceof Decimal) {
    const parts = partsOf(value.text)
    return parts.exponent >= 0 ? integerOfParts(parts).toString() : `${parts.digits}e${parts.exponent}`
  }
  if (value instanceof RegoSet) return `<${value.members.map(keyText).join()}>`
  return `{${entriesOf(value as { readonly [key: string]: RegoValue })
    .map(([key, item]) => `${keyText(key)}:${keyText(item)}`)
    .join()}}`
}

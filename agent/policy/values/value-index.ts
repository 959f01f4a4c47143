import { entriesOf } from './compare.ts'
import { numberText, partsOf, plainNumber } from './number.ts'
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
    if (typeof key !== 'object' || key === null) return this.#scalars.get(key)
    const plain = key instanceof Decimal ? plainNumber(key) : undefined
    return plain === undefined ? this.#others?.get(keyText(key)) : this.#scalars.get(plain)
  }

  set(key: RegoValue, item: T): void {
    const plain = key instanceof Decimal ? plainNumber(key) : key
    if (plain !== undefined && (typeof plain !== 'object' || plain === null)) this.#scalars.set(plain, item)
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
    const plain = plainNumber(value)
    if (plain !== undefined) return numberText(plain)
    const { digits, exponent } = partsOf(value.text)
    return `${digits}e${exponent}`
  }
  if (value instanceof RegoSet) return `<${value.members.map(keyText).join()}>`
  return `{${entriesOf(value as { readonly [key: string]: RegoValue })
    .map(([key, item]) => `${keyText(key)}:${keyText(item)}`)
    .join()}}`
}

/**
 * The headers of one request: lower-case names, every value kept, in order of arrival.
 * Pseudo headers (`:path`, `:method`, …) are among them, as Envoy sends them.
 */
export class RequestHeaders {
  readonly #values = new Map<string, string[]>()

  /** Adds one value; the name may come in any case. */
  add(name: string, value: string): void {
    const key = name.toLowerCase()
    const values = this.#values.get(key)
    if (values === undefined) this.#values.set(key, [value])
    else values.push(value)
  }

  /** The only value, or `undefined` when the header is absent or was sent more than once. */
  single(name: string): string | undefined {
    const values = this.#values.get(name)
    return values?.length === 1 ? values[0] : undefined
  }

  /** Every value; empty when absent. `name` in lower case. */
  all(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  entries(): IterableIterator<[string, readonly string[]]> {
    return this.#values.entries()
  }
}

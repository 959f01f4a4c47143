/**
 * The headers of one request: lower-case names, every value kept, in order of arrival.
 * Pseudo headers (`:path`, `:method`, …) are among them, as Envoy sends them.
 *
 * Two flat lists: a request has a few dozen headers, of which a few are asked for, and a walk along a list that short
 * costs less than a table of lists.
 */
export class RequestHeaders {
  readonly #names: string[] = []
  readonly #values: string[] = []

  /** Adds one value; the name may come in any case. */
  add(name: string, value: string): void {
    this.#names.push(name.toLowerCase())
    this.#values.push(value)
  }

  /** The only value, or `undefined` when the header is absent or was sent more than once. */
  single(name: string): string | undefined {
    const names = this.#names
    const at = names.indexOf(name)
    return at === -1 || names.indexOf(name, at + 1) !== -1 ? undefined : this.#values[at]
  }

  /** Octets of the body, as `content-length` says; `undefined` where it is absent, was sent twice or is no number. */
  contentLength(): number | undefined {
    const length = this.single('content-length')
    return length !== undefined && /^[0-9]{1,15}$/.test(length) ? Number(length) : undefined
  }

  /** Every value; empty when absent. `name` in lower case. */
  all(name: string): readonly string[] {
    const names = this.#names
    const found: string[] = []
    for (let at = names.indexOf(name); at !== -1; at = names.indexOf(name, at + 1))
      found.push(this.#values[at] as string)
    return found
  }

  has(name: string): boolean {
    return this.#names.includes(name)
  }

  /** Every name, as often as it came. */
  names(): readonly string[] {
    return this.#names
  }

  /** Every value, in the order of `names()`. */
  values(): readonly string[] {
    return this.#values
  }

  /** Every name once, with its values. */
  entries(): IterableIterator<[string, readonly string[]]> {
    const grouped = new Map<string, string[]>()
    for (const [index, name] of this.#names.entries()) {
      const values = grouped.get(name)
      if (values === undefined) grouped.set(name, [this.#values[index] as string])
      else values.push(this.#values[index] as string)
    }
    return grouped.entries()
  }
}

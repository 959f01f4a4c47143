/** Bytes that all connections of a server keep together: many connections must not be a way around the bound of one. */
export class MemoryBudget {
  readonly #mostBytes: number
  #bytes = 0

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes
  }

  /** Counts bytes, negative ones as given back; false, and nothing counted, where it would be too much. */
  add(bytes: number): boolean {
    if (bytes > 0 && this.#bytes + bytes > this.#mostBytes) return false
    this.#bytes += bytes
    return true
  }
}

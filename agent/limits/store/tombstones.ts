/** The last so many ids that are over. */
export class Tombstones {
  readonly #known = new Set<string>()
  readonly #ring: string[] = []
  readonly #max: number
  #next = 0

  constructor(max: number) {
    this.#max = max
  }

  has(id: string): boolean {
    return this.#known.has(id)
  }

  add(id: string): void {
    if (this.#known.has(id)) return
    const oldest = this.#ring[this.#next]
    if (oldest !== undefined) this.#known.delete(oldest)
    this.#known.add(id)
    this.#ring[this.#next] = id
    this.#next = (this.#next + 1) % this.#max
  }
}

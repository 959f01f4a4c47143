/** Something that ends at a time. */
export interface Ending {
  expiresUs: number
  /** Where it stands in the heap: set by it. */
  place: number
}

/** What ends when, the first to end on top: a binary heap that can also take out from the middle. */
export class Expiry<T extends Ending> {
  readonly #heap: T[] = []

  add(ending: T): void {
    ending.place = this.#heap.length
    this.#heap.push(ending)
    this.#rise(ending)
  }

  remove(ending: T): void {
    const last = this.#heap.pop() as T
    if (last === ending) return
    this.#put(last, ending.place)
    this.moved(last)
  }

  /** To be called after the time of one was changed. */
  moved(ending: T): void {
    this.#rise(ending)
    this.#sink(ending)
  }

  /** Takes out one that ends at this time or before. */
  popUntil(nowUs: number): T | undefined {
    const first = this.#heap[0]
    if (first === undefined || first.expiresUs > nowUs) return undefined
    this.remove(first)
    return first
  }

  #rise(ending: T): void {
    while (ending.place > 0) {
      const from = ending.place
      const above = this.#heap[(from - 1) >> 1] as T
      if (above.expiresUs <= ending.expiresUs) return
      this.#put(ending, above.place)
      this.#put(above, from)
    }
  }

  #sink(ending: T): void {
    for (;;) {
      const from = ending.place
      const [left, right] = [this.#heap[2 * from + 1], this.#heap[2 * from + 2]]
      if (left === undefined) return
      const sooner = right !== undefined && right.expiresUs < left.expiresUs ? right : left
      if (ending.expiresUs <= sooner.expiresUs) return
      this.#put(ending, sooner.place)
      this.#put(sooner, from)
    }
  }

  #put(ending: T, place: number): void {
    this.#heap[place] = ending
    ending.place = place
  }
}

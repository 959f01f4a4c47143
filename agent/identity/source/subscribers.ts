/** Those who want to be told of each new value, in the order they came. */
export class Subscribers<T> {
  readonly #listeners = new Set<(value: T) => void>()
  #told = 0

  /** Calls at once where there is a value already. */
  add(listener: (value: T) => void, current: T | undefined): Disposable {
    // A function of its own, so that one who subscribes twice is told twice and leaves once.
    const own = (value: T) => listener(value)
    this.#listeners.add(own)
    if (current !== undefined) own(current)
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) }
  }

  tell(value: T): void {
    this.#told += 1
    const told = this.#told
    // One that was told may have had something newer told, or another one go.
    for (const listener of [...this.#listeners])
      if (told === this.#told && this.#listeners.has(listener)) listener(value)
  }

  clear(): void {
    this.#listeners.clear()
  }
}

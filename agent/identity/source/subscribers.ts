/** Those who want to be told of each new value, in the order they came. */
export class Subscribers<T> {
  readonly #listeners = new Set<(value: T) => void>()

  /** Calls at once where there is a value already. */
  add(listener: (value: T) => void, current: T | undefined): Disposable {
    // A function of its own, so that one who subscribes twice is told twice and leaves once.
    const own = (value: T) => listener(value)
    this.#listeners.add(own)
    if (current !== undefined) own(current)
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) }
  }

  tell(value: T): void {
    for (const listener of [...this.#listeners]) listener(value)
  }
}

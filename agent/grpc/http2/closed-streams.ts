const remembered = 4096

/**
 * The last streams that were closed, and how: a late frame on a stream that we reset was on its way and means nothing, on
 * one that ended well it is a fault.
 *
 * @see RFC 9113, §5.1 "closed"
 */
export class ClosedStreams {
  /** A ring of identifiers; negative for those that we reset. */
  #ids = new Int32Array(64)
  #count = 0

  add(id: number, how: 'ended' | 'reset'): void {
    if (this.#count === this.#ids.length && this.#count < remembered) {
      const grown = new Int32Array(remembered)
      grown.set(this.#ids)
      this.#ids = grown
    }
    this.#ids[this.#count++ % this.#ids.length] = how === 'reset' ? -id : id
  }

  /** `undefined` for a stream that was never open, or so long ago that it does not matter. */
  howEnded(id: number): 'ended' | 'reset' | undefined {
    const at = this.#find(id)
    if (at === -1) return undefined
    return this.#ids[at] === id ? 'ended' : 'reset'
  }

  /** Whether it was remembered; it is not any more. */
  forget(id: number): boolean {
    const at = this.#find(id)
    if (at !== -1) this.#ids[at] = 0
    return at !== -1
  }

  /** The newest first: what comes late is mostly not very late. */
  #find(id: number): number {
    const { length } = this.#ids
    for (let age = 1; age <= Math.min(this.#count, length); age++) {
      const at = (this.#count - age) % length
      const known = this.#ids[at]
      if (known === id || known === -id) return at
    }
    return -1
  }
}

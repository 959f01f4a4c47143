const remembered = 256

/**
 * The last streams that were closed, and how: a late frame on a stream that we reset was on its way and means nothing, on
 * one that ended well it is a fault.
 *
 * @see RFC 9113, §5.1 "closed"
 */
export class ClosedStreams {
  /** Identifiers; negative for those that we reset. */
  readonly #ids = new Int32Array(remembered)
  #count = 0

  add(id: number, how: 'ended' | 'reset'): void {
    this.#ids[this.#count++ % remembered] = how === 'reset' ? -id : id
  }

  /** `undefined` for a stream that was never open, or so long ago that it does not matter. */
  howEnded(id: number): 'ended' | 'reset' | undefined {
    if (this.#ids.includes(-id)) return 'reset'
    return this.#ids.includes(id) ? 'ended' : undefined
  }
}

/** Something that waits for its answer. */
export interface Waiting {
  isDone: boolean
}

interface Entry {
  readonly waiting: Waiting
  readonly endsAtMs: number
}

/**
 * One deadline for all that wait on a connection: answers come in the order of the questions, so that the oldest says
 * whether anybody waits too long, and one timer is enough.
 */
export class Deadlines {
  readonly #timeoutMs: number
  readonly #onLate: () => void
  #entries: Entry[] = []
  /** Before it all are done. */
  #first = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: { readonly timeoutMs: number; readonly onLate: () => void }) {
    this.#timeoutMs = options.timeoutMs
    this.#onLate = options.onLate
  }

  add(waiting: Waiting): void {
    this.#entries.push({ waiting, endsAtMs: performance.now() + this.#timeoutMs })
    this.#timer ??= setTimeout(this.#look, this.#timeoutMs).unref()
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#entries = []
    this.#first = 0
  }

  readonly #look = (): void => {
    // Timers come before sockets in a turn of the loop: after a long turn the answer may be there, and unread.
    setImmediate(() => {
      if (this.#timer === undefined) return
      this.#timer = undefined
      const oldest = this.#oldest()
      if (oldest === undefined) return
      const leftMs = oldest.endsAtMs - performance.now()
      if (leftMs <= 0) this.#onLate()
      else this.#timer = setTimeout(this.#look, leftMs).unref()
    })
  }

  #oldest(): Entry | undefined {
    while (this.#entries[this.#first]?.waiting.isDone) this.#first++
    this.#entries = this.#entries.slice(this.#first)
    this.#first = 0
    return this.#entries[0]
  }
}

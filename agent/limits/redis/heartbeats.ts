/** Tells every memory in which something of this process runs that it is there, and learns how many others are. */
export class Heartbeats {
  readonly #tags: () => readonly string[]
  readonly #beat: (tag: string) => Promise<number>
  readonly #timer: NodeJS.Timeout
  #replicas = 1

  constructor(options: {
    readonly everyMs: number
    readonly tags: () => readonly string[]
    readonly beat: (tag: string) => Promise<number>
  }) {
    this.#tags = options.tags
    this.#beat = options.beat
    this.#timer = setInterval(() => void this.#round(), options.everyMs).unref()
    void this.#round()
  }

  /** As many as the last round has seen at most; at least this one. */
  replicas(): number {
    return this.#replicas
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** What fails is tried in the next round: until then what runs here is counted for the rest of its life. */
  async #round(): Promise<void> {
    const seen = await Promise.allSettled(this.#tags().map((tag) => this.#beat(tag)))
    const numbers = seen.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    if (numbers.length > 0) this.#replicas = Math.max(1, ...numbers)
  }
}

/** Rounds in the time in which every replica gives a sign, and one that may be late. */
const rememberedRounds = 4

/**
 * Tells every memory in which something of this process runs that it is there; and learns how many others are from the first of
 * them, which is the same for all processes.
 */
export class Heartbeats {
  readonly #tags: () => readonly string[]
  readonly #beat: (tag: string) => Promise<number>
  readonly #onRound: (replicas: number) => void
  readonly #timer: NodeJS.Timeout
  /** How many the last rounds have seen; before them, how many there were at the end of the process before. */
  readonly #seen: number[]

  constructor(options: {
    readonly everyMs: number
    readonly tags: () => readonly string[]
    readonly beat: (tag: string) => Promise<number>
    /** How many replicas there were when this process ran last. */
    readonly before?: number | undefined
    /** Told how many there are by an answer. */
    readonly onRound?: (replicas: number) => void
  }) {
    this.#seen = options.before === undefined ? [] : [options.before]
    this.#onRound = options.onRound ?? (() => {})
    this.#tags = options.tags
    this.#beat = options.beat
    this.#timer = setInterval(() => void this.#round(), options.everyMs).unref()
    void this.#round()
  }

  /**
   * As many as the last rounds have seen at most; at least this one. A memory that was just lost knows only of those that have
   * said so since: by it alone each would take a larger part of what is shared.
   */
  replicas(): number {
    return Math.max(1, ...this.#seen)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** What fails is tried in the next round: until then what runs here is counted for the rest of its life. */
  async #round(): Promise<void> {
    const [first] = await Promise.allSettled(this.#tags().map((tag) => this.#beat(tag)))
    // Of the others each knows those alone of which something runs there.
    if (first?.status !== 'fulfilled') return
    const now = first.value
    this.#seen.push(now)
    if (this.#seen.length > rememberedRounds) this.#seen.shift()
    this.#onRound(Math.max(1, now))
  }
}

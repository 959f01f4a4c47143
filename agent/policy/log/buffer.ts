import { type Chunk, Chunker, type ChunkerEvent, type Content, contentOf, type Entry } from './chunker.ts'
import { eventText } from './event.ts'
import { type LossLedger, type LossReason, tombstone } from './loss.ts'

/** How much may wait for the log server. */
export type BufferLimit =
  /** Compressed chunks; `undefined` for no other bound than {@link maxWaitingBytes}. */
  | { readonly kind: 'size'; readonly bytes: number | undefined }
  /** Events that wait, a chunk that is to be sent again counting as one. */
  | { readonly kind: 'event'; readonly events: number }

/** What may wait in all, whatever the configuration says: a log server may be gone for long. */
export const maxWaitingBytes = 64 << 20

/** What waits for the log server: events, packed into chunks when they are to be sent. The oldest goes when it is full. */
export class LogBuffer {
  readonly #limit: BufferLimit
  readonly #ledger: LossLedger
  readonly #labels: Readonly<Record<string, string>>
  readonly #nowMs: () => number
  readonly #chunker: Chunker
  readonly #onReady: () => void
  readonly #count: (event: BufferEvent) => void
  readonly #isPackedAtOnce: boolean
  #waiting: Entry[] = []
  #waitingBytes = 0
  #chunks: Chunk[] = []
  #chunkBytes = 0
  #sending: Chunk | undefined

  constructor(options: {
    readonly limit: BufferLimit
    readonly uploadLimitBytes: number
    /** Whether events are packed as they come, not only when they are to be sent. */
    readonly isPackedAtOnce: boolean
    readonly ledger: LossLedger
    readonly labels: Readonly<Record<string, string>>
    readonly nowMs: () => number
    /** A chunk is there. */
    onReady(): void
    count(event: BufferEvent): void
  }) {
    this.#limit = options.limit
    this.#ledger = options.ledger
    this.#labels = options.labels
    this.#nowMs = options.nowMs
    this.#onReady = options.onReady
    this.#count = options.count
    this.#isPackedAtOnce = options.limit.kind === 'size' || options.isPackedAtOnce
    this.#chunker = new Chunker({
      limitBytes: options.uploadLimitBytes,
      // Enough for events that compress to a sixtieth; more would only be held longer.
      maxUncompressedBytes: maxWaitingBytes >> 5,
      onChunk: (chunk) => this.#keep(chunk),
      onTooLarge: (entry) => {
        this.#count('decision_logs_encoding_failure')
        this.#lose('too_large', contentOf([entry]))
      },
      count: options.count,
    })
  }

  push(entry: Entry): void {
    // Packing may be behind: what is in it cannot be taken back, so the newest goes.
    if (this.#chunker.pendingBytes + entry.bytes.length > maxWaitingBytes)
      return this.#full(contentOf([entry]))
    if (this.#isPackedAtOnce) this.#chunker.add(entry)
    else {
      this.#waiting.push(entry)
      this.#waitingBytes += entry.bytes.length
    }
    this.#trim()
  }

  /** Packs all that waits, and a tombstone with it where something was lost. */
  async pack(): Promise<void> {
    for (const entry of this.#waiting.splice(0)) this.#chunker.add(entry)
    this.#waitingBytes = 0
    const loss = this.#ledger.take()
    if (loss !== undefined) {
      const nowMs = this.#nowMs()
      const { bytes } = eventText(tombstone(loss, this.#labels, nowMs))
      this.#chunker.add({ bytes, atMs: nowMs, loss })
    }
    await this.#chunker.flush()
  }

  /** The oldest chunk, to be sent; it is to be told of with `sent` or `putBack`. */
  next(): Chunk | undefined {
    this.#sending = this.#chunks.shift()
    return this.#sending
  }

  /** It arrived. @returns how many decisions it held. */
  sent(chunk: Chunk): number {
    this.#sending = undefined
    this.#chunkBytes -= chunk.bytes.length
    return chunk.content.decisions
  }

  /** It did not arrive: it goes first again, or last. */
  putBack(chunk: Chunk, place: 'first' | 'last'): void {
    this.#sending = undefined
    if (place === 'first') this.#chunks.unshift(chunk)
    else this.#chunks.push(chunk)
    this.#trim()
  }

  /** Gives up on everything. */
  async loseAll(reason: LossReason): Promise<void> {
    this.#lose(reason, contentOf(await this.#chunker.empty()))
    for (const chunk of this.#chunks.splice(0)) this.#lose(reason, chunk.content)
    this.#chunkBytes = 0
    this.#lose(reason, contentOf(this.#waiting.splice(0)))
    this.#waitingBytes = 0
  }

  /** Decisions that are neither sent nor lost. */
  get waitingDecisions(): number {
    const chunks = this.#sending === undefined ? this.#chunks : [this.#sending, ...this.#chunks]
    const packed = chunks.reduce((sum, chunk) => sum + chunk.content.decisions, 0)
    return packed + this.#waiting.length + this.#chunker.pendingDecisions
  }

  /** Whether a tombstone has been made for everything that is lost. */
  get isAllTold(): boolean {
    return this.#ledger.isEmpty
  }

  /** What waits, in the unit of the limit. */
  get size(): number {
    if (this.#limit.kind === 'size') return this.#chunkBytes
    return this.#waiting.length + this.#chunks.length + (this.#sending === undefined ? 0 : 1)
  }

  get waitingBytes(): number {
    return this.#chunkBytes + this.#waitingBytes + this.#chunker.pendingBytes
  }

  #keep(chunk: Chunk): void {
    const limit = this.#limit
    const { decisions } = chunk.content
    if (limit.kind === 'size' && decisions > 0 && chunk.bytes.length > (limit.bytes ?? maxWaitingBytes))
      return this.#full(chunk.content)
    this.#chunks.push(chunk)
    this.#chunkBytes += chunk.bytes.length
    this.#trim()
    this.#onReady()
  }

  /**
   * Takes the oldest away until the rest is within bounds. What is being sent stays, it may have arrived already, and so
   * does what holds nothing but a tombstone: it is small, and there would be another one in its place.
   */
  #trim(): void {
    while (this.#isOver()) {
      const index = this.#chunks.findIndex(({ content }) => content.decisions > 0)
      const [chunk] = index === -1 ? [] : this.#chunks.splice(index, 1)
      if (chunk !== undefined) {
        this.#chunkBytes -= chunk.bytes.length
        this.#full(chunk.content)
        continue
      }
      const entry = this.#waiting.shift()
      if (entry === undefined) return
      this.#waitingBytes -= entry.bytes.length
      this.#full(contentOf([entry]))
    }
  }

  #isOver(): boolean {
    const limit = this.#limit
    if (this.waitingBytes > maxWaitingBytes) return true
    return limit.kind === 'size'
      ? limit.bytes !== undefined && this.#chunkBytes > limit.bytes
      : this.size > limit.events
  }

  #full(content: Content): void {
    this.#count('decision_logs_dropped_buffer_size_limit_exceeded')
    if (this.#limit.kind === 'size') this.#count('decision_logs_dropped_buffer_size_limit_bytes_exceeded')
    this.#lose('buffer_full', content)
  }

  #lose(reason: LossReason, { decisions, sinceMs, untilMs, loss }: Content): void {
    this.#ledger.add(reason, decisions, sinceMs, untilMs)
    if (loss !== undefined) this.#ledger.putBack(loss)
  }
}

/** What is counted, by OPA's names. */
export type BufferEvent =
  | ChunkerEvent
  | 'decision_logs_encoding_failure'
  | 'decision_logs_dropped_buffer_size_limit_exceeded'
  | 'decision_logs_dropped_buffer_size_limit_bytes_exceeded'

import { once } from 'node:events'
import { createGzip } from 'node:zlib'
import { type Loss, mergeLosses } from './loss.ts'

/** What waits to be packed: one event, or the tombstone of some that are lost. */
export interface Entry {
  readonly bytes: Buffer
  /** The part of `bytes` that may be cut out where the event is too large. */
  readonly cut?: { readonly from: number; readonly to: number }
  /** Of the decision, milliseconds since the epoch. */
  readonly atMs: number
  /** What a tombstone tells of; absent for a decision. */
  readonly loss?: Loss
}

/** A gzip JSON array of events, fit to be sent. */
export interface Chunk {
  readonly bytes: Buffer
  readonly content: Content
}

/** What some entries hold. */
export interface Content {
  readonly decisions: number
  /** When the first and the last of the decisions were made. */
  readonly sinceMs: number
  readonly untilMs: number
  /** What tombstones among them tell of. */
  readonly loss?: Loss
}

export function contentOf(entries: readonly Entry[]): Content {
  let [decisions, sinceMs, untilMs] = [0, Number.POSITIVE_INFINITY, 0]
  let told: Loss | undefined
  for (const { atMs, loss } of entries) {
    if (loss === undefined) {
      decisions++
      sinceMs = Math.min(sinceMs, atMs)
      untilMs = Math.max(untilMs, atMs)
    } else told = told === undefined ? loss : mergeLosses(told, loss)
  }
  return { decisions, sinceMs, untilMs, ...(told && { loss: told }) }
}

/** What happens now and then, and is worth counting. */
export type ChunkerEvent =
  | 'enc_log_exceeded_upload_size_limit_bytes'
  | 'decision_logs_nd_builtin_cache_dropped'
  | 'enc_uncompressed_limit_scale_up'
  | 'enc_uncompressed_limit_scale_down'
  | 'enc_uncompressed_limit_stable'

const fillShare = 0.9
const exponentStep = 0.2
/** What is written to the compressor at once. */
const pieceBytes = 64 << 10
/** A third of the CPU of the default level, and a twentieth more bytes. */
const compressionLevel = 3

/**
 * Packs events into chunks of at most `limitBytes` once compressed. How much goes into one before it is compressed is
 * learned: more where chunks fill less than 90 % of the limit, less where they exceed it. Compression happens on another
 * thread; chunks come out in the order of the events.
 */
export class Chunker {
  readonly #limitBytes: number
  readonly #maxUncompressedBytes: number
  readonly #onChunk: (chunk: Chunk) => void
  readonly #onTooLarge: (entry: Entry) => void
  readonly #count: (event: ChunkerEvent) => void
  #uncompressedLimit: number
  #upExponent = 0
  #queue: Entry[] = []
  #queuedBytes = 0
  #added = 0
  #taken = 0
  /** Entries up to this one go into chunks however small. */
  #flushTo = 0
  #packing: Promise<void> | undefined
  /** Of the entries that are in no chunk yet. */
  pendingBytes = 0
  pendingDecisions = 0

  constructor(options: {
    readonly limitBytes: number
    /** Never collects more than this, however well it compresses. */
    readonly maxUncompressedBytes: number
    onChunk(chunk: Chunk): void
    onTooLarge(entry: Entry): void
    count(event: ChunkerEvent): void
  }) {
    this.#limitBytes = options.limitBytes
    this.#maxUncompressedBytes = Math.max(options.maxUncompressedBytes, options.limitBytes)
    this.#uncompressedLimit = options.limitBytes
    this.#onChunk = options.onChunk
    this.#onTooLarge = options.onTooLarge
    this.#count = options.count
  }

  add(entry: Entry): void {
    this.#queue.push(entry)
    this.#added++
    this.#queuedBytes += entry.bytes.length + 1
    this.pendingBytes += entry.bytes.length
    if (entry.loss === undefined) this.pendingDecisions++
    this.#start()
  }

  /** Packs what there is, however little. Resolves when all of it is in chunks. */
  async flush(): Promise<void> {
    this.#flushTo = this.#added
    this.#start()
    await this.#packing
  }

  /** Gives back what is in no chunk yet, once what is being packed is. */
  async empty(): Promise<readonly Entry[]> {
    const entries = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    this.#taken = this.#added
    await this.#packing
    this.#forget(entries)
    return entries
  }

  #start(): void {
    if (this.#isDue()) this.#packing ??= this.#packAll()
  }

  #isDue(): boolean {
    return this.#queuedBytes >= this.#uncompressedLimit || this.#taken < this.#flushTo
  }

  /** One chunk after the other: what one taught goes into the next. */
  async #packAll(): Promise<void> {
    while (this.#isDue()) {
      const isFull = this.#queuedBytes >= this.#uncompressedLimit
      await this.#pack(this.#take(), isFull)
    }
    this.#packing = undefined
  }

  #take(): readonly Entry[] {
    let [count, bytes] = [0, 0]
    for (const entry of this.#queue) {
      const size = entry.bytes.length + 1
      if (count > 0 && bytes + size >= this.#uncompressedLimit) break
      count++
      bytes += size
    }
    this.#taken += count
    this.#queuedBytes -= bytes
    return this.#queue.splice(0, count)
  }

  /** @param isFull whether the size is worth learning from. */
  async #pack(entries: readonly Entry[], isFull: boolean): Promise<void> {
    const bytes = await compress(entries)
    if (bytes.length <= this.#limitBytes) {
      if (isFull) this.#learn(bytes.length, entries)
      this.#done(entries, bytes)
    } else if (entries.length > 1) {
      this.#shrink()
      const half = entries.length >> 1
      await this.#pack(entries.slice(0, half), false)
      await this.#pack(entries.slice(half), false)
    } else await this.#packAlone(entries[0] as Entry)
  }

  /** A single event that is too large loses what can be done without, or is lost. */
  async #packAlone(entry: Entry): Promise<void> {
    this.#count('enc_log_exceeded_upload_size_limit_bytes')
    const { bytes, cut } = entry
    if (cut !== undefined) {
      const smaller = Buffer.concat([bytes.subarray(0, cut.from), bytes.subarray(cut.to)])
      const packed = await compress([{ ...entry, bytes: smaller }])
      if (packed.length <= this.#limitBytes) {
        this.#count('decision_logs_nd_builtin_cache_dropped')
        return this.#done([entry], packed)
      }
    }
    this.#done([entry], undefined)
    this.#onTooLarge(entry)
  }

  #done(entries: readonly Entry[], packed: Buffer | undefined): void {
    const content = this.#forget(entries)
    if (packed !== undefined) this.#onChunk({ bytes: packed, content })
  }

  #forget(entries: readonly Entry[]): Content {
    const content = contentOf(entries)
    for (const { bytes } of entries) this.pendingBytes -= bytes.length
    this.pendingDecisions -= content.decisions
    return content
  }

  #learn(compressedBytes: number, entries: readonly Entry[]): void {
    if (compressedBytes >= this.#limitBytes * fillShare) return this.#count('enc_uncompressed_limit_stable')
    this.#count('enc_uncompressed_limit_scale_up')
    // An event larger than the limit went alone: it is what the next guess starts from.
    const [first] = entries
    if (entries.length === 1 && first !== undefined && first.bytes.length > this.#uncompressedLimit)
      this.#uncompressedLimit = first.bytes.length
    const grown = this.#uncompressedLimit * Math.trunc(2 ** (this.#upExponent + 1))
    this.#uncompressedLimit = Math.min(grown, this.#maxUncompressedBytes)
    this.#upExponent += exponentStep
  }

  #shrink(): void {
    this.#count('enc_uncompressed_limit_scale_down')
    this.#uncompressedLimit = Math.max(this.#limitBytes, Math.trunc(this.#uncompressedLimit / 2))
    // Growing by less from now on, or the next chunk is too large again.
    this.#upExponent = Math.max(0, this.#upExponent - exponentStep)
  }
}

/** Feeds the compressor piece by piece, at its pace, so that no single call copies much. */
async function compress(entries: readonly Entry[]): Promise<Buffer> {
  const gzip = createGzip({ level: compressionLevel })
  const pieces: Buffer[] = []
  gzip.on('data', (piece: Buffer) => pieces.push(piece))
  const ended = once(gzip, 'end')
  let batch: Buffer[] = []
  let size = 0
  for (const [index, { bytes }] of entries.entries()) {
    batch.push(index === 0 ? opening : comma, bytes)
    size += bytes.length
    if (size < pieceBytes) continue
    if (!gzip.write(Buffer.concat(batch))) await once(gzip, 'drain')
    batch = []
    size = 0
  }
  gzip.end(Buffer.concat([...batch, closing]))
  await ended
  return Buffer.concat(pieces)
}

const opening = Buffer.from('[')
const comma = Buffer.from(',')
const closing = Buffer.from(']')

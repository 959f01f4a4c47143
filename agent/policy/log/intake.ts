import type { Decided, DecisionSink } from '../decided.ts'
import type { LossLedger } from './loss.ts'

/** Decisions that may wait for their event to be written; a batch is begun every few milliseconds. */
const maxWaiting = 4096
/** Characters of their inputs. */
const maxWaitingCharacters = 16 << 20
/** What an input is taken for whose text nobody has made yet. */
const unknownCharacters = 4096
/** How long events are collected before they are written. */
const batchDelayMs = 10
/** After this long the event loop gets its turn: a batch must not be felt by requests. */
const sliceUs = 1000

/**
 * Takes decisions on the way of requests, in a microsecond, and has them written later, slice by slice. What comes faster
 * than that is lost, and counted.
 */
export class Intake {
  readonly sink: DecisionSink
  readonly #write: (decided: Decided) => void | Promise<void>
  readonly #monotonicUs: () => number
  readonly #later: (due: () => void) => void
  #batch: Decided[] = []
  #characters = 0
  #taken = 0
  #isScheduled = false
  #writing: Promise<void> | undefined
  #isClosed = false
  /** Decisions handed in so far. */
  received = 0

  constructor(options: {
    readonly ledger: LossLedger
    readonly monotonicUs: () => number
    /** Must not throw. */
    readonly write: (decided: Decided) => void | Promise<void>
    /** Calls back when the next batch is due. */
    readonly later?: ((due: () => void) => void) | undefined
  }) {
    const { ledger } = options
    this.#write = options.write
    this.#later = options.later ?? afterDelay
    this.#monotonicUs = options.monotonicUs
    this.sink = (decided) => {
      this.received++
      const characters = decided.input.textLength ?? unknownCharacters
      if (this.#isClosed) return ledger.add('shutdown', 1, decided.atMs)
      if (this.waiting >= maxWaiting || this.#characters + characters > maxWaitingCharacters)
        return ledger.add('intake_full', 1, decided.atMs)
      this.#batch.push(decided)
      this.#characters += characters
      if (!this.#isScheduled && this.#writing === undefined) this.#schedule()
    }
  }

  /** Decisions that no event is written of yet. */
  get waiting(): number {
    return this.#batch.length + this.#taken
  }

  /** Writes what is there; what comes now is lost. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#writing
    if (this.#batch.length > 0) await this.#writeAll()
  }

  #schedule(): void {
    this.#isScheduled = true
    this.#later(() => {
      this.#isScheduled = false
      if (this.#isClosed) return
      this.#writing = this.#writeAll().finally(() => {
        this.#writing = undefined
        if (this.#batch.length > 0) this.#schedule()
      })
    })
  }

  async #writeAll(): Promise<void> {
    let began = this.#monotonicUs()
    const batch = this.#batch
    this.#batch = []
    this.#characters = 0
    this.#taken = batch.length
    for (const decided of batch) {
      this.#taken--
      const written = this.#write(decided)
      if (written instanceof Promise) await written
      if (this.#monotonicUs() - began < sliceUs) continue
      await new Promise(setImmediate)
      began = this.#monotonicUs()
    }
  }
}

function afterDelay(due: () => void): void {
  setTimeout(due, batchDelayMs).unref()
}

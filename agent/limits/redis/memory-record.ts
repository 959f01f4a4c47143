import { randomBytes } from 'node:crypto'
import type { Clock } from '#base/clock.ts'
import type { ScriptAnswer } from './answer.ts'
import type { Argument } from './node.ts'

/**
 * How a loss of memory is noticed. Beside its counters each memory (a server; in a cluster a partition) keeps a record:
 *
 * - `epoch`: a random name that it got when the first script found none, and `born`, when that was
 * - `w:<replica>`: how many scripts of this replica have charged or settled something
 * - `a:<replica>`: until when it counts as there; what is a week older is forgotten, with its `w`
 * - `lost`: when memory was last found lost
 *
 * A replica remembers the epoch, and the highest `w` that was acknowledged to it, and says both with every script. The script
 * looks before it counts: no epoch where one is remembered, another epoch, or a smaller `w` mean that something
 * acknowledged is gone (an empty start, an old snapshot, a failover to a replica that lagged). It writes `lost` and goes by
 * it at once.
 *
 * What may slip through: after the loss, and until the first script of a replica that remembers (each sends one every third of
 * its life, 3.3 s), others that remember nothing, or lost nothing of their own, are granted what the emptied counters
 * say. Who starts without `stateDir` remembers nothing; if all do so at once, a loss goes unnoticed.
 */
export class MemoryRecords {
  readonly #known = new Map<string, Known>()
  readonly #max: number
  readonly #onLoss: () => void
  readonly #onEpoch: () => void
  readonly #replica: string
  readonly #lifeMs: number
  readonly #clock: Clock
  /** With a number for each call, the epoch in case there is none. */
  readonly #fresh = randomBytes(12).toString('hex')
  #calls = 0
  #lostMs = 0

  constructor(options: {
    readonly replica: string
    readonly lifeMs: number
    readonly clock: Clock
    readonly max?: number
    readonly epochs?: Readonly<Record<string, string>>
    readonly onLoss: () => void
    readonly onEpoch: () => void
  }) {
    this.#replica = options.replica
    this.#lifeMs = options.lifeMs
    this.#clock = options.clock
    this.#max = options.max ?? defaultMax
    this.#onLoss = options.onLoss
    this.#onEpoch = options.onEpoch
    for (const [tag, epoch] of Object.entries(options.epochs ?? {}))
      this.#known.set(tag, { epoch, writes: 0, lostMs: 0, atUs: 0 })
  }

  /** The first arguments of every script. */
  arguments(tag: string): Argument[] {
    const { epoch, writes: acknowledged, atUs } = this.#known.get(tag) ?? nothing
    const writes = this.#clock.monotonicUs() - atUs > rememberedUs ? 0 : acknowledged
    return [this.#replica, epoch, writes, this.#fresh + (this.#calls++).toString(16), this.#lifeMs]
  }

  /** Whether this is the first answer that tells of a loss. */
  learn(tag: string, { epoch, writes, lostMs }: ScriptAnswer): boolean {
    const known = this.#known.get(tag)
    const atUs = this.#clock.monotonicUs()
    if (known === undefined || known.epoch !== epoch) {
      this.#known.delete(tag)
      if (this.#known.size >= this.#max) this.#known.delete(this.#known.keys().next().value as string)
      this.#known.set(tag, { epoch, writes, lostMs, atUs })
      this.#onEpoch()
    } else {
      // Answers may come in another order; after a long time it counts from the beginning.
      known.writes = atUs - known.atUs > rememberedUs ? writes : Math.max(known.writes, writes)
      known.atUs = atUs
    }
    const isNews = lostMs > (known?.lostMs ?? 0)
    if (isNews && known?.epoch === epoch) known.lostMs = lostMs
    if (lostMs > this.#lostMs) {
      this.#lostMs = lostMs
      this.#onLoss()
    }
    return isNews
  }

  lostAtMs(): number | undefined {
    return this.#lostMs === 0 ? undefined : this.#lostMs
  }

  /** For a file that outlives this process. */
  epochs(): Record<string, string> {
    return Object.fromEntries([...this.#known].map(([tag, { epoch }]) => [tag, epoch]))
  }
}

interface Known {
  readonly epoch: string
  writes: number
  lostMs: number
  /** When its last answer came. */
  atUs: number
}

const nothing: Known = { epoch: '', writes: 0, lostMs: 0, atUs: 0 }
/** Half of the time after which a memory forgets how often a replica wrote that it does not hear of. */
const rememberedUs = 3.5 * 86_400_000_000
/** Memories that are remembered: one, or in a cluster the partitions that were last new. */
const defaultMax = 10_000

import type { Clock } from '#base/clock.ts'
import type { Charge, StoreCount } from '../store/store.ts'
import { parseAnswer, type ScriptAnswer, wrong } from './answer.ts'
import type { RedisLink } from './connect.ts'
import { problemOf, RedisFault } from './fault.ts'
import type { KeyNames } from './keys.ts'
import type { Script } from './lua/scripts.ts'
import type { MemoryRecords } from './memory-record.ts'
import type { Argument } from './node.ts'
import { packCharges } from './pack.ts'
import { ScriptSender } from './script-sender.ts'

/** One script with what it is given behind the arguments of the record. */
export interface ScriptCall {
  /** Which memory it goes to: its record comes before the keys. */
  readonly tag: string
  readonly script: Script
  /** The kinds of answers that the script has. */
  readonly wanted: string
  /** Those before the counters. */
  readonly keys?: readonly string[]
  /** Arguments before those of the charges. */
  readonly before?: readonly Argument[]
  readonly charges?: readonly Charge[]
  /** The places of the charges in the call that they are of. */
  readonly indexes?: readonly number[]
}

const none: readonly never[] = []

/** Runs scripts, and keeps what their answers tell of the server: its time, its memory, and whether it answers at all. */
export class ScriptRunner {
  readonly #link: RedisLink
  readonly #sender: ScriptSender
  readonly #names: KeyNames
  readonly #records: MemoryRecords
  readonly #clock: Clock
  readonly #counts: Record<StoreCount, number>
  readonly #onLoss: (tag: string) => void
  /** How far the server's clock is ahead of ours, as far as the last answer says. */
  #aheadMs = 0
  #problem: string | undefined

  constructor(options: {
    readonly link: RedisLink
    /** See `Scripts`. */
    readonly library: string
    readonly names: KeyNames
    readonly records: MemoryRecords
    readonly clock: Clock
    readonly counts: Record<StoreCount, number>
    /** The first answer came that tells of a loss. */
    readonly onLoss: (tag: string) => void
  }) {
    const { link, library, clock } = options
    this.#link = link
    this.#sender = new ScriptSender({ link, library, clock })
    this.#names = options.names
    this.#records = options.records
    this.#clock = clock
    this.#counts = options.counts
    this.#onLoss = options.onLoss
  }

  problem(): string | undefined {
    return this.#link.problem() ?? this.#problem
  }

  /**
   * Once more, with the right spans, where the server says that it has another time than we thought.
   *
   * @throws RedisFault where there is no answer, or none of a script of ours
   */
  async run(call: ScriptCall): Promise<ScriptAnswer> {
    try {
      let answer = await this.#once(call)
      if (answer.kind === 'T') answer = await this.#once(call)
      checkForm(answer, call)
      this.#problem = undefined
      return answer
    } catch (thrown) {
      if (thrown instanceof RedisFault && thrown.kind === 'reply') this.#problem = problemOf(thrown)
      throw thrown
    }
  }

  async #once(call: ScriptCall): Promise<ScriptAnswer> {
    const { tag, script, keys = none, before = none, charges = none, indexes } = call
    const record = this.#names.record(tag)
    const args: Argument[] = [1 + keys.length + charges.length, record, ...keys]
    for (const { key, rule } of charges) args.push(this.#names.counter(key, rule.kind))
    args.push(...this.#records.arguments(tag), ...before)
    if (charges.length > 0) args.push(packCharges(charges, indexes, this.#clock.nowMs() + this.#aheadMs))
    this.#counts.calls++
    const answer = parseAnswer(await this.#sender.run(record, script, args))
    this.#aheadMs = answer.nowMs - this.#clock.nowMs()
    if (this.#records.learn(tag, answer)) this.#onLoss(tag)
    return answer
  }
}

function checkForm({ kind, rest }: ScriptAnswer, { wanted, charges = none }: ScriptCall): void {
  if (!wanted.includes(kind)) throw wrong(`the kind ${kind}`)
  if (!'GRP'.includes(kind) || rest.length === 3 * charges.length) return
  throw wrong(`${rest.length} numbers for ${charges.length} charges`)
}

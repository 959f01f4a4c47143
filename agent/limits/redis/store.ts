import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from '#base/clock.ts'
import type {
  Charge,
  CounterState,
  QuotaStore,
  ReserveAnswer,
  SettleAnswer,
  StoreCount,
  StoreFault,
  StoreHealth,
} from '../store/store.ts'
import { parseAnswer, type ScriptAnswer, statesOf, wrong } from './answer.ts'
import { connectRedis, type RedisLink, type RedisSettings } from './connect.ts'
import { openEpochFile } from './epoch-file.ts'
import { problemOf, RedisFault } from './fault.ts'
import { Heartbeats } from './heartbeats.ts'
import { type KeyNames, keyNames } from './keys.ts'
import { createScripts, type Script, type Scripts, type ScriptTime } from './lua/scripts.ts'
import { MemoryRecords } from './memory-record.ts'
import type { Argument } from './node.ts'
import { packCharge } from './pack.ts'
import { everywhere, type Part, Places, partsOf } from './partitions.ts'
import { Running } from './running.ts'

export interface RedisStoreSettings extends RedisSettings {
  readonly keyPrefix?: string | undefined
  /** The name of this process among those that share the store; a random one if absent. */
  readonly replica?: string | undefined
  /** Where the process remembers over restarts which memory it has seen. */
  readonly stateDir?: string | undefined
  /** How long what runs at a replica is counted after its last sign. */
  readonly slotLifeMs?: number | undefined
  readonly clock?: Clock
  /** Other than the server's own only in tests. */
  readonly time?: ScriptTime
  readonly warn?: (text: string) => void
}

const defaultKeyPrefix = 'sluice'
const defaultSlotLifeMs = 10_000

/**
 * Counters in a Redis or Valkey that replicas share. Resolves when there is a connection, or when the first try has failed; it is
 * tried again for as long as this is open.
 *
 * @throws SluiceError where the URL is none, and Error where a file cannot be read
 */
export async function openRedisStore(settings: RedisStoreSettings): Promise<QuotaStore> {
  const { slotLifeMs = defaultSlotLifeMs, replica = randomBytes(8).toString('hex') } = settings
  const counts = noCounts()
  const file = await openEpochFile(settings.stateDir, settings.warn)
  const records = new MemoryRecords({
    replica,
    lifeMs: slotLifeMs,
    epochs: file.epochs,
    onLoss: () => counts.memory_lost++,
    onEpoch: () => file.save(records.epochs()),
  })
  const link = await connectRedis(settings, {
    keepsAll: true,
    onTimeout: () => counts.timeouts++,
    warn: settings.warn,
  })
  return new RedisStore({ settings, link, records, counts, slotLifeMs, onClose: () => file.close() })
}

interface Opened {
  readonly settings: RedisStoreSettings
  readonly link: RedisLink
  readonly records: MemoryRecords
  readonly counts: Record<StoreCount, number>
  readonly slotLifeMs: number
  readonly onClose: () => Promise<void>
}

class RedisStore implements QuotaStore {
  readonly health: StoreHealth
  readonly #link: RedisLink
  readonly #names: KeyNames
  readonly #scripts: Scripts
  readonly #records: MemoryRecords
  readonly #clock: Clock
  readonly #counts: Record<StoreCount, number>
  readonly #places: Places
  readonly #running: Running
  readonly #heartbeats: Heartbeats
  readonly #onClose: () => Promise<void>
  /** How far the server's clock is ahead of ours, as far as the last answer says. */
  #aheadMs = 0
  #wrongAnswer: string | undefined
  /** Memories that have lost what runs here. */
  readonly #toRestore = new Set<string>()

  constructor({ settings, link, records, counts, slotLifeMs, onClose }: Opened) {
    const { keyPrefix = defaultKeyPrefix, clock = systemClock } = settings
    this.#link = link
    this.#names = keyNames(keyPrefix)
    this.#scripts = createScripts(settings.time)
    this.#records = records
    this.#clock = clock
    this.#counts = counts
    this.#places = new Places({ isCluster: link.isCluster, clock })
    this.#running = new Running(clock)
    this.#onClose = onClose
    this.#heartbeats = new Heartbeats({
      everyMs: slotLifeMs / 3,
      // Where all is one, also while nothing runs: others count who is there.
      tags: () => (link.isCluster ? this.#running.tags() : [everywhere]),
      beat: (tag) => this.#beat(tag),
    })
    this.health = {
      kind: 'redis',
      problem: () => link.problem() ?? this.#wrongAnswer,
      lostAtMs: () => records.lostAtMs(),
      replicas: () => this.#heartbeats.replicas(),
      counts,
    }
  }

  async reserve(id: string, charges: readonly Charge[], ttlMs: number): Promise<ReserveAnswer> {
    const parts = partsOf(charges, this.#link.isCluster)
    this.#places.remember(id, parts, ttlMs)
    return this.#charge({ id, charges, parts, script: this.#scripts.reserve, ttlMs, step: 0 })
  }

  async topUp(id: string, step: number, charges: readonly Charge[], ttlMs: number): Promise<ReserveAnswer> {
    const parts = partsOf(charges, this.#link.isCluster)
    this.#places.remember(id, parts, ttlMs)
    return this.#charge({ id, charges, parts, script: this.#scripts.topUp, ttlMs, step })
  }

  async settle(id: string, actuals: readonly number[]): Promise<SettleAnswer> {
    const tags = this.#places.tagsOf(id)
    this.#running.end(id, tags)
    const answers = await Promise.all(tags.map((tag) => this.#settleAt(tag, id, actuals)))
    if (answers.includes('queued')) return 'queued'
    this.#places.forget(id)
    return answers.includes('settled') ? 'settled' : (answers[0] ?? 'unknown')
  }

  async peek(charges: readonly Charge[]): Promise<readonly CounterState[] | StoreFault> {
    const states: CounterState[] = new Array(charges.length)
    for (const part of partsOf(charges, this.#link.isCluster)) {
      try {
        const answer = await this.#run(part.tag, this.#scripts.peek, [], part.charges, (into) =>
          this.#pack(into, part),
        )
        if (answer.kind === 'L') return 'lost'
        if (answer.kind !== 'P') throw wrong(answer.kind)
        place(states, part, answer)
      } catch (thrown) {
        return this.#noteFault(thrown)
      }
    }
    return states
  }

  async adjust(
    id: string,
    charge: Charge,
    change: { readonly back: number } | 'reset',
  ): Promise<CounterState | StoreFault> {
    const [part] = partsOf([charge], this.#link.isCluster) as [Part]
    try {
      const mark = this.#names.mark(part.tag, id)
      const answer = await this.#run(part.tag, this.#scripts.adjust, [mark], part.charges, (into) => {
        into.push(change === 'reset' ? change : change.back)
        this.#pack(into, part)
      })
      if (answer.kind === 'L') return 'lost'
      if (answer.kind !== 'P') throw wrong(answer.kind)
      return statesOf(answer, 1)[0] as CounterState
    } catch (thrown) {
      return this.#noteFault(thrown)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#heartbeats.stop()
    await this.#link[Symbol.asyncDispose]()
    await this.#onClose()
  }

  /**
   * One step where everything lies on one server. In a cluster one after the other: what was charged before one that
   * refuses, or fails, is cancelled, and until then holds its place.
   */
  async #charge(options: {
    readonly id: string
    readonly charges: readonly Charge[]
    readonly parts: readonly Part[]
    readonly script: Script
    readonly ttlMs: number
    /** 0 for what reserves. */
    readonly step: number
  }): Promise<ReserveAnswer> {
    const { id, charges, parts, step } = options
    const states: CounterState[] = new Array(charges.length)
    const done: string[] = []
    for (const part of parts) {
      const answer = await this.#chargePart({ ...options, part, states })
      if (answer === undefined) {
        done.push(part.tag)
        continue
      }
      if (step === 0) {
        this.#running.end(id, done)
        await Promise.all(
          done.map((tag) =>
            this.#settleAt(
              tag,
              id,
              charges.map(() => 0),
            ),
          ),
        )
      }
      if (answer.kind === 'failed') return answer
      return { kind: 'refused', states: await this.#rest(states, parts, charges) }
    }
    return { kind: 'granted', states }
  }

  /** `undefined` where it was charged. */
  async #chargePart(options: {
    readonly id: string
    readonly part: Part
    readonly script: Script
    readonly ttlMs: number
    readonly step: number
    readonly states: CounterState[]
  }): Promise<{ readonly kind: 'refused' } | Extract<ReserveAnswer, { kind: 'failed' }> | undefined> {
    const { id, part, script, ttlMs, step, states } = options
    try {
      const hold = this.#names.hold(part.tag, id)
      const answer = await this.#run(part.tag, script, [hold], part.charges, (into) => {
        into.push(id, ttlMs)
        if (step > 0) into.push(step)
        this.#pack(into, part)
      })
      if (answer.kind === 'L') return { kind: 'failed', fault: 'lost', index: answer.rest[0] ?? 0 }
      if (answer.kind !== 'G' && answer.kind !== 'R') throw wrong(answer.kind)
      place(states, part, answer)
      if (answer.kind === 'R') return { kind: 'refused' }
      this.#running.note(id, part, { ttlMs, step })
      return undefined
    } catch (thrown) {
      return { kind: 'failed', fault: this.#noteFault(thrown), index: part.indexes[0] ?? 0 }
    }
  }

  /** In a cluster: what those say that were not asked, or cancelled. */
  async #rest(
    states: readonly CounterState[],
    parts: readonly Part[],
    charges: readonly Charge[],
  ): Promise<readonly CounterState[]> {
    if (parts.length < 2) return states
    const now = await this.peek(charges)
    return charges.map((_, index) => {
      const said = states[index]
      if (said?.isOver || typeof now === 'string') return said ?? unasked
      return now[index] as CounterState
    })
  }

  async #settleAt(tag: string, id: string, actuals: readonly number[]): Promise<SettleAnswer> {
    try {
      const hold = this.#names.hold(tag, id)
      const answer = await this.#run(tag, this.#scripts.settle, [hold], [], (into) =>
        into.push(id, ...actuals),
      )
      switch (answer.kind) {
        case 'S':
          return 'settled'
        case 'A':
          return 'already'
        case 'U':
          return 'unknown'
        default:
          throw wrong(answer.kind)
      }
    } catch (thrown) {
      this.#noteFault(thrown)
      return 'queued'
    }
  }

  async #beat(tag: string): Promise<number> {
    const answer = await this.#run(tag, this.#scripts.heartbeat, [], [], () => {})
    if (this.#toRestore.has(tag)) await this.#restore(tag)
    return answer.rest[0] ?? 0
  }

  /** After a loss: what runs here is counted again. What fails is tried again by the next heartbeat. */
  async #restore(tag: string): Promise<void> {
    try {
      for (const { id, charges, indexes, leftMs } of this.#running.holds(tag))
        await this.#run(tag, this.#scripts.restore, [this.#names.hold(tag, id)], charges, (into) => {
          into.push(id, leftMs)
          this.#pack(into, { tag, charges, indexes })
        })
      this.#toRestore.delete(tag)
    } catch (thrown) {
      this.#noteFault(thrown)
    }
  }

  /** Runs a script, once more with the right spans where it says that it has another time than we thought. */
  async #run(
    tag: string,
    script: Script,
    keys: readonly string[],
    charges: readonly Charge[],
    push: (into: Argument[]) => void,
  ): Promise<ScriptAnswer> {
    const answer = await this.#runOnce(tag, script, keys, charges, push)
    return answer.kind === 'T' ? this.#runOnce(tag, script, keys, charges, push) : answer
  }

  async #runOnce(
    tag: string,
    script: Script,
    keys: readonly string[],
    charges: readonly Charge[],
    push: (into: Argument[]) => void,
  ): Promise<ScriptAnswer> {
    const record = this.#names.record(tag)
    const args: Argument[] = [script.sha, 1 + keys.length + charges.length, record, ...keys]
    for (const { key, rule } of charges) args.push(this.#names.counter(key, rule.kind))
    args.push(...this.#records.arguments(tag))
    push(args)
    this.#counts.calls++
    const answer = parseAnswer(await this.#evaluate(record, script, args))
    if (this.#records.learn(tag, answer)) {
      this.#toRestore.add(tag)
      void this.#restore(tag)
    }
    this.#aheadMs = answer.nowMs - this.#clock.nowMs()
    this.#wrongAnswer = undefined
    return answer
  }

  async #evaluate(key: string, script: Script, args: Argument[]): Promise<unknown> {
    try {
      return await this.#link.call(key, 'EVALSHA', args)
    } catch (thrown) {
      if (!(thrown instanceof RedisFault) || !thrown.message.startsWith('NOSCRIPT')) throw thrown
      args[0] = script.text
      return this.#link.call(key, 'EVAL', args)
    }
  }

  #pack(into: Argument[], { charges, indexes }: Part): void {
    const nowMs = this.#clock.nowMs() + this.#aheadMs
    for (let place = 0; place < charges.length; place++)
      packCharge(into, charges[place] as Charge, indexes[place] as number, nowMs)
  }

  #noteFault(thrown: unknown): StoreFault {
    if (!(thrown instanceof RedisFault)) throw thrown
    this.#wrongAnswer = thrown.kind === 'reply' ? problemOf(thrown) : undefined
    return 'unavailable'
  }
}

/** Of a counter that nobody could ask after another had refused. */
const unasked: CounterState = { isOver: false, remaining: 0, retryUs: 0, resetUs: 0 }

function place(states: CounterState[], { charges, indexes }: Part, answer: ScriptAnswer): void {
  statesOf(answer, charges.length).forEach((state, at) => {
    states[indexes[at] as number] = state
  })
}

function noCounts(): Record<StoreCount, number> {
  return {
    calls: 0,
    timeouts: 0,
    breaker_opened: 0,
    queued: 0,
    dropped: 0,
    memory_lost: 0,
    leased: 0,
    shared: 0,
    unchecked: 0,
  }
}

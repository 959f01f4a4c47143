import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from '#base/clock.ts'
import { noCounts } from '../store/counts.ts'
import { zeros } from '../store/split.ts'
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
import { type ScriptAnswer, statesOf } from './answer.ts'
import { connectRedis, type RedisLink, type RedisSettings } from './connect.ts'
import { RedisFault } from './fault.ts'
import { Heartbeats } from './heartbeats.ts'
import { type KeyNames, keyNames } from './keys.ts'
import { createScripts, type Scripts, type ScriptTime } from './lua/scripts.ts'
import { MemoryRecords } from './memory-record.ts'
import { everywhere, type Part, Places, partsOf } from './partitions.ts'
import { ReplicasKept } from './replicas-kept.ts'
import { Running } from './running.ts'
import { ScriptRunner } from './script-runner.ts'
import { openStateFile, type StateFile } from './state-file.ts'

export interface RedisStoreSettings extends RedisSettings {
  readonly keyPrefix?: string | undefined
  /** The name of this process among those that share the store; a random one if absent. */
  readonly replica?: string | undefined
  /** Where the process remembers over restarts which memory it has seen, and how many replicas. */
  readonly stateDir?: string | undefined
  /** How long what runs at a replica is counted after its last sign. */
  readonly slotLifeMs?: number | undefined
  /** How often it is looked whether the server keeps everything; only tests have another time than the usual. */
  readonly recheckMs?: number | undefined
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
  const { clock = systemClock } = settings
  const counts = noCounts()
  const file = await openStateFile(settings.stateDir, settings.warn)
  const records = new MemoryRecords({
    replica,
    lifeMs: slotLifeMs,
    clock,
    epochs: file.state.epochs,
    onLoss: () => counts.memory_lost++,
    onEpoch: () => file.save({ epochs: records.epochs() }),
  })
  const link = await connectRedis(settings, {
    keepsAll: true,
    recheckMs: settings.recheckMs,
    onTimeout: () => counts.timeouts++,
    warn: settings.warn,
  })
  return new RedisStore({ settings, link, records, counts, slotLifeMs, file })
}

interface Opened {
  readonly settings: RedisStoreSettings
  readonly link: RedisLink
  readonly records: MemoryRecords
  readonly counts: Record<StoreCount, number>
  readonly slotLifeMs: number
  readonly file: StateFile
}

class RedisStore implements QuotaStore {
  readonly health: StoreHealth
  readonly #link: RedisLink
  readonly #names: KeyNames
  readonly #scripts: Scripts
  readonly #runner: ScriptRunner
  readonly #places: Places
  readonly #running: Running
  readonly #heartbeats: Heartbeats
  readonly #file: StateFile
  /** Memories that have lost what runs here. */
  readonly #toRestore = new Set<string>()

  constructor({ settings, link, records, counts, slotLifeMs, file }: Opened) {
    const { keyPrefix = defaultKeyPrefix, clock = systemClock } = settings
    this.#link = link
    this.#names = keyNames(keyPrefix)
    this.#scripts = createScripts(settings.time)
    const onLoss = (tag: string) => {
      this.#toRestore.add(tag)
      void this.#restore(tag)
    }
    const { library } = this.#scripts
    this.#runner = new ScriptRunner({ link, library, names: this.#names, records, clock, counts, onLoss })
    this.#places = new Places({ isCluster: link.isCluster, clock })
    this.#running = new Running(clock)
    this.#file = file
    const { replicas: before } = file.state
    const replicasKept = new ReplicasKept(before)
    this.#heartbeats = new Heartbeats({
      everyMs: slotLifeMs / 3,
      // In one place also while nothing runs: there it is counted who is there.
      tags: () => (link.isCluster ? [everywhere, ...this.#running.tags()] : [everywhere]),
      beat: (tag) => this.#beat(tag),
      before,
      onRound: (seen) => {
        const replicas = replicasKept.note(seen, clock.monotonicUs())
        if (replicas !== undefined) file.save({ replicas })
      },
    })
    this.health = {
      kind: 'redis',
      problem: () => this.#runner.problem(),
      lostAtMs: () => records.lostAtMs(),
      replicas: () => this.#heartbeats.replicas(),
      counts,
    }
  }

  async reserve(id: string, charges: readonly Charge[], ttlMs: number): Promise<ReserveAnswer> {
    return this.#charge({ id, charges, ttlMs, step: 0 })
  }

  async topUp(id: string, step: number, charges: readonly Charge[], ttlMs: number): Promise<ReserveAnswer> {
    return this.#charge({ id, charges, ttlMs, step })
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
        const answer = await this.#runner.run({ ...part, script: this.#scripts.peek, wanted: 'PL' })
        if (answer.kind === 'L') return 'lost'
        place(states, part, answer)
      } catch (thrown) {
        return faultOf(thrown)
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
      const answer = await this.#runner.run({
        ...part,
        script: this.#scripts.adjust,
        wanted: 'PL',
        keys: [this.#names.mark(part.tag, id)],
        before: [change === 'reset' ? change : change.back],
      })
      if (answer.kind === 'L') return 'lost'
      return statesOf(answer)[0] as CounterState
    } catch (thrown) {
      return faultOf(thrown)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#heartbeats.stop()
    await this.#link[Symbol.asyncDispose]()
    await this.#file.close()
  }

  /**
   * One step where everything lies on one server. In a cluster one after the other: what was charged before one that
   * refuses, or fails, is cancelled, and until then holds its place.
   */
  async #charge(call: ChargingCall): Promise<ReserveAnswer> {
    const { id, charges, ttlMs, step } = call
    const parts = partsOf(charges, this.#link.isCluster)
    // What is over at once cannot be cancelled.
    if (ttlMs === 0 && parts.length > 1) return this.#chargeAndEnd(call)
    if (ttlMs > 0) this.#places.remember(id, parts, ttlMs)
    const states: CounterState[] = new Array(charges.length)
    const done: string[] = []
    for (const part of parts) {
      const no = await this.#chargePart(call, part, states)
      if (no === undefined) {
        done.push(part.tag)
        continue
      }
      if (step === 0) await this.#cancel(done, call)
      if (no !== 'refused') return no
      return { kind: 'refused', states: await this.#rest(states, parts, charges) }
    }
    return { kind: 'granted', states }
  }

  async #chargeAndEnd(call: ChargingCall): Promise<ReserveAnswer> {
    const { id, charges } = call
    const answer = await this.#charge({ ...call, ttlMs: endingMs })
    if (answer.kind === 'granted')
      void this.settle(
        id,
        charges.map(({ cost }) => cost),
      )
    return answer
  }

  /** `undefined` where it was charged; then, and where it was refused, its states are in their places. */
  async #chargePart(
    { id, ttlMs, step }: ChargingCall,
    part: Part,
    states: CounterState[],
  ): Promise<'refused' | Extract<ReserveAnswer, { kind: 'failed' }> | undefined> {
    try {
      const answer = await this.#runner.run({
        ...part,
        script: step === 0 ? this.#scripts.reserve : this.#scripts.topUp,
        wanted: 'GRL',
        keys: [this.#names.hold(part.tag, id)],
        before: step === 0 ? [id, ttlMs] : [id, ttlMs, step],
      })
      if (answer.kind === 'L') return { kind: 'failed', fault: 'lost', index: answer.rest[0] ?? 0 }
      place(states, part, answer)
      if (answer.kind === 'R') return 'refused'
      if (ttlMs > 0) this.#running.note(id, part, { ttlMs, step })
      return undefined
    } catch (thrown) {
      return { kind: 'failed', fault: faultOf(thrown), index: part.indexes[0] ?? 0 }
    }
  }

  async #cancel(tags: readonly string[], { id, charges }: ChargingCall): Promise<void> {
    const nothing = zeros(charges)
    this.#running.end(id, tags)
    await Promise.all(tags.map((tag) => this.#settleAt(tag, id, nothing)))
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
      const { kind } = await this.#runner.run({
        tag,
        script: this.#scripts.settle,
        wanted: 'SAU',
        keys: [this.#names.hold(tag, id)],
        before: [id, ...actuals],
      })
      if (kind === 'S') return 'settled'
      if (kind === 'A') return 'already'
      return 'unknown'
    } catch (thrown) {
      faultOf(thrown)
      return 'queued'
    }
  }

  async #beat(tag: string): Promise<number> {
    const answer = await this.#runner.run({ tag, script: this.#scripts.heartbeat, wanted: 'H' })
    if (this.#toRestore.has(tag)) await this.#restore(tag)
    return answer.rest[0] ?? 0
  }

  /** After a loss: what runs here is counted again. What fails is tried again by the next heartbeat. */
  async #restore(tag: string): Promise<void> {
    try {
      for (const { id, charges, indexes, leftMs } of this.#running.holds(tag)) {
        // Settled while others were counted: the store did not know it, and would keep it now.
        if (!this.#running.has(id, tag)) continue
        await this.#runner.run({
          tag,
          script: this.#scripts.restore,
          wanted: 'SA',
          keys: [this.#names.hold(tag, id)],
          before: [id, leftMs],
          charges,
          indexes,
        })
      }
      this.#toRestore.delete(tag)
    } catch (thrown) {
      faultOf(thrown)
    }
  }
}

interface ChargingCall {
  readonly id: string
  readonly charges: readonly Charge[]
  readonly ttlMs: number
  /** 0 for what reserves. */
  readonly step: number
}

/** What a store says of trouble with Redis; any other is a bug, and thrown on. */
function faultOf(thrown: unknown): StoreFault {
  if (!(thrown instanceof RedisFault)) throw thrown
  return thrown.kind === 'busy' ? 'busy' : 'unavailable'
}

/** How long a call on several servers, which is over at once, may take until the last of them has said so. */
const endingMs = 10_000

/** Of a counter that nobody could ask after another had refused. */
const unasked: CounterState = { isOver: false, remaining: 0, retryUs: 0, resetUs: 0 }

function place(states: CounterState[], { indexes }: Part, answer: ScriptAnswer): void {
  statesOf(answer).forEach((state, at) => {
    states[indexes[at] as number] = state
  })
}

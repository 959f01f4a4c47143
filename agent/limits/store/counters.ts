import { CalendarCounter } from './calendar-counter.ts'
import { ConcurrencyCounter } from './concurrency-counter.ts'
import type { Counter, Instant } from './counter.ts'
import { GcraCounter } from './gcra-counter.ts'
import { NoRoom } from './no-room.ts'
import { SlidingCounter } from './sliding-counter.ts'
import type { Charge, CounterKey, CounterRule } from './store.ts'

/** How many counters are looked at for each that is new, so that idle ones go as fast as others come. */
const sweptPerNew = 4
/** Up to this part of the room idle counters stay: most come back soon. */
const unsweptShare = 0.05

/**
 * All counters, in bounded memory: keys hold what clients write. A counter is forgotten only when it says the same as a new
 * one. When none can be, keys that are new share one counter a limit, or are refused where the limit is not told.
 */
export class Counters {
  /**
   * By kind, partition and id: a limit that is edited to another kind counts elsewhere, for calls that began before the edit
   * are topped up and settled beside those that came after it.
   */
  readonly #partitions: Readonly<Record<CounterRule['kind'], Map<string, Map<string, Counter>>>> = {
    gcra: new Map(),
    sliding: new Map(),
    calendar: new Map(),
    concurrency: new Map(),
  }
  readonly #kept: Counter[] = []
  readonly #shared = new Map<string, Counter>()
  readonly #max: number
  #hand = 0

  constructor(max: number) {
    this.#max = max
  }

  /** How many are kept. */
  get size(): number {
    return this.#kept.length + this.#shared.size
  }

  /** The counter of a charge; one that is not kept, and says what a new one says, where there is none. */
  find({ key, rule }: Charge, now: Instant): Counter {
    const known = this.#partitions[rule.kind].get(key.partition)?.get(key.id)
    if (known !== undefined) return known
    if (this.#shared.size > 0 && key.family !== undefined) {
      // While anything is on the shared one, a counter of its own would let a key start afresh.
      const shared = this.#shared.get(familyOf(key, key.family, rule))
      if (shared !== undefined && !shared.isIdle(now)) return shared
    }
    if (this.#kept.length >= this.#max) {
      this.#sweep(now)
      if (this.#kept.length >= this.#max)
        return key.family === undefined ? new NoRoom(rule.kind) : this.#sharedFor(key, key.family, rule)
    }
    return newCounter(rule)
  }

  /** Keeps a counter that {@link find} made. */
  keep(counter: Counter, key: CounterKey, now: Instant): void {
    if (counter.place >= 0) return
    const partitions = this.#partitions[counter.kind]
    let partition = partitions.get(key.partition)
    if (partition === undefined) {
      partition = new Map()
      partitions.set(key.partition, partition)
    }
    const before = partition.get(key.id)
    if (before !== undefined) this.#forget(before)
    partition.set(key.id, counter)
    counter.key = key
    counter.place = this.#kept.length
    this.#kept.push(counter)
    if (this.#kept.length > this.#max * unsweptShare) this.#sweep(now)
  }

  /** Forgets a counter, whatever is on it. */
  reset(counter: Counter, charge: Charge): void {
    if (counter.place < 0) return
    if (counter.key !== undefined) this.#drop(counter)
    else this.#shared.delete(familyOf(charge.key, charge.key.family ?? '', charge.rule))
    counter.place = -1
    counter.isReset = true
  }

  #sharedFor(key: CounterKey, family: string, rule: CounterRule): Counter {
    const name = familyOf(key, family, rule)
    const known = this.#shared.get(name)
    if (known !== undefined) return known
    const counter = newCounter(rule)
    counter.place = 0
    this.#shared.set(name, counter)
    return counter
  }

  /** Goes on from where it stopped, so that each is looked at in turn and no call takes long. */
  #sweep(now: Instant): void {
    for (let looked = 0; looked < sweptPerNew && this.#kept.length > 0; looked++) {
      this.#hand = this.#hand < this.#kept.length ? this.#hand : 0
      const counter = this.#kept[this.#hand] as Counter
      if (counter.isIdle(now)) this.#drop(counter)
      else this.#hand++
    }
  }

  #drop(counter: Counter): void {
    const { partition, id } = counter.key as CounterKey
    const partitions = this.#partitions[counter.kind]
    const counters = partitions.get(partition) as Map<string, Counter>
    counters.delete(id)
    if (counters.size === 0) partitions.delete(partition)
    this.#forget(counter)
  }

  #forget(counter: Counter): void {
    const last = this.#kept.pop() as Counter
    if (last !== counter) {
      this.#kept[counter.place] = last
      last.place = counter.place
    }
    counter.place = -1
  }
}

function newCounter(rule: CounterRule): Counter {
  switch (rule.kind) {
    case 'gcra':
      return new GcraCounter()
    case 'sliding':
      return new SlidingCounter()
    case 'calendar':
      return new CalendarCounter()
    case 'concurrency':
      return new ConcurrencyCounter()
    default:
      return rule satisfies never
  }
}

/** What shares a counter when there is no room. */
function familyOf({ partition }: CounterKey, family: string, { kind }: CounterRule): string {
  return `${partition.length}:${partition}${kind}:${family}`
}

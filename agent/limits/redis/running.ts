import type { Clock } from '#base/clock.ts'
import type { Charge } from '../store/store.ts'
import type { Part } from './partitions.ts'

/** What one hold of this process has running in one memory. */
export interface RunningHold {
  readonly id: string
  /** The concurrency charges, with all that was granted of each, and their places in the call. */
  readonly charges: readonly Charge[]
  readonly indexes: readonly number[]
  readonly leftMs: number
}

interface Entry {
  readonly charges: Charge[]
  readonly indexes: readonly number[]
  endsAtUs: number
  step: number
}

/**
 * What this process has running, by the memory that counts it. Everything else that is lost with a memory is gone; calls go on,
 * and are counted anew from here.
 */
export class Running {
  readonly #clock: Clock
  readonly #tags = new Map<string, Map<string, Entry>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * A part of a call was granted.
   *
   * @param step 0 for what reserved, or the step that topped up: what comes again changes nothing
   */
  note(
    id: string,
    { tag, charges, indexes }: Part,
    grant: { readonly ttlMs: number; readonly step: number },
  ): void {
    const { ttlMs, step } = grant
    const places = charges.flatMap(({ rule }, place) => (rule.kind === 'concurrency' ? [place] : []))
    if (places.length === 0) return
    const endsAtUs = this.#clock.monotonicUs() + ttlMs * 1000
    let holds = this.#tags.get(tag)
    if (holds === undefined) {
      holds = new Map()
      this.#tags.set(tag, holds)
    }
    const known = holds.get(id)
    if (known === undefined)
      holds.set(id, {
        charges: places.map((place) => charges[place] as Charge),
        indexes: places.map((place) => indexes[place] as number),
        endsAtUs,
        step,
      })
    else if (step > known.step) {
      known.endsAtUs = endsAtUs
      known.step = step
      places.forEach((place, at) => {
        const before = known.charges[at] as Charge
        known.charges[at] = { ...before, cost: before.cost + (charges[place] as Charge).cost }
      })
    }
  }

  end(id: string, tags: readonly string[]): void {
    for (const tag of tags) {
      const holds = this.#tags.get(tag)
      if (holds?.delete(id) && holds.size === 0) this.#tags.delete(tag)
    }
  }

  has(id: string, tag: string): boolean {
    return this.#tags.get(tag)?.has(id) ?? false
  }

  /** Where something runs. */
  tags(): readonly string[] {
    for (const tag of [...this.#tags.keys()]) this.holds(tag)
    return [...this.#tags.keys()]
  }

  holds(tag: string): readonly RunningHold[] {
    const holds = this.#tags.get(tag)
    if (holds === undefined) return []
    const nowUs = this.#clock.monotonicUs()
    const alive: RunningHold[] = []
    for (const [id, { charges, indexes, endsAtUs }] of holds)
      if (endsAtUs <= nowUs) holds.delete(id)
      else alive.push({ id, charges, indexes, leftMs: Math.ceil((endsAtUs - nowUs) / 1000) })
    if (holds.size === 0) this.#tags.delete(tag)
    return alive
  }
}

import { randomUUID } from 'node:crypto'
import type { Clock } from '#base/clock.ts'
import type { Charge } from '../store/store.ts'
import { memoryUs } from './part-of-rule.ts'
import { nameOf } from './share.ts'

/** What was taken from one counter while the store was away. */
interface Owed {
  readonly charge: Charge
  units: number
  /** When the last of it was taken. */
  atUs: number
  /** Afterwards it does not matter any more; for calendars alone. */
  readonly endMs: number
}

/** A hold that is still to be made at the store. */
interface Waiting {
  readonly charges: readonly Charge[]
  readonly ttlMs: number
  /** When it was taken. */
  readonly atMs: number
  /** What it is settled at once it is made; absent while the call runs. */
  actuals?: readonly number[]
}

export interface DebtsOptions {
  readonly clock: Clock
  /** Makes a hold that is not refused; false where the store cannot be asked. */
  readonly reserve: (id: string, charges: readonly Charge[], ttlMs: number) => Promise<boolean>
  readonly settle: (id: string, actuals: readonly number[]) => void
  readonly maxEntries: number
  readonly onDrop: () => void
}

/** How long the store keeps the hold of a debt if it is not settled at once. */
const debtTtlMs = 3_600_000

/**
 * What the store does not know yet: units that were granted here while it was away. Those of calls that are over are added
 * up by counter; a call that still runs when the store is back gets a hold there.
 */
export class Debts {
  readonly #options: DebtsOptions
  readonly #owed = new Map<string, Owed>()
  readonly #waiting = new Map<string, Waiting>()
  readonly #name = randomUUID()
  #made = 0
  #isRunning = false

  constructor(options: DebtsOptions) {
    this.#options = options
  }

  get isEmpty(): boolean {
    return this.#owed.size === 0 && this.#waiting.size === 0
  }

  /** Adds units that a call took which is over. */
  owe(charge: Charge, units: number): void {
    // What ran then does not run any more.
    if (units === 0 || charge.rule.kind === 'concurrency') return
    const { clock, maxEntries, onDrop } = this.#options
    const name = nameOf(charge.key)
    const known = this.#owed.get(name)
    const nowMs = clock.nowMs()
    if (known !== undefined && nowMs < known.endMs) {
      known.units += units
      known.atUs = clock.monotonicUs()
      return
    }
    if (this.#owed.size >= maxEntries) return onDrop()
    const { rule } = charge
    const endMs = rule.kind === 'calendar' ? rule.calendar.spanAt(nowMs).endMs : Number.POSITIVE_INFINITY
    this.#owed.set(name, { charge, units, atUs: clock.monotonicUs(), endMs })
  }

  /** Makes a hold at the store for a call that runs since `atMs`. @returns its id there */
  carry(charges: readonly Charge[], call: { readonly ttlMs: number; readonly atMs: number }): string {
    const id = this.#newId()
    this.#waiting.set(id, { charges: charges.map(asDebt), ttlMs: call.ttlMs, atMs: call.atMs })
    return id
  }

  /** Settles a hold that the store has not made yet. @returns false where it has */
  settle(id: string, actuals: readonly number[]): boolean {
    const waiting = this.#waiting.get(id)
    if (waiting !== undefined) waiting.actuals = actuals
    return waiting !== undefined
  }

  /** Tells the store, one after the other, as long as it answers. */
  async deliver(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    this.#prepare()
    for (const [id, waiting] of this.#waiting) {
      const nowMs = this.#options.clock.nowMs()
      const isPast = waiting.charges.map((charge) => !isOfThisSpan(charge, waiting.atMs, nowMs))
      const charges = waiting.charges.map((charge, index) => ({
        ...charge,
        cost: isPast[index] ? 0 : (waiting.actuals?.[index] ?? charge.cost),
      }))
      if (!(await this.#options.reserve(id, charges, waiting.ttlMs))) break
      this.#waiting.delete(id)
      const { actuals } = waiting
      if (actuals !== undefined)
        this.#options.settle(
          id,
          actuals.map((actual, index) => (isPast[index] ? 0 : actual)),
        )
    }
    this.#isRunning = false
  }

  /** Gives up what is left. */
  drop(): void {
    for (let left = this.#owed.size + this.#waiting.size; left > 0; left--) this.#options.onDrop()
    this.#owed.clear()
    this.#waiting.clear()
  }

  /** What is added up so far becomes a debt with an id, which stays the same however often it is told. */
  #prepare(): void {
    const nowUs = this.#options.clock.monotonicUs()
    const nowMs = this.#options.clock.nowMs()
    for (const owed of this.#owed.values()) {
      const { charge, units, atUs, endMs } = owed
      const isPast =
        nowMs >= endMs || (charge.rule.kind !== 'calendar' && nowUs - atUs > memoryUs(charge.rule))
      if (isPast) continue
      const waiting = { charges: [asDebt(charge)], ttlMs: debtTtlMs, atMs: nowMs, actuals: [units] }
      this.#waiting.set(this.#newId(), waiting)
    }
    this.#owed.clear()
  }

  #newId(): string {
    return `${this.#name}-${this.#made++}d`
  }
}

/** Counted, whatever the limit says and whatever the store remembers. */
function asDebt(charge: Charge): Charge {
  return { ...charge, isEnforced: false, onStoreFailure: 'allow' }
}

/** What was taken in a span that is over is not charged to the next one. */
function isOfThisSpan({ rule }: Charge, atMs: number, nowMs: number): boolean {
  return rule.kind !== 'calendar' || nowMs < rule.calendar.spanAt(atMs).endMs
}

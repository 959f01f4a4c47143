import type { Charge, QuotaStore, ReserveAnswer } from '../../../agent/limits/store/store.ts'
import { type Admitted, admittedUnits } from './history.ts'
import { type Actual, chargesOf, type Limit, type Sequence, type Step } from './sequences.ts'

/** Whatever answers as a store does. */
export type Asked = Pick<QuotaStore, 'reserve' | 'topUp' | 'settle' | 'adjust'>

interface Hold {
  readonly id: string
  readonly charges: readonly Charge[]
  /** By charge: what was granted, and when. */
  readonly granted: { readonly atUs: number; readonly units: number }[][]
  expiresUs: number
  step: number
  /** When it was settled, and at what. */
  settled?: { readonly atUs: number; readonly actuals: readonly number[] }
}

/** A sequence on its way: turns its steps into calls, and keeps what was granted. */
export class Run {
  readonly limits: readonly Limit[]
  readonly #partition: string
  readonly #timeUs: () => number
  readonly #holds: Hold[] = []
  #count = 0

  /** @param partition in which no other run has counters */
  constructor({ limits }: Sequence, partition: string, timeUs: () => number) {
    this.limits = limits
    this.#partition = partition
    this.#timeUs = timeUs
  }

  /** All counters, as a call sees them that costs this much of each. */
  charges(cost: number): readonly Charge[] {
    return chargesOf(
      this.limits,
      this.#partition,
      this.limits.map(() => cost),
    )
  }

  /** The call that a step is; it can be made again. `undefined` where there is nothing to call. */
  callOf(step: Step): ((store: Asked) => unknown) | undefined {
    switch (step.do) {
      case 'reserve': {
        const id = this.#newId()
        const charges = chargesOf(this.limits, this.#partition, step.costs)
        return (store) => store.reserve(id, charges, step.ttlMs)
      }
      case 'topUp': {
        const hold = this.#holdOf(step.hold)
        if (hold === undefined) return undefined
        const charges = chargesOf(this.limits, this.#partition, step.costs)
        const next = hold.step + 1
        return (store) => store.topUp(hold.id, next, charges, step.ttlMs)
      }
      case 'settle': {
        const hold = this.#holdOf(step.hold)
        if (hold === undefined) return undefined
        const actuals = actualsOf(hold, step.actuals)
        return (store) => store.settle(hold.id, actuals)
      }
      case 'adjust': {
        const id = this.#newId()
        const charge = this.charges(1)[step.limit % this.limits.length] as Charge
        return (store) => store.adjust(id, charge, step.change)
      }
      case 'wait':
        return undefined
      default:
        return step satisfies never
    }
  }

  /** Keeps what a store answered to the call of a step. */
  note(step: Step, answer: unknown): void {
    const atUs = this.#timeUs()
    if (answer === undefined) return
    if (step.do === 'reserve' && (answer as ReserveAnswer).kind === 'granted') {
      const charges = chargesOf(this.limits, this.#partition, step.costs)
      const granted = charges.map(({ cost }) => [{ atUs, units: cost }])
      const id = `${this.#partition}-${this.#count}`
      this.#holds.push({ id, charges, granted, expiresUs: atUs + step.ttlMs * 1000, step: 0 })
    }
    if (step.do === 'topUp' && (answer as ReserveAnswer).kind === 'granted') {
      const hold = this.#holdOf(step.hold) as Hold
      hold.granted.forEach((parts, index) => {
        parts.push({ atUs, units: step.costs[index] as number })
      })
      hold.step++
      hold.expiresUs = atUs + step.ttlMs * 1000
    }
    if (step.do === 'settle' && answer === 'settled') {
      const hold = this.#holdOf(step.hold) as Hold
      hold.settled = { atUs, actuals: actualsOf(hold, step.actuals) }
    }
  }

  /** What a limit let through, in the order of time: what was settled at its actual, all else at what was reserved. */
  admitted(limit: number): readonly Admitted[] {
    return this.#holds
      .flatMap(({ granted, settled, expiresUs }) => {
        const parts = granted[limit] ?? []
        const reserved = parts.reduce((sum, { units }) => sum + units, 0)
        const isConcurrency = this.limits[limit]?.rule.kind === 'concurrency'
        const actual = isConcurrency ? reserved : (settled?.actuals[limit] ?? reserved)
        const endUs = settled?.atUs ?? expiresUs
        return admittedUnits(parts, actual).map((part) => ({ ...part, endUs }))
      })
      .sort((one, other) => one.atUs - other.atUs)
  }

  #newId(): string {
    return `${this.#partition}-${++this.#count}`
  }

  #holdOf(any: number): Hold | undefined {
    const open = this.#holds.filter(({ settled }) => settled === undefined)
    const holds = any % 2 === 1 ? open : this.#holds
    return holds[any % Math.max(1, holds.length)]
  }
}

function actualsOf(hold: Hold, actuals: readonly Actual[]): readonly number[] {
  return hold.granted.map((parts, index) => {
    const reserved = parts.reduce((sum, { units }) => sum + units, 0)
    const actual = actuals[index] as Actual
    return 'over' in actual ? reserved + actual.over : Math.floor((reserved * actual.percent) / 100)
  })
}

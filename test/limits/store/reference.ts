import type {
  Charge,
  CounterRule,
  CounterState,
  ReserveAnswer,
  SettleAnswer,
} from '../../../agent/limits/store/store.ts'

/** What was taken from a counter or came back to it, in the weight of its kind. */
interface Entry {
  readonly atUs: bigint
  readonly amount: bigint
}

/** One reservation on one counter. */
interface Taken {
  readonly atUs: bigint
  readonly units: bigint
  /** Whether its counter was reset since. */
  isVoid: boolean
}

interface Held {
  readonly charges: readonly Charge[]
  readonly taken: Taken[][]
  expiresUs: bigint
  answer?: ReserveAnswer
  step: number
  stepAnswer?: ReserveAnswer
}

const secondUs = 1_000_000
const least = (one: bigint, other: bigint) => (one < other ? one : other)
const most = (one: bigint, other: bigint) => (one > other ? one : other)
const ceiling = (dividend: bigint, divisor: bigint) => (dividend + divisor - 1n) / divisor

/**
 * What a store must answer, as plainly as it can be said: a log of everything that ever happened, read from its start at
 * each question, in numbers without end. Rates have ticks of a microsecond; limits are not edited.
 */
export class Reference {
  readonly #timeUs: () => number
  readonly #logs = new Map<string, Entry[]>()
  readonly #holds = new Map<string, Held>()
  readonly #over = new Set<string>()
  readonly #adjusted = new Set<string>()

  /** @param timeUs whole microseconds since the epoch; only goes forward */
  constructor(timeUs: () => number) {
    this.#timeUs = timeUs
  }

  reserve(id: string, charges: readonly Charge[], ttlMs: number): ReserveAnswer {
    const isFinal = ttlMs === 0
    const held = isFinal ? undefined : this.#alive(id)
    if (held?.answer !== undefined) return held.answer
    if ((this.#over.has(id) && !isFinal) || !this.#isGrantable(charges))
      return { kind: 'refused', states: this.peek(charges) }
    const before = this.peek(charges)
    const taken = charges.map((charge) => [this.#take(charge)])
    if (isFinal) return this.#granted(charges, before)
    const expiresUs = this.#nowUs + BigInt(ttlMs) * 1000n
    const hold: Held = { charges, taken, expiresUs, step: 0 }
    this.#holds.set(id, hold)
    // Only now: what runs is read from the holds.
    hold.answer = this.#granted(charges, before)
    return hold.answer
  }

  topUp(id: string, step: number, charges: readonly Charge[], ttlMs: number): ReserveAnswer {
    const held = this.#alive(id)
    if (held === undefined) return { kind: 'refused', states: this.peek(charges) }
    if (step <= held.step) return held.stepAnswer as ReserveAnswer
    const before = this.peek(charges).map((state, index) =>
      charges[index]?.cost === 0 ? { ...state, isOver: false, retryUs: 0 } : state,
    )
    if (charges.some(({ isEnforced }, index) => isEnforced && before[index]?.isOver))
      return { kind: 'refused', states: before }
    charges.forEach((charge, index) => {
      held.taken[index]?.push(this.#take(charge))
    })
    held.step = step
    held.expiresUs = this.#nowUs + BigInt(ttlMs) * 1000n
    held.stepAnswer = this.#granted(charges, before)
    return held.stepAnswer
  }

  settle(id: string, actuals: readonly number[]): SettleAnswer {
    if (this.#over.has(id)) return 'already'
    const held = this.#alive(id)
    if (held === undefined) {
      if (actuals.every((actual) => actual === 0)) this.#over.add(id)
      return 'unknown'
    }
    this.#holds.delete(id)
    this.#over.add(id)
    held.charges.forEach((charge, index) => {
      const taken = held.taken[index] as Taken[]
      const reserved = taken.reduce((sum, { units }) => sum + units, 0n)
      const more = BigInt(actuals[index] as number) - reserved
      if (more > 0n) this.#owe(charge, more)
      else
        this.#giveBack(
          charge,
          taken.filter(({ isVoid }) => !isVoid),
          -more,
        )
    })
    return 'settled'
  }

  peek(charges: readonly Charge[]): readonly CounterState[] {
    return charges.map((charge) => this.#stateOf(charge))
  }

  adjust(id: string, charge: Charge, change: { readonly back: number } | 'reset'): CounterState {
    if (!this.#adjusted.has(id) && charge.rule.kind !== 'concurrency') {
      this.#adjusted.add(id)
      if (change === 'reset') {
        this.#logs.delete(nameOf(charge))
        for (const held of this.#holds.values())
          held.charges.forEach((each, index) => {
            if (nameOf(each) !== nameOf(charge)) return
            for (const taken of held.taken[index] ?? []) taken.isVoid = true
          })
      } else this.#adjust(charge, BigInt(change.back))
    }
    return this.#stateOf(charge)
  }

  get #nowUs(): bigint {
    return BigInt(this.#timeUs())
  }

  #alive(id: string): Held | undefined {
    const held = this.#holds.get(id)
    return held !== undefined && this.#nowUs < held.expiresUs ? held : undefined
  }

  #isGrantable(charges: readonly Charge[]): boolean {
    return charges.every((charge) => !charge.isEnforced || !this.#stateOf(charge).isOver)
  }

  #granted(charges: readonly Charge[], before: readonly CounterState[]): ReserveAnswer {
    const states = this.peek(charges).map(({ remaining, resetUs }, index) => ({
      isOver: before[index]?.isOver as boolean,
      remaining,
      retryUs: before[index]?.retryUs as number,
      resetUs,
    }))
    return { kind: 'granted', states }
  }

  #log(charge: Charge): Entry[] {
    const log = this.#logs.get(nameOf(charge)) ?? []
    this.#logs.set(nameOf(charge), log)
    return log
  }

  #take(charge: Charge): Taken {
    const units = BigInt(charge.cost)
    if (units > 0n) this.#write(charge, this.#nowUs, units * weightOf(charge.rule))
    return { atUs: this.#nowUs, units, isVoid: false }
  }

  #write(charge: Charge, atUs: bigint, amount: bigint): void {
    if (amount !== 0n) this.#log(charge).push({ atUs, amount })
  }

  /** What counts of all that was written, in the weight of the kind. */
  #used(charge: Charge): bigint {
    const { rule } = charge
    const nowUs = this.#nowUs
    const entries = this.#log(charge)
    switch (rule.kind) {
      case 'gcra':
        return drained(entries, nowUs, BigInt(rule.rate.drain))
      case 'sliding': {
        const oldest = sliceAt(rule, nowUs) - BigInt(rule.sliceCount)
        return sum(entries.filter(({ atUs }) => sliceAt(rule, atUs) >= oldest))
      }
      case 'calendar': {
        const { startMs } = rule.calendar.spanAt(Number(nowUs / 1000n))
        return sum(entries.filter(({ atUs }) => atUs >= BigInt(startMs) * 1000n))
      }
      case 'concurrency': {
        const alive = [...this.#holds.values()].filter(({ expiresUs }) => nowUs < expiresUs)
        return alive.reduce((running, { charges, taken }) => {
          const index = charges.findIndex((each) => nameOf(each) === nameOf(charge))
          return running + (taken[index] ?? []).reduce((units, each) => units + each.units, 0n)
        }, 0n)
      }
      default:
        return rule satisfies never
    }
  }

  #stateOf(charge: Charge): CounterState {
    const { rule } = charge
    const nowUs = this.#nowUs
    const used = this.#used(charge)
    const [weight, room] = [weightOf(rule), roomOf(rule)]
    const need = most(BigInt(charge.cost), 1n) * weight
    const excess = used + need - room
    const remaining = Number(most(0n, (room - used) / weight))
    const isOver = excess > 0n
    if (rule.kind === 'gcra') {
      const drain = BigInt(rule.rate.drain)
      const retryUs = need > room ? Number.POSITIVE_INFINITY : Number(most(0n, ceiling(excess, drain)))
      return { isOver, remaining, retryUs: isOver ? retryUs : 0, resetUs: Number(ceiling(used, drain)) }
    }
    if (rule.kind === 'concurrency')
      return { isOver, remaining, retryUs: isOver ? (need > room ? Infinity : secondUs) : 0, resetUs: 0 }
    if (rule.kind === 'calendar') {
      const { endMs } = rule.calendar.spanAt(Number(nowUs / 1000n))
      const leftUs = (endMs - Number(nowUs / 1000n)) * 1000
      const retryUs = isOver ? (need > room ? Infinity : leftUs) : 0
      return { isOver, remaining, retryUs, resetUs: used === 0n ? 0 : leftUs }
    }
    const usedFrom = (slice: bigint) =>
      sum(this.#log(charge).filter(({ atUs }) => sliceAt(rule, atUs) >= slice))
    /** When a slice is the oldest that counts. */
    const untilUs = (slice: bigint) =>
      Number((slice + BigInt(rule.sliceCount)) * BigInt(rule.sliceUs) - nowUs)
    const present = sliceAt(rule, nowUs)
    const oldest = present - BigInt(rule.sliceCount)
    const coming = Array.from({ length: rule.sliceCount + 2 }, (_, ahead) => oldest + BigInt(ahead))
    const passes = coming.find((slice) => usedFrom(slice) + need <= room) ?? present
    const empty = coming.find((slice) => usedFrom(slice) === 0n) ?? present
    return {
      isOver,
      remaining,
      retryUs: isOver ? (need > room ? Infinity : untilUs(passes)) : 0,
      resetUs: used === 0n ? 0 : untilUs(empty),
    }
  }

  #giveBack(charge: Charge, taken: readonly Taken[], units: bigint): void {
    const { rule } = charge
    const nowUs = this.#nowUs
    if (rule.kind === 'gcra') {
      const weight = weightOf(rule)
      const own = taken.map((each) => ({ atUs: each.atUs, amount: each.units * weight }))
      const left = drained(own, nowUs, BigInt(rule.rate.drain))
      this.#write(charge, nowUs, -least(units * weight, left))
      return
    }
    if (rule.kind === 'concurrency') return
    let back = units
    for (const each of taken.toReversed()) {
      const fits = least(back, each.units)
      // Written when it was taken: it stops to count when that does.
      if (this.#stillCounts(rule, each.atUs)) back -= least(fits, this.#takeOut(charge, each.atUs, fits))
    }
  }

  #stillCounts(rule: CounterRule, atUs: bigint): boolean {
    if (rule.kind === 'sliding')
      return sliceAt(rule, atUs) >= sliceAt(rule, this.#nowUs) - BigInt(rule.sliceCount)
    if (rule.kind === 'calendar')
      return atUs >= BigInt(rule.calendar.spanAt(Number(this.#nowUs / 1000n)).startMs) * 1000n
    return true
  }

  /** Takes units from what was used in a slice or span, down to nothing. */
  #takeOut(charge: Charge, atUs: bigint, units: bigint): bigint {
    const { rule } = charge
    const isThere = (entry: Entry) =>
      rule.kind !== 'sliding' || sliceAt(rule, entry.atUs) === sliceAt(rule, atUs)
    const used = rule.kind === 'sliding' ? sum(this.#log(charge).filter(isThere)) : this.#used(charge)
    const out = least(units, used)
    this.#write(charge, atUs, -out)
    return out
  }

  #owe(charge: Charge, units: bigint): void {
    const { rule, debtCap } = charge
    if (rule.kind === 'concurrency') return
    const weight = weightOf(rule)
    const used = this.#used(charge)
    const roomLeft =
      debtCap === Infinity ? units * weight : most(0n, roomOf(rule) + BigInt(debtCap) * weight - used)
    this.#write(charge, this.#nowUs, least(units * weight, roomLeft))
  }

  #adjust(charge: Charge, back: bigint): void {
    const { rule } = charge
    const nowUs = this.#nowUs
    if (back < 0n || rule.kind !== 'sliding') {
      this.#write(charge, nowUs, -least(back * weightOf(rule), this.#used(charge)))
      return
    }
    let toGo = back
    const present = sliceAt(rule, nowUs)
    for (let slice = present; slice >= present - BigInt(rule.sliceCount) && toGo > 0n; slice--)
      toGo -= this.#takeOut(charge, slice * BigInt(rule.sliceUs), toGo)
  }
}

/** A bucket that was written to and drains; what comes back brings it down to nothing at most. */
function drained(entries: readonly Entry[], nowUs: bigint, drain: bigint): bigint {
  let [level, atUs] = [0n, 0n]
  for (const entry of entries) {
    level = most(0n, most(0n, level - (entry.atUs - atUs) * drain) + entry.amount)
    atUs = entry.atUs
  }
  return most(0n, level - (nowUs - atUs) * drain)
}

function sum(entries: readonly Entry[]): bigint {
  return entries.reduce((total, { amount }) => total + amount, 0n)
}

function sliceAt({ sliceUs }: { readonly sliceUs: number }, atUs: bigint): bigint {
  return atUs / BigInt(sliceUs)
}

function weightOf(rule: CounterRule): bigint {
  return rule.kind === 'gcra' ? BigInt(rule.rate.weight) : 1n
}

function roomOf(rule: CounterRule): bigint {
  return rule.kind === 'gcra' ? BigInt(rule.burst) * weightOf(rule) : BigInt(rule.limit)
}

function nameOf({ key }: Charge): string {
  return JSON.stringify([key.partition, key.id])
}

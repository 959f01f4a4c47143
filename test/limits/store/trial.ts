import type { Clock } from '../../../agent/base/clock.ts'
import type { Charge, QuotaStore } from '../../../agent/limits/store/store.ts'

/** Time that only the laws let pass. */
export interface LawClock extends Clock {
  /** Whole microseconds since the epoch: what a store whose server has a clock of its own has to take for it. */
  timeUs(): number
}

/** A store on trial. */
export interface Opened {
  readonly store: QuotaStore
  /** Told after the clock went forward, for stores that have to be told. */
  advance(ms: number): void | Promise<void>
}

export interface LawOptions {
  readonly name: string
  /**
   * Opens an empty store whose time is that of the clock to the microsecond: `timeUs()` where a server's time counts. No
   * other time may pass for it.
   */
  open(clock: LawClock): Promise<Opened>
  /** How many sequences each law is tried with. */
  readonly numRuns?: number
}

/** A store with its clock, as the laws use it. */
export interface Trial {
  readonly store: QuotaStore
  readonly clock: LawClock
  /** Lets time pass. */
  wait(us: number): Promise<void>
  /** Sets the wall clock, and that of a server, back. */
  stepBack(ms: number): Promise<void>
  /** A name that no counter and no hold has yet. */
  fresh(): string
}

/** Throws with what came and what should have come. */
export function expectSame(found: unknown, wanted: unknown, about: unknown): void {
  const [one, other] = [textOf(found), textOf(wanted)]
  if (one !== other) throw new Error(`${textOf(about)}\n came ${one}\nnot   ${other}`)
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, each) => {
    if (typeof each === 'number' && !Number.isFinite(each)) return String(each)
    const isPlain = typeof each === 'object' && each !== null && !Array.isArray(each)
    return isPlain ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each
  })
}

export async function openTrial({ open }: LawOptions): Promise<Trial & AsyncDisposable> {
  let timeUs = 1_700_000_000_000_000
  let backMs = 0
  let names = 0
  const clock: LawClock = {
    monotonicUs: () => timeUs,
    nowMs: () => Math.floor(timeUs / 1000) - backMs,
    timeUs: () => timeUs - backMs * 1000,
  }
  const { store, advance } = await open(clock)
  return {
    store,
    clock,
    wait: async (us) => {
      timeUs += us
      await advance(us / 1000)
    },
    stepBack: async (ms) => {
      backMs += ms
      await advance(-ms)
    },
    fresh: () => `law-${++names}`,
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

/** A charge with a key of its own, unless one is given. */
export function chargeOn(
  id: string,
  rule: Charge['rule'],
  cost: number,
  other: Partial<Charge> = {},
): Charge {
  return {
    key: { partition: id, id: 'limit' },
    rule,
    cost,
    isEnforced: true,
    debtCap: Number.POSITIVE_INFINITY,
    onStoreFailure: 'deny',
    isLeased: false,
    ...other,
  }
}

import type { Rate } from '#base/gcra.ts'

/**
 * Where one counter is kept. Two keys are the same counter exactly when both texts are equal; a key holds no numbers of the
 * limit, so that an edit of the limit keeps what was used.
 */
export interface CounterKey {
  /** Counters of one partition can be changed in one step wherever they are kept: the hash tag in Redis Cluster. */
  readonly partition: string
  /** Unique within the partition. Parts of it that clients write are length-prefixed: no two lists of parts make one text. */
  readonly id: string
  /**
   * The limit, without what clients write. A store whose memory is full lets new keys of one family and partition share a
   * counter; it refuses those that have none.
   */
  readonly family?: string
}

/** The spans of a calendar limit. Whole milliseconds since the epoch. */
export interface Calendar {
  /** The one span with `startMs <= atMs < endMs`. Spans follow each other without a gap. */
  spanAt(atMs: number): { readonly startMs: number; readonly endMs: number }
}

/**
 * How a counter counts. All arithmetic is on whole numbers that a double holds, the same in every store.
 *
 * - `gcra`: {@link Rate}; in any time w at most `burst + w * rate / window` are granted. Kept as the level, the time up to
 *   which it is drained, and the weight of a unit. It drains by whole ticks from that time, which moves on by whole ticks;
 *   of an empty one it becomes now. Where the weight is another than before, the level becomes
 *   `ceil(level / old * new)`, at most 2^52.
 * - `sliding`: in any `windowUs` at most `limit`. Time is cut into slices of `sliceUs`; the slice that is only partly in the
 *   window counts whole: those from `now - sliceCount` to `now`, which are `sliceCount + 1`. Where `sliceUs` is another
 *   than before, each slice becomes the one that its last microsecond lies in.
 * - `calendar`: in each span at most `limit`. The span that a counter is in is kept until its end, also when the clock goes
 *   back before it; where the calendar is another than before, what was used in it is kept for the span that now is in.
 * - `concurrency`: at most `limit` at once; what is held ends with its hold, whatever was settled.
 */
export type CounterRule =
  | { readonly kind: 'gcra'; readonly rate: Rate; readonly burst: number }
  | {
      readonly kind: 'sliding'
      readonly limit: number
      readonly sliceUs: number
      readonly sliceCount: number
    }
  | { readonly kind: 'calendar'; readonly limit: number; readonly calendar: Calendar }
  | { readonly kind: 'concurrency'; readonly limit: number }

/** What happens to a limit while nobody can ask the store, or after the store lost its memory. */
export type StoreFailurePolicy = 'deny' | 'allow' | 'share'

/** One counter that a request is charged to. */
export interface Charge {
  readonly key: CounterKey
  readonly rule: CounterRule
  /** 0 to 2^53-1. 0 takes nothing, and passes only while at least 1 is left. */
  readonly cost: number
  /** False where it is counted but never refuses: shadow and soft limits. */
  readonly isEnforced: boolean
  /** How far what is settled may go beyond the limit, in units; what would go further is not counted. Infinity for no end. */
  readonly debtCap: number
  readonly onStoreFailure: StoreFailurePolicy
  /** Whether it may be granted from what was drawn beforehand. Such a rule already makes up for the life of a lease. */
  readonly isLeased: boolean
}

/** What one counter says. */
export interface CounterState {
  /** Whether the limit was not kept by this charge, before it was written: it is what refuses, where it is enforced. */
  readonly isOver: boolean
  /** What is left, after the charge where it was written; never negative. */
  readonly remaining: number
  /**
   * When the same charge would pass if nothing else came; 0 where it passes; Infinity where it never can: it asks for more
   * than the limit is. Nobody knows when a call ends: for `concurrency` it is a second.
   */
  readonly retryUs: number
  /** When the counter will say the same as a new one if nothing else came, after the charge where it was written; for `concurrency` 0. */
  readonly resetUs: number
}

/**
 * Why there is no answer: `unavailable` (no store could be asked), `busy` (it was not asked, for too many wait already),
 * `lost` (the store lost its memory).
 */
export type StoreFault = 'unavailable' | 'busy' | 'lost'

/** `states` stand in the order of the charges. */
export type ReserveAnswer =
  | { readonly kind: 'granted'; readonly states: readonly CounterState[] }
  /** Nothing was written, on no counter. */
  | { readonly kind: 'refused'; readonly states: readonly CounterState[] }
  /** Nothing was written as far as anybody can know; who refused is `charges[index]`. */
  | { readonly kind: 'failed'; readonly fault: StoreFault; readonly index: number }

/** What became of a settlement. `unknown`: the hold is past its life; what was reserved is its charge. */
export type SettleAnswer = 'settled' | 'already' | 'unknown' | 'queued'

/**
 * Counters that several processes may share. Every operation is one step: others see all of it or nothing. An operation
 * that comes again under the same `id` changes nothing and answers as before.
 *
 * A store answers at once where it can. A promise never rejects: what goes wrong is `failed` or `queued`.
 */
export interface QuotaStore extends AsyncDisposable {
  /**
   * Charges all counters or none. All of them are looked at before any is written: if an enforced one is over, nothing is
   * written. What is not enforced is written with the others and may go over its limit.
   *
   * Rules by kind, at the store's own time (a clock that goes back counts as one that stands still):
   * - `gcra`: granted iff `level(now) + cost * weight <= capacity`; over for good if `cost > burst`.
   * - `sliding`: granted iff `sum + cost <= limit` over the slices that count; over for good if `cost > limit`.
   * - `calendar`: granted iff `used + cost <= limit` in the present span; over for good if `cost > limit`.
   * - `concurrency`: granted iff `running + cost <= limit`.
   * A cost of 0 needs what a cost of 1 needs, and takes nothing. No limit is beyond {@link maxUnits}, and nothing is written
   * beyond it. No two charges of one call have the same key.
   *
   * While the hold lives, the same id is answered as before; what was refused left nothing and is asked anew. The id of a
   * hold that was settled, or cancelled before it came, is refused.
   *
   * A `ttlMs` of 0 is for what is over as soon as it is counted: its charge is final, nothing runs under it, and nothing is
   * kept of it. So it need not be settled; who asks again under its id is charged again, whatever became of that id before,
   * and where no answer came it cannot be cancelled: it may be charged.
   *
   * @param id of the hold: unique over all processes, at most 64 characters
   * @param ttlMs how long the hold lives unless it is settled: then it ends, its charge is what was reserved, and what
   * runs under it counts no more as running
   */
  reserve(id: string, charges: readonly Charge[], ttlMs: number): ReserveAnswer | Promise<ReserveAnswer>

  /**
   * Charges more under a hold that lives, on the same counters in the same order, as {@link reserve} would, but for a cost
   * of 0, which asks nothing here and always passes: the call has its place already. Extends the hold's life to `ttlMs` from
   * now. Refused for a hold that does not live, and where nothing can be charged; then neither the life nor the step changes.
   *
   * @param step 1 for the first, then one more each: what repeats a step changes nothing
   */
  topUp(
    id: string,
    step: number,
    charges: readonly Charge[],
    ttlMs: number,
  ): ReserveAnswer | Promise<ReserveAnswer>

  /**
   * Ends a hold at what it really took. Never refuses: what is above the charge is charged as a debt, up to `debtCap`; what
   * is below comes back where it was taken, and only there:
   * - `gcra`: at most what cannot have drained since: `min(back * weight, max(0, reserved * weight - elapsed * drain))`, where
   *   a tick that has begun counts as elapsed. What was topped up is added to what is left then, and drains with it.
   * - `sliding`: in the slice of the charge while it counts; `calendar`: in the span of the charge while it lasts. What was
   *   topped up later comes back first; what does not fit there comes back from what was charged before.
   * - a debt is charged to the present slice or span; `used` becomes at most `limit + debtCap` by it, or stays as it was
   * - nothing comes back of what was charged before a counter was reset
   *
   * `settled` once, then `already`; `unknown` for an id that was never seen or whose life is over. All 0 for such an id leaves
   * a tombstone: what reserves under it later is refused.
   *
   * @param actuals in the order of the charges of {@link reserve}; all 0 for a request that did not take place
   */
  settle(id: string, actuals: readonly number[]): SettleAnswer | Promise<SettleAnswer>

  /** What the counters say now, for the costs given. Writes nothing. */
  peek(charges: readonly Charge[]): readonly CounterState[] | Promise<readonly CounterState[] | StoreFault>

  /**
   * Takes `units` from what a counter has used (or adds, where negative), not below zero and without regard to the limit.
   * Of a sliding window the newest goes first. `concurrency` is left alone: what runs, runs.
   * For people: `sluice quota grant`. `reset` forgets all of it.
   *
   * @returns what the counter says of the charge afterwards
   */
  adjust(
    id: string,
    charge: Charge,
    change: { readonly back: number } | 'reset',
  ): CounterState | Promise<CounterState | StoreFault>

  /** For metrics and `sluice quota show`. */
  readonly health: StoreHealth
}

export interface StoreHealth {
  readonly kind: 'memory' | 'redis'
  /** Why the store cannot be asked now. */
  problem(): string | undefined
  /** When it was noticed that the store had lost its memory, milliseconds since the epoch. */
  lostAtMs(): number | undefined
  /** How many processes share the store, this one included, as far as is known. */
  replicas(): number
  /** Counted since the start; names become labels of metrics. */
  readonly counts: Readonly<Record<StoreCount, number>>
}

/** What stores count. */
export type StoreCount =
  /** Round trips to the store. */
  | 'calls'
  | 'timeouts'
  | 'breaker_opened'
  /** Settlements and the like that wait for the store to come back. */
  | 'queued'
  /** Those that were given up, which only leaves charges as they were reserved, or debts that nobody knows. */
  | 'dropped'
  | 'memory_lost'
  /** Decisions that came from a lease, from the local share, and without any store. */
  | 'leased'
  | 'shared'
  | 'unchecked'

/** Most that one counter can hold: with it every sum below stays exact. */
export const maxUnits = 2 ** 52

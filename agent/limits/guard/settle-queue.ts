import type { After } from '#base/timers.ts'
import type { SettleAnswer } from '../store/store.ts'

/** Settlements on their way at once. */
const maxUnderway = 64
const [minPauseMs, maxPauseMs] = [50, 2000]

export interface SettleQueueOptions {
  readonly after: After
  /** Timers at the end, which the process waits for. */
  readonly keepingAfter: After
  /** Delivers one; `queued` where the store did not take it. */
  readonly deliver: (id: string, actuals: readonly number[]) => SettleAnswer | Promise<SettleAnswer>
  /** Whether there is a point in trying now. */
  readonly isReachable: () => boolean
  readonly maxEntries: number
  readonly onDrop: () => void
}

/**
 * Settlements that the store has not taken yet. Each id is settled once, so it does not matter how often one is delivered.
 * At the bound those are dropped first that would only have given something back, the oldest first: what they leave is a
 * charge as it was reserved.
 */
export class SettleQueue {
  readonly #options: SettleQueueOptions
  readonly #debts = new Map<string, readonly number[]>()
  readonly #backs = new Map<string, readonly number[]>()
  #isRunning = false
  #pauseMs = minPauseMs
  #stopTimer: (() => void) | undefined
  #isDisposed = false

  constructor(options: SettleQueueOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#debts.size + this.#backs.size
  }

  /** @param isDebt whether it charges more than was reserved */
  add(id: string, actuals: readonly number[], isDebt: boolean): void {
    // The first word on a hold is the last.
    if (this.#debts.has(id) || this.#backs.has(id)) return
    const into = isDebt ? this.#debts : this.#backs
    into.set(id, actuals)
    if (this.size > this.#options.maxEntries) this.#dropOldest()
    this.#tryLater()
  }

  /** Tries at once, now that the store answers. */
  kick(): void {
    this.#pauseMs = minPauseMs
    this.#stopTimer?.()
    this.#stopTimer = undefined
    void this.#run()
  }

  /** Delivers what it can, at most for a while; what is left is dropped. */
  async close(deadlineMs: number): Promise<void> {
    this.#stopTimer?.()
    let isOver = false
    const late = new Promise<void>((resolve) => {
      const stop = this.#options.keepingAfter(deadlineMs, () => {
        isOver = true
        resolve()
      })
      void this.#drain(() => isOver).then(() => {
        stop()
        resolve()
      })
    })
    await late
    this.#isDisposed = true
    while (this.size > 0) this.#dropOldest()
  }

  async #drain(isOver: () => boolean): Promise<void> {
    while (this.size > 0 && !isOver()) {
      const before = this.size
      await this.#deliverSome()
      if (this.size < before) continue
      await new Promise<void>((resolve) => this.#options.keepingAfter(minPauseMs, resolve))
    }
  }

  #dropOldest(): void {
    const from = this.#backs.size > 0 ? this.#backs : this.#debts
    for (const id of from.keys()) {
      from.delete(id)
      this.#options.onDrop()
      return
    }
  }

  #tryLater(): void {
    if (this.#stopTimer !== undefined || this.#isRunning || this.#isDisposed) return
    this.#stopTimer = this.#options.after(this.#pauseMs, () => {
      this.#stopTimer = undefined
      void this.#run()
    })
    this.#pauseMs = Math.min(maxPauseMs, this.#pauseMs * 2)
  }

  async #run(): Promise<void> {
    if (this.#isRunning || this.#isDisposed) return
    this.#isRunning = true
    while (this.size > 0 && this.#options.isReachable()) {
      if (!(await this.#deliverSome())) break
      this.#pauseMs = minPauseMs
    }
    this.#isRunning = false
    if (this.size > 0) this.#tryLater()
  }

  /** @returns whether all of them were taken */
  async #deliverSome(): Promise<boolean> {
    const some: { readonly from: Map<string, readonly number[]>; readonly id: string }[] = []
    for (const from of [this.#debts, this.#backs])
      for (const id of from.keys()) {
        if (some.length >= maxUnderway) break
        some.push({ from, id })
      }
    const taken = await Promise.all(
      some.map(async ({ from, id }) => {
        const answer = await this.#options.deliver(id, from.get(id) as readonly number[])
        if (answer === 'queued') return false
        from.delete(id)
        return true
      }),
    )
    return taken.every((isTaken) => isTaken)
  }
}

import { randomUUID } from 'node:crypto'
import type { Clock } from '#base/clock.ts'
import type { After } from '#base/timers.ts'
import type { Charge, QuotaStore, ReserveAnswer } from '../store/store.ts'
import { Bank, isSameRule, type Lease } from './bank.ts'

export interface BanksOptions {
  readonly inner: QuotaStore
  readonly clock: Clock
  readonly after: After
  readonly leaseMs: number
  /** Counters that may have a bank at once; calls to the others ask the store. */
  readonly maxBanks: number
}

/** A bank that nobody has used for so many lives of a lease is forgotten. */
const idleLives = 4
const ticksPerSweep = 4
/** So long a lease that is over can still be given back, however short its calls are. */
const closeMs = 10_000

/** The banks of all counters: draws leases in the background, and gives back what they did not spend. */
export class Banks {
  readonly #options: BanksOptions
  readonly #leaseUs: number
  readonly #name = randomUUID()
  readonly #byPartition = new Map<string, Map<string, Bank>>()
  /** Those that have leases. */
  readonly #holding = new Set<Bank>()
  /** What was given back or drawn, and the store has not answered yet. */
  readonly #underway = new Set<Promise<unknown>>()
  #count = 0
  #drawn = 0
  #ticks = 0
  #isClosed = false
  #stopTimer: () => void

  constructor(options: BanksOptions) {
    this.#options = options
    this.#leaseUs = options.leaseMs * 1000
    this.#stopTimer = () => {}
    this.#tickLater()
  }

  /** Told the time whenever ended leases are looked for. */
  onTick: (nowUs: number) => void = () => {}

  /** @returns `undefined` where the counter is asked for call by call: too many have banks, or it counts anew */
  bankOf(charge: Charge, nowUs: number): Bank | undefined {
    let banks = this.#byPartition.get(charge.key.partition)
    const known = banks?.get(charge.key.id)
    if (known !== undefined) return isSameRule(known.rule, charge.rule) ? known : undefined
    if (this.#isClosed || this.#count >= this.#options.maxBanks) return undefined
    if (banks === undefined) {
      banks = new Map()
      this.#byPartition.set(charge.key.partition, banks)
    }
    const bank = new Bank(charge, this.#leaseUs, nowUs)
    banks.set(charge.key.id, bank)
    this.#count++
    return bank
  }

  /** Draws a lease where little is left and one is worth it. Nobody waits for it. */
  refill(bank: Bank, charge: Charge, ttlMs: number, nowUs: number): void {
    if (bank.isDrawing || this.#isClosed || nowUs < bank.pauseUntilUs) return
    if (!bank.isBusy(nowUs) || !bank.isLow(nowUs)) return
    const { inner, leaseMs } = this.#options
    // What a local share or nobody grants is not worth drawing beforehand.
    if (inner.health.problem() !== undefined) return
    const size = bank.sizeToDraw(Math.max(1, inner.health.replicas()), nowUs)
    if (size === 0) return
    const id = `${this.#name}-${this.#drawn++}`
    bank.isDrawing = true
    const drawn = (answer: ReserveAnswer) => this.#drawnFor(bank, { id, size, sentUs: nowUs, answer })
    // A lease that is over stays at the store until the last call that drew on it is settled.
    const whole = { ...charge, cost: size, isEnforced: true, onStoreFailure: 'deny' as const }
    const answer = inner.reserve(id, [whole], leaseMs + Math.max(ttlMs, closeMs))
    if (answer instanceof Promise) this.#await(answer.then(drawn))
    else drawn(answer)
  }

  /** Gives a lease back once it is over and the last of its calls is settled. */
  closeIfDone(lease: Lease, nowUs: number): void {
    if (lease.calls === 0 && lease.endUs <= nowUs) this.#close(lease)
  }

  /** Draws no more from what there is of a counter, and gives it back as soon as its calls are settled. */
  retire(charge: Charge, nowUs: number): void {
    const bank = this.#byPartition.get(charge.key.partition)?.get(charge.key.id)
    if (bank === undefined) return
    for (const lease of bank.live) lease.endUs = Math.min(lease.endUs, nowUs)
    this.#endLeases(bank, nowUs)
  }

  /** Gives everything back; calls that still run are charged what they reserved. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#stopTimer()
    for (const bank of this.#holding) for (const lease of bank.unclosed) this.#close(lease)
    // A lease that arrives now is given back at once, which is one more to wait for.
    while (this.#underway.size > 0) await Promise.all(this.#underway)
  }

  #drawnFor(
    bank: Bank,
    drawn: {
      readonly id: string
      readonly size: number
      readonly sentUs: number
      readonly answer: ReserveAnswer
    },
  ): void {
    const { id, size, sentUs, answer } = drawn
    const nowUs = this.#options.clock.monotonicUs()
    bank.isDrawing = false
    const state = answer.kind === 'failed' ? undefined : answer.states[0]
    if (state !== undefined) bank.learn(state, nowUs)
    if (answer.kind !== 'granted') {
      bank.pauseUntilUs = nowUs + this.#leaseUs / 4
      return
    }
    // Counted from before it was asked for: by the store's clock it cannot have begun earlier.
    const lifeUs =
      bank.rule.kind === 'calendar' ? Math.min(this.#leaseUs, state?.resetUs ?? 0) : this.#leaseUs
    const lease: Lease = {
      id,
      bank,
      size,
      endUs: this.#isClosed ? nowUs : sentUs + lifeUs,
      spent: 0,
      held: 0,
      calls: 0,
      isClosed: false,
    }
    bank.add(lease)
    this.#holding.add(bank)
    if (this.#isClosed) this.#close(lease)
  }

  #tickLater(): void {
    const { after, leaseMs, clock } = this.#options
    this.#stopTimer = after(Math.max(10, leaseMs / 4), () => {
      const nowUs = clock.monotonicUs()
      this.onTick(nowUs)
      for (const bank of this.#holding) this.#endLeases(bank, nowUs)
      // Most counters are quiet: all of them are looked at seldom.
      if (this.#ticks++ % ticksPerSweep === 0) this.#forgetIdle(nowUs)
      this.#tickLater()
    })
  }

  #forgetIdle(nowUs: number): void {
    for (const [partition, banks] of this.#byPartition) {
      for (const bank of banks.values()) {
        const isIdle = nowUs - bank.usedUs > idleLives * this.#leaseUs
        if (!isIdle || bank.isDrawing || bank.unclosed.size > 0) continue
        banks.delete(bank.key.id)
        this.#count--
      }
      if (banks.size === 0) this.#byPartition.delete(partition)
    }
  }

  #endLeases(bank: Bank, nowUs: number): void {
    const { live } = bank
    for (let index = live.length - 1; index >= 0; index--) {
      const lease = live[index] as Lease
      const isUsedUp = lease.spent >= lease.size
      if (lease.endUs > nowUs && !isUsedUp) continue
      if (isUsedUp) lease.endUs = Math.min(lease.endUs, nowUs)
      live.splice(index, 1)
      this.closeIfDone(lease, nowUs)
    }
  }

  #close(lease: Lease): void {
    if (lease.isClosed) return
    lease.isClosed = true
    const { bank } = lease
    bank.unclosed.delete(lease)
    if (bank.unclosed.size === 0) this.#holding.delete(bank)
    const answer = this.#options.inner.settle(lease.id, [lease.spent + lease.held])
    if (answer instanceof Promise) this.#await(answer)
  }

  #await(answer: Promise<unknown>): void {
    this.#underway.add(answer)
    answer.then(() => this.#underway.delete(answer))
  }
}

import type { Clock } from '#base/clock.ts'
import type { Exchange, QuotaHold } from '#decision/exchange.ts'
import { type Metered, noUsage, type Usage } from '#decision/usage.ts'
import { withOutputTokens } from './bound.ts'
import type { Bill, Charged } from './charging.ts'
import type { LimitsObserver } from './observer.ts'
import type { Charge, QuotaStore, ReserveAnswer } from './store/store.ts'

/** How long nobody is asked for more once the store could not be. */
const storePauseUs = 250_000

export interface HoldOptions {
  readonly x: Exchange
  readonly bill: Bill
  readonly store: QuotaStore
  readonly clock: Clock
  readonly holdMs: number
  readonly observer: LimitsObserver
}

/** What is known of a call of which no limit wanted to know more. */
const oneCall: Usage = { ...noUsage, inferences: 1 }

/** What one call was charged beforehand; settled once. */
export class Hold implements QuotaHold {
  readonly isMetered: boolean
  readonly #options: HoldOptions
  /** By the place of the charge. */
  readonly #shares: readonly Share[]
  readonly #growing: readonly Share[]
  #steps = 0
  #isSettled = false
  #isRefused = false
  /** When more may be asked for again. */
  #retryAtUs = 0
  #asking: Promise<void> | undefined

  constructor(options: HoldOptions) {
    const { x, bill } = options
    this.#options = options
    this.isMetered =
      x.request.api === 'ext_proc' && x.meter !== undefined && bill.charged.some(({ rule }) => rule.isMetered)
    this.#shares = bill.charged.map((charged) => new Share(charged))
    this.#growing = this.#shares.filter((share) => share.step !== undefined)
  }

  progress(metered: Metered): 'go_on' | 'stop' {
    if (this.#growing.length === 0 || this.#isSettled) return 'go_on'
    const { outputTokens } = metered.usage
    const isNear = this.#growing.some((share) => share.isNear(outputTokens))
    if (isNear && this.#asking === undefined && this.#options.clock.monotonicUs() >= this.#retryAtUs)
      this.#askForMore(outputTokens)
    const isOut =
      this.#isRefused && this.#growing.some((share) => share.isEnforced && share.isOut(outputTokens))
    return isOut ? 'stop' : 'go_on'
  }

  /** Ends it at what the call took. */
  settle(): void {
    if (this.#isSettled) return
    const { x, bill, observer } = this.#options
    const measured = this.#measured()
    const isCutWhole = measured !== undefined && isWholeCutOff(x, measured)
    const actuals = this.#shares.map((share) => share.actual(measured, bill, isCutWhole))
    const reserved = bill.charged.find(({ reservation }) => reservation)?.reservation?.usage ?? oneCall
    const charges = this.#shares.map(({ charged }, index) => ({
      limit: charged.rule.name,
      units: actuals[index] as number,
    }))
    const settled = measured
      ? { ...measured, charges }
      : { usage: reserved, source: 'estimated' as const, isComplete: false, charges }
    x.settled = settled
    observer.onSettled?.(x, settled)
    this.#close(actuals)
  }

  /** Ends it as if there had been no call. */
  giveBack(): void {
    if (this.#isSettled) return
    this.#close(this.#shares.map(() => 0))
  }

  #close(actuals: readonly number[]): void {
    this.#isSettled = true
    const { store, x } = this.#options
    // What is asked for at this moment is part of what is settled.
    if (this.#asking === undefined) void store.settle(x.id, actuals)
    else void this.#asking.then(() => store.settle(x.id, actuals))
  }

  /** `undefined` where nothing was: then what was reserved is what it took. */
  #measured(): Metered | undefined {
    const { x } = this.#options
    const metered = this.isMetered ? x.meter?.metered() : undefined
    if (metered === undefined) return undefined
    // There was an answer, and nobody was shown any of it.
    const isUnseen = x.served !== undefined && !metered.isComplete && metered.usage.responseBytes === 0
    return isUnseen ? undefined : metered
  }

  #askForMore(outputTokens: number): void {
    const { store, x, bill, holdMs } = this.#options
    this.#steps++
    const targets = this.#shares.map((share) => share.target(outputTokens))
    const charges = this.#shares.map((share, index) => share.more(targets[index], bill))
    const answer = store.topUp(x.id, this.#steps, charges, holdMs)
    if (!(answer instanceof Promise)) return this.#answered(answer, charges, targets)
    this.#asking = answer.then((late) => {
      this.#asking = undefined
      this.#answered(late, charges, targets)
    })
  }

  #answered(
    answer: ReserveAnswer,
    charges: readonly Charge[],
    targets: readonly (number | undefined)[],
  ): void {
    const { clock, observer } = this.#options
    this.#isRefused = answer.kind !== 'granted'
    if (answer.kind === 'granted') {
      for (const [index, share] of this.#shares.entries())
        share.grow(targets[index], (charges[index] as Charge).cost)
      return
    }
    let waitUs = answer.kind === 'failed' ? storePauseUs : 0
    if (answer.kind === 'refused') {
      for (const [index, state] of answer.states.entries()) {
        const { isEnforced, cost } = charges[index] as Charge
        if (!state.isOver || !isEnforced) continue
        waitUs = Math.max(waitUs, state.retryUs)
        const { rule } = (this.#shares[index] as Share).charged
        observer.onOutcome?.(rule.name, rule.unit, 'refused', cost)
      }
    }
    this.#retryAtUs = clock.monotonicUs() + waitUs
  }
}

/** What one limit has given to the call. */
class Share {
  readonly charged: Charged
  readonly step: number | undefined
  readonly isEnforced: boolean
  #units: number
  /** Output tokens that are paid for. */
  #tokens: number

  constructor(charged: Charged) {
    const { reservation, rule, charge } = charged
    this.charged = charged
    this.step = rule.readsOutputTokens ? reservation?.step : undefined
    this.isEnforced = charge.isEnforced
    this.#units = charge.cost
    this.#tokens = reservation?.usage.outputTokens ?? 0
  }

  /** Whether more should be asked for, so that it is there when it is needed. */
  isNear(outputTokens: number): boolean {
    return this.step !== undefined && outputTokens >= this.#tokens - this.step / 2 && this.#mayGrow
  }

  isOut(outputTokens: number): boolean {
    return outputTokens >= this.#tokens && this.#mayGrow
  }

  get #mayGrow(): boolean {
    return this.#tokens < (this.charged.reservation?.mostOutputTokens ?? 0)
  }

  /** Up to how many output tokens should be paid for. */
  target(outputTokens: number): number | undefined {
    if (this.step === undefined || !this.isNear(outputTokens)) return undefined
    const { mostOutputTokens = 0 } = this.charged.reservation ?? {}
    return Math.min(mostOutputTokens, Math.max(this.#tokens, outputTokens) + this.step)
  }

  /** What has to be charged for that; nothing, and whatever the counter says, where nothing is asked for. */
  more(target: number | undefined, { subject }: Bill): Charge {
    const { charge, rule, reservation } = this.charged
    const nothing = { ...charge, cost: 0, isEnforced: false }
    if (target === undefined || reservation === undefined) return nothing
    const all = rule.costAtMost(withOutputTokens(reservation.usage, target), subject)
    // What cannot be counted is not given.
    const cost = all === undefined ? Number.MAX_SAFE_INTEGER : all - this.#units
    return cost > 0 ? { ...charge, cost } : nothing
  }

  grow(target: number | undefined, units: number): void {
    if (target === undefined) return
    this.#tokens = target
    this.#units += units
  }

  /** @param isCutWhole nobody knows how much of the output had been computed: what was paid for counts */
  actual(measured: Metered | undefined, { subject }: Bill, isCutWhole: boolean): number {
    const { rule } = this.charged
    if (measured === undefined) return this.#units
    const { usage } = measured
    const isMore = isCutWhole && this.#tokens > usage.outputTokens
    return rule.cost(isMore ? withOutputTokens(usage, this.#tokens) : usage, subject) ?? this.#units
  }
}

/**
 * Whether an answer that comes all at once did not come to its end. Who has a model compute, and leaves just before it
 * answers, again and again, would else use it for nothing.
 */
function isWholeCutOff({ call, served }: Exchange, { isComplete }: Metered): boolean {
  if (isComplete) return false
  if (
    call?.verb === 'generate_stream' ||
    call?.verb === 'stream_infer' ||
    call?.generation?.isStream === true
  )
    return false
  if (served === undefined) return true
  const isSuccess = served.httpStatus >= 200 && served.httpStatus <= 299
  return isSuccess && served.headers.single('content-type')?.startsWith('text/event-stream') !== true
}

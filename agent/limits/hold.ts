import type { Clock } from '#base/clock.ts'
import type { Exchange, QuotaHold } from '#decision/exchange.ts'
import { type Metered, noUsage, type Usage } from '#decision/usage.ts'
import { withOutputTokens } from './bound.ts'
import type { Bill, Charged } from './charging.ts'
import type { LimitsObserver } from './observer.ts'
import type { Renewable, Renewals } from './renewals.ts'
import type { Charge, CounterState, QuotaStore, ReserveAnswer } from './store/store.ts'

/** How long nobody is asked for more once the store could not be. */
const storePauseUs = 250_000

export interface HoldOptions {
  readonly x: Exchange
  readonly bill: Bill
  readonly store: QuotaStore
  readonly clock: Clock
  readonly holdMs: number
  readonly observer: LimitsObserver
  readonly renewals: Renewals
}

/** What is known of a call of which no limit wanted to know more. */
const oneCall: Usage = { ...noUsage, inferences: 1 }

/** What one call was charged beforehand; settled once. */
export class Hold implements QuotaHold, Renewable {
  readonly isMetered: boolean
  readonly isGrowing: boolean
  renewAtUs = 0
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
    this.isGrowing = this.#growing.length > 0
    options.renewals.add(this)
  }

  /** Has the store keep it for as long again: the call still runs. */
  renew(): void {
    // Whatever is asked for at this moment does so too.
    if (this.#isSettled || this.#asking !== undefined) return
    const { store, x, bill, holdMs } = this.#options
    this.#steps++
    const nothing = this.#shares.map((share) => share.more(undefined, bill))
    const answer = store.topUp(x.id, this.#steps, nothing, holdMs)
    if (!(answer instanceof Promise)) return
    this.#asking = answer.then(() => {
      this.#asking = undefined
    })
  }

  progress(metered: Metered): 'go_on' | 'stop' {
    if (!this.isGrowing || this.#isSettled) return 'go_on'
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
    // Of a call that is only counted the record of its decision says all.
    if (bill.charged.some(({ rule }) => rule.readsUsage)) x.settled = settled
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
    const { store, x, renewals } = this.#options
    renewals.delete(this)
    // What is asked for at this moment is part of what is settled.
    if (this.#asking === undefined) void store.settle(x.id, actuals)
    else void this.#asking.then(() => store.settle(x.id, actuals))
  }

  /** `undefined` where nothing was: then what was reserved is what it took. */
  #measured(): Metered | undefined {
    const { x } = this.#options
    const metered = this.isMetered ? x.meter?.metered() : undefined
    if (metered === undefined) return undefined
    // There was an answer, and it may be that nobody was shown any of it.
    const isUnseen =
      x.served !== undefined &&
      x.isAnswerShown !== true &&
      !metered.isComplete &&
      metered.usage.responseBytes === 0
    return isUnseen ? undefined : this.#withGpuTime(metered)
  }

  /** A call that nothing was computed for took no time of an accelerator. */
  #withGpuTime(metered: Metered): Metered {
    const { permittedUs } = this.#options.x
    const { usage } = metered
    if (permittedUs === undefined || usage.inferences === 0) return metered
    const gpuMs = Math.max(0, Math.ceil((this.#options.clock.monotonicUs() - permittedUs) / 1000))
    return { ...metered, usage: { ...usage, gpuMs } }
  }

  #askForMore(outputTokens: number): void {
    this.#ask(this.#shares.map((share) => share.target(outputTokens)))
  }

  /** @param refusal why it was not as much; then this is for the rest, and all that there is for now */
  #ask(targets: Targets, refusal?: Refused): void {
    const { store, x, bill, holdMs } = this.#options
    this.#steps++
    const charges = this.#shares.map((share, index) => share.more(targets[index], bill))
    const answer = store.topUp(x.id, this.#steps, charges, holdMs)
    if (!(answer instanceof Promise)) return this.#answered({ answer, charges, targets }, refusal)
    this.#asking = answer.then((late) => {
      this.#asking = undefined
      this.#answered({ answer: late, charges, targets }, refusal)
    })
  }

  #answered({ answer, charges, targets }: Asked, refusal: Refused | undefined): void {
    this.#isRefused = answer.kind !== 'granted' || refusal !== undefined
    if (answer.kind === 'granted') {
      for (const [index, share] of this.#shares.entries())
        share.grow(targets[index], (charges[index] as Charge).cost)
      if (refusal !== undefined) this.#refused(refusal)
      return
    }
    if (answer.kind === 'failed') {
      this.#retryAtUs = this.#options.clock.monotonicUs() + storePauseUs
      return
    }
    const { states } = answer
    const rest = refusal === undefined && !this.#isSettled ? this.#rest(states, charges, targets) : undefined
    if (rest === undefined) this.#refused({ states, charges })
    else this.#ask(rest, { states, charges })
  }

  #refused({ states, charges }: Refused): void {
    const { clock, observer } = this.#options
    let waitUs = 0
    for (const [index, state] of states.entries()) {
      const { isEnforced, cost } = charges[index] as Charge
      if (!state.isOver || !isEnforced) continue
      waitUs = Math.max(waitUs, state.retryUs)
      const { rule } = (this.#shares[index] as Share).charged
      observer.onOutcome?.(rule.name, rule.unit, 'refused', cost)
    }
    this.#retryAtUs = clock.monotonicUs() + waitUs
  }

  /** Targets that what is left still pays for; `undefined` where there is none beyond what is paid for. */
  #rest(states: readonly CounterState[], charges: readonly Charge[], targets: Targets): Targets | undefined {
    const { bill } = this.#options
    let most = Number.POSITIVE_INFINITY
    for (const [index, { isOver, remaining }] of states.entries()) {
      const target = targets[index]
      if (isOver && charges[index]?.isEnforced === true && target !== undefined)
        most = Math.min(most, (this.#shares[index] as Share).payable(target, remaining, bill))
    }
    const rest = targets.map((target, index) =>
      target !== undefined && (this.#shares[index] as Share).isBeyond(most)
        ? Math.min(target, most)
        : undefined,
    )
    return rest.some((target) => target !== undefined) ? rest : undefined
  }
}

/** Up to how many output tokens each limit should pay for. */
type Targets = readonly (number | undefined)[]

interface Refused {
  readonly states: readonly CounterState[]
  readonly charges: readonly Charge[]
}

interface Asked {
  readonly answer: ReserveAnswer
  readonly charges: readonly Charge[]
  readonly targets: Targets
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

  /** Whether so many output tokens are more than what is paid for. */
  isBeyond(outputTokens: number): boolean {
    return outputTokens > this.#tokens
  }

  /** The most output tokens up to `target` that so many units more pay for. */
  payable(target: number, units: number, bill: Bill): number {
    let low = this.#tokens
    let high = target
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if (this.more(middle, bill).cost <= units) low = middle
      else high = middle - 1
    }
    return low
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

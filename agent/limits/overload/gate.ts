import type { After } from '#base/timers.ts'
import { AdaptiveLimit } from './adaptive-limit.ts'
import { Breaker, type BreakerState } from './breaker.ts'
import type { Call, Turn } from './call.ts'
import type { LoadReading } from './load/load-readings.ts'
import type { ModelLoad } from './observer.ts'
import { type Band, bands, FairQueue } from './queue/fair-queue.ts'
import { limitSettings, type ModelSettings } from './settings.ts'
import type { Tally } from './tally.ts'

/** Of the cache of keys and values a server has to keep a part free. */
const fullCache = 0.8
/** Periods without a measurement in which the last one still counts. */
const patiencePeriods = 3

export interface GateOptions {
  readonly model: string
  readonly version: string
  readonly settings: ModelSettings
  readonly tally: Tally
  readonly after: After
  readonly onBreaker: (state: BreakerState) => void
}

/**
 * One version of a model: how many of its calls run, which of the others is next. A call that runs is never taken back; its
 * place becomes free once, however often it is said to have ended.
 */
export class Gate {
  readonly model: string
  readonly version: string
  readonly settings: ModelSettings
  readonly #options: GateOptions
  readonly #limit: AdaptiveLimit
  readonly #queue: FairQueue<Call>
  readonly #breaker: Breaker | undefined
  #inFlight = 0
  /** The most that ran at once since the last reading. */
  #most = 0
  #reading: LoadReading | undefined
  #unknownPeriods = 0
  usedAtUs = 0

  constructor(options: GateOptions) {
    const { model, version, settings, onBreaker } = options
    this.model = model
    this.version = version
    this.settings = settings
    this.#options = options
    this.#limit = new AdaptiveLimit(limitSettings(settings.concurrency))
    this.#queue = new FairQueue(settings.queue.lowerBandEvery)
    this.#breaker = settings.breaker && new Breaker(settings.breaker, onBreaker)
  }

  /** Whether nothing would be lost but what the limit was. */
  get isIdle(): boolean {
    const isWell = this.#breaker === undefined || this.#breaker.state === 'closed'
    return this.#inFlight === 0 && this.#queue.length === 0 && isWell
  }

  /** Lets a call run at once, has it wait (`call.state` says so), or says why not. */
  enter(call: Call, nowUs: number): Turn | 'wait' {
    this.usedAtUs = nowUs
    call.passage = this.#breaker?.passage(nowUs) ?? 'pass'
    if (call.passage === 'refuse') return this.#shed(call, 'model_circuit_open')
    const { queue } = this.settings
    // Who tries whether the server is well is not made to wait for those that wait for that.
    if (call.passage === 'probe' || (this.#inFlight < this.#limit.calls && this.#queue.length === 0)) {
      this.#queue.pass(call)
      this.#run(call)
      return 'run'
    }
    if (call.atMostMs <= 0) return this.#shed(call, 'queue_timeout')
    if (this.#queue.waitingOf(call) >= queue.perTenant) return this.#shed(call, 'queue_full')
    if (this.#queue.length >= queue.total) {
      const other = this.#queue.yieldTo(call)
      if (other === undefined) return this.#shed(call, 'overloaded')
      this.#refuse(other, 'overloaded')
    }
    call.state = 'waiting'
    call.beganWaitingUs = nowUs
    this.#queue.add(call)
    call.stopTimer = this.#options.after(call.atMostMs, () => this.#expire(call))
    return 'wait'
  }

  retryAfterSeconds(nowUs: number): number {
    const isOpen = this.#breaker !== undefined && this.#breaker.state !== 'closed'
    return isOpen ? this.#breaker.retryAfterSeconds(nowUs) : this.settings.queue.retryAfterSeconds
  }

  /** What the server answered; `undefined` for what says nothing about it. */
  told(call: Call, isFailure: boolean | undefined, nowUs: number): void {
    if (call.isTold || call.state !== 'running') return
    call.isTold = true
    if (isFailure === undefined) this.#breaker?.untold(call.passage)
    else this.#breaker?.learn(call.passage, isFailure, nowUs)
    if (this.#breaker?.state === 'open') this.refuseAll('model_circuit_open')
  }

  /**
   * A call is over, or nobody wants it any more.
   *
   * @param actual what it really took; `undefined` where that is not known
   */
  leave(call: Call, actual: number | undefined, nowUs: number): void {
    if (call.state === 'waiting') return this.abandon(call)
    if (call.state !== 'running') return
    this.told(call, undefined, nowUs)
    call.state = 'ended'
    this.#inFlight--
    if (actual !== undefined) this.#queue.correct(call, actual - call.cost)
    this.#callNext(nowUs)
  }

  /** Takes a call out of the queue that nobody waits for any more. */
  abandon(call: Call): void {
    if (!this.#queue.remove(call)) return
    call.state = 'ended'
    this.#finish(call, 'queue_timeout')
  }

  /** Takes what was measured of a period. Nothing was: `undefined`. */
  measured(reading: LoadReading | undefined, nowUs: number): void {
    this.#reading = reading
    if (reading?.isQueueKnown !== true) {
      if (++this.#unknownPeriods > patiencePeriods) this.#limit.forget()
    } else {
      this.#unknownPeriods = 0
      const { completed, queueMs, serviceMs } = reading
      if (queueMs !== undefined) this.#limit.learn({ completed, queueMs, serviceMs }, this.#most, nowUs)
    }
    this.#most = this.#inFlight
    this.#callNext(nowUs)
  }

  refuseAll(reason: Exclude<Turn, 'run'>): void {
    for (const call of this.#queue.drain()) this.#refuse(call, reason)
  }

  load(): ModelLoad {
    const { model, version } = this
    const waiting = Object.fromEntries(bands.map((name, band) => [name, this.#queue.waitingIn(band)]))
    return {
      model,
      version,
      inFlight: this.#inFlight,
      limit: this.#limit.calls,
      waiting: waiting as Record<Band, number>,
      breaker: this.#breaker?.state,
      queueMs: this.#reading?.queueMs,
      batch: this.#reading?.batch,
      pending: this.#reading?.pending,
      utilization: this.utilization(),
    }
  }

  /** @see ModelLoad.utilization */
  utilization(): number {
    const { queueMs = 0, cacheUse = 0 } = this.#reading ?? {}
    return Math.max(
      this.#inFlight / this.#limit.calls,
      queueMs / this.settings.concurrency.queueTargetMs,
      cacheUse / fullCache,
    )
  }

  #run(call: Call): void {
    call.state = 'running'
    this.#inFlight++
    if (this.#inFlight > this.#most) this.#most = this.#inFlight
  }

  #callNext(nowUs: number): void {
    while (this.#inFlight < this.#limit.calls) {
      const call = this.#queue.next()
      if (call === undefined) return
      this.#run(call)
      this.#options.tally.waited(call.band, nowUs - call.beganWaitingUs)
      this.#finish(call, 'run')
    }
  }

  #expire(call: Call): void {
    if (this.#queue.remove(call)) this.#refuse(call, 'queue_timeout')
  }

  /** One that waited and is out of the queue. */
  #refuse(call: Call, reason: Exclude<Turn, 'run'>): void {
    call.state = 'ended'
    this.#finish(call, this.#shed(call, reason))
  }

  #finish(call: Call, turn: Turn): void {
    call.stopTimer?.()
    call.stopTimer = undefined
    call.resolve?.(turn)
    call.resolve = undefined
  }

  #shed<R extends Exclude<Turn, 'run'>>(call: Call, reason: R): R {
    this.#options.tally.shed(call.band, reason)
    return reason
  }
}

import type { Clock } from '#base/clock.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Decision, Pipeline } from '#decision/pipeline.ts'
import type { StreamWriter } from '#grpc/service.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import { type BodyModes, noModes } from './body-modes.ts'
import { callFailure } from './denial.ts'
import { moreTime, refusal } from './encode-process.ts'

export interface SessionOptions {
  readonly pipeline: Pipeline
  readonly log: Logger
  readonly clock: Clock
  readonly firstMessageTimeoutMs: number
  readonly writer: StreamWriter
  readonly overrides: ModeOverrides
}

/** Whether Envoy takes other modes from our answers than it was configured with, as far as its streams have shown. */
export interface ModeOverrides {
  areTaken: boolean
}

/** What the request's and the answer's side of a stream share: how Envoy is spoken to, and whether it still is. */
export class Conversation {
  readonly options: SessionOptions
  /** What Envoy was configured to send. */
  modes: BodyModes = noModes
  isObserving = false
  /** Refused, or ended before its time: nothing is answered any more. */
  isRefused = false
  /** Ended with the stream, however that ends. */
  exchange: Exchange | undefined
  #isOver = false
  #isDeciding = false

  constructor(options: SessionOptions) {
    this.options = options
  }

  /** The stages are at work; nothing comes meanwhile. */
  get isDeciding(): boolean {
    return this.#isDeciding
  }

  send(message: Uint8Array): void {
    if (!this.#isOver && !this.isObserving) this.options.writer.send(message)
  }

  refuse(x: Exchange, decision: Decision): void {
    if (decision.kind === 'allow') throw new Error('an allowed request cannot be refused')
    this.isRefused = true
    const failure = callFailure(decision)
    if (failure === undefined) this.send(refusal(x, decision))
    else if (!this.#isOver && !this.isObserving) this.options.writer.close(failure)
  }

  /** The request waits for its turn: Envoy is asked to be patient, which it takes once for each message. */
  waits(): void {
    this.send(moreTime(this.options.firstMessageTimeoutMs))
  }

  /** Goes on with `then` once the stages have answered; until then the stream is paused. */
  whenDecided(decision: Decision | Promise<Decision>, then: (decision: Decision) => void): void {
    if (!(decision instanceof Promise)) return then(decision)
    const { log, writer } = this.options
    this.#isDeciding = true
    writer.pause()
    decision
      .then((late) => {
        this.#isDeciding = false
        if (this.#isOver) return this.#abandon()
        then(late)
        writer.resume()
      })
      .catch((cause: unknown) => {
        log.error({ err: cause }, 'ext_proc: session failed')
        writer.close({ code: 13, message: 'session failed' })
      })
  }

  /** The stream is over. May be told more than once. */
  ended(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.exchange?.waiting?.abandon()
    // Stages that are still at work may yet take something: what they took is given back when they are done.
    if (!this.#isDeciding) this.#release()
  }

  /** The stream ended while the stages were at work: nobody was told what they decided. */
  #abandon(): void {
    const { exchange, isObserving, options } = this
    if (exchange === undefined || exchange.served !== undefined || isObserving) return this.#release()
    options.pipeline.abandon(exchange)
  }

  #release(): void {
    if (this.exchange !== undefined) this.options.pipeline.end(this.exchange)
  }
}

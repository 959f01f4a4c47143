import type { Exchange, QuotaHold, ServedFacts } from '#decision/exchange.ts'
import type { AnswerMeter } from '#decision/usage.ts'

/** Whether what a call costs is found in its answer, and can be. */
export function isMetered(x: Exchange): boolean {
  return x.hold?.isMetered === true && x.meter !== undefined
}

/** An answer that is measured as it passes, and may be ended where what was reserved for it is used up. */
export class MeteredAnswer {
  readonly #meter: AnswerMeter
  readonly #hold: QuotaHold
  /** Whether the answer is to be ended here. */
  isUsedUp = false

  /** `undefined` where nothing has to be measured. */
  static of({ hold, meter }: Exchange): MeteredAnswer | undefined {
    return hold?.isMetered === true && meter !== undefined ? new MeteredAnswer(meter, hold) : undefined
  }

  constructor(meter: AnswerMeter, hold: QuotaHold) {
    this.#meter = meter
    this.#hold = hold
  }

  begin({ httpStatus, headers, isBodyComplete }: ServedFacts): void {
    this.#meter.begin({
      httpStatus,
      contentType: headers.single('content-type') ?? '',
      contentEncoding: headers.single('content-encoding') ?? '',
    })
    if (isBodyComplete) this.#meter.feed(nothing, true)
  }

  /**
   * Measures a piece, which is the last one that the client may be given where `isUsedUp` says so afterwards.
   *
   * @returns what goes to the client in its place
   */
  feed(piece: Uint8Array, isEnd: boolean): Uint8Array {
    const given = this.#meter.feed(piece, isEnd)
    // What is whole has been computed: nothing would be saved by ending it.
    this.isUsedUp = !isEnd && this.#hold.progress(this.#meter.metered()) === 'stop'
    return given
  }

  /** The body ended without a piece that said so. @returns what was kept back until then. */
  finish(): Uint8Array {
    return this.#meter.feed(nothing, true)
  }

  farewell(text: string): Uint8Array | undefined {
    return this.#meter.farewell(text)
  }
}

const nothing = new Uint8Array()

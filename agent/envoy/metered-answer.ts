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
   * Measures a piece, of which no more than what is returned goes to the client where `isUsedUp` says so afterwards.
   *
   * @returns what goes to the client in its place
   */
  feed(piece: Uint8Array, isEnd: boolean): Uint8Array {
    const cut = this.#hold.isGrowing ? eventEnd(piece, 0) : piece.length
    return cut < piece.length ? this.#byEvents(piece, cut, isEnd) : this.#measure(piece, isEnd)
  }

  /** Several events in one piece are measured one by one: what is left may be enough for the first of them only. */
  #byEvents(piece: Uint8Array, firstCut: number, isEnd: boolean): Uint8Array {
    const given: Uint8Array[] = []
    let from = 0
    for (let cut = firstCut; from < piece.length && !this.isUsedUp; cut = eventEnd(piece, from)) {
      given.push(this.#measure(piece.subarray(from, cut), isEnd && cut === piece.length))
      from = cut
    }
    return Buffer.concat(given)
  }

  #measure(piece: Uint8Array, isEnd: boolean): Uint8Array {
    const given = this.#meter.feed(piece, isEnd)
    // Behind the end there is nothing left to be kept back.
    if (!isEnd && this.#hold.isGrowing) this.isUsedUp = this.#hold.progress(this.#meter.metered()) === 'stop'
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
const lf = 10
const cr = 13

/** Where the server-sent event that goes on at `from` ends: behind its blank line, or with the piece. */
function eventEnd(piece: Uint8Array, from: number): number {
  for (let at = piece.indexOf(lf, from); at !== -1; at = piece.indexOf(lf, at + 1)) {
    if (piece[at + 1] === lf) return at + 2
    if (piece[at + 1] === cr && piece[at + 2] === lf) return at + 3
  }
  return piece.length
}

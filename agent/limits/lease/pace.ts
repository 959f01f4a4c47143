/** How fast units are taken from a counter by this process: counted over spans of fixed length. */
export class Pace {
  readonly #spanUs: number
  #startUs: number
  #units = 0
  #calls = 0
  #unitsBefore = 0
  #callsBefore = 0

  constructor(spanUs: number, nowUs: number) {
    this.#spanUs = spanUs
    this.#startUs = nowUs
  }

  take(units: number, nowUs: number): void {
    this.#roll(nowUs)
    this.#units += units
    this.#calls++
  }

  /** Units of the busier of this span and the one before. */
  unitsPerSpan(nowUs: number): number {
    this.#roll(nowUs)
    return Math.max(this.#units, this.#unitsBefore)
  }

  /** What one call took on average; at least 1. */
  unitsPerCall(): number {
    const calls = this.#calls + this.#callsBefore
    return calls === 0 ? 1 : Math.max(1, (this.#units + this.#unitsBefore) / calls)
  }

  #roll(nowUs: number): void {
    const elapsedUs = nowUs - this.#startUs
    if (elapsedUs < this.#spanUs) return
    const isNext = elapsedUs < 2 * this.#spanUs
    this.#unitsBefore = isNext ? this.#units : 0
    this.#callsBefore = isNext ? this.#calls : 0
    this.#units = 0
    this.#calls = 0
    this.#startUs = isNext ? this.#startUs + this.#spanUs : nowUs
  }
}

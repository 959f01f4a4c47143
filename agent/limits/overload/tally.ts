import { type OverloadCounts, type ShedReason, shedReasons } from './observer.ts'
import { bands } from './queue/fair-queue.ts'

/** Counts what was refused and what waited. */
export class Tally {
  readonly #shed = bands.map(() => new Map<ShedReason, number>())
  readonly #calls = bands.map(() => 0)
  readonly #sumsUs = bands.map(() => 0)

  shed(band: number, reason: ShedReason): void {
    const counts = this.#shed[band]
    counts?.set(reason, (counts.get(reason) ?? 0) + 1)
  }

  waited(band: number, forUs: number): void {
    this.#calls[band] = (this.#calls[band] ?? 0) + 1
    this.#sumsUs[band] = (this.#sumsUs[band] ?? 0) + forUs
  }

  counts(): OverloadCounts {
    const byBand = <T>(read: (band: number) => T) =>
      Object.fromEntries(bands.map((name, band) => [name, read(band)])) as Record<(typeof bands)[number], T>
    return {
      shed: byBand(
        (band) =>
          Object.fromEntries(
            shedReasons.map((reason) => [reason, this.#shed[band]?.get(reason) ?? 0]),
          ) as Record<ShedReason, number>,
      ),
      waited: byBand((band) => ({ calls: this.#calls[band] ?? 0, sumUs: this.#sumsUs[band] ?? 0 })),
    }
  }
}

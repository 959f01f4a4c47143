/** What a person has to mend: where it is, what was found there, what was expected. */
export interface Fault {
  /** Stable, lower-case, underscore-separated; fit for a metric label. */
  readonly code: string
  /** `file:line`, a JSON path, a resource name, a URL: wherever the reader must look. */
  readonly place: string
  readonly found: string
  readonly expected: string
  readonly cause?: unknown
}

/** Faults whose text an error has; of the rest it says how many there are. */
const maxTold = 20

/**
 * One or more mistakes outside the program that a person must mend. Printed once, where it is handled.
 * `code`, `place`, `found` and `expected` are those of the first.
 */
export class SluiceError extends Error {
  override readonly name = 'SluiceError'
  readonly code: string
  readonly place: string
  readonly found: string
  readonly expected: string
  readonly faults: readonly Fault[]

  constructor(first: Fault, ...others: readonly Fault[]) {
    const faults = [first, ...others]
    const lines = faults
      .slice(0, maxTold)
      .map(({ place, found, expected }) => `${place}: ${found}; expected ${expected}`)
    if (faults.length > maxTold) lines.push(`… and ${faults.length - maxTold} more`)
    super(lines.join('\n'), { cause: first.cause })
    this.code = first.code
    this.place = first.place
    this.found = first.found
    this.expected = first.expected
    this.faults = faults
  }
}

/** Throws one error for all faults; does nothing when there are none. */
export function throwFaults(faults: readonly Fault[]): void {
  const [first, ...others] = faults
  if (first !== undefined) throw new SluiceError(first, ...others)
}

/** The text of anything that was thrown (JavaScript lets people throw strings, and the wasm runtime does). */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

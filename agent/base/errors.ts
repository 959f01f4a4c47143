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

/** A mistake outside the program that a person must mend. Printed once, where it is handled. */
export class SluiceError extends Error {
  override readonly name = 'SluiceError'
  readonly code: string
  readonly place: string
  readonly found: string
  readonly expected: string

  constructor(fault: Fault) {
    super(`${fault.place}: ${fault.found}; expected ${fault.expected}`, { cause: fault.cause })
    this.code = fault.code
    this.place = fault.place
    this.found = fault.found
    this.expected = fault.expected
  }
}

/** The text of anything that was thrown (JavaScript lets people throw strings, and the wasm runtime does). */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

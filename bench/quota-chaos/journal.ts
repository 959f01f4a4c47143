import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'

/** A call that was let through. Times are of the clock that all processes of a machine share. */
export interface Admission {
  readonly id: string
  /** Right before the store was asked, and right after it had answered. */
  readonly beforeUs: number
  readonly afterUs: number
  /** Wall time of `beforeUs`. */
  readonly wallMs: number
  /** Units by limit. */
  readonly costs: Readonly<Record<string, number>>
  /** The counter beside the limits that it was charged to as well, and the units. */
  readonly ledger: string
}

export interface Settlement {
  readonly id: string
  /** Right before the store was told. */
  readonly atUs: number
  readonly units: Readonly<Record<string, number>>
}

export type Line =
  | ({ readonly kind: 'admitted' } & Admission)
  | ({ readonly kind: 'settled' } & Settlement)
  /** The process has come to its end in good order; nothing of it is under way. */
  | { readonly kind: 'ended' }

/** Written at once, so that a process that is killed has told everything up to then. */
export function openJournal(path: string): Disposable & { write(line: Line): void } {
  const file = openSync(path, 'a')
  return {
    write: (line) => {
      writeSync(file, `${JSON.stringify(line)}\n`)
    },
    [Symbol.dispose]: () => closeSync(file),
  }
}

/** What a process has told; a last line that was cut off by its end is left out. */
export function readJournal(path: string): Line[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  // Behind the last line end there is nothing, or half a line.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as Line)
}

/** Microseconds of the clock that does not go back and that all processes of a machine share. */
export function sharedUs(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

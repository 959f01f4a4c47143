import type { Difference } from '../differences.ts'

/** A named CheckRequest. `differs` names an entry of `differences.ts` where the two sides are meant to disagree. */
export interface Case {
  readonly name: string
  readonly bytes: Buffer
  readonly differs?: Difference
}

export function caseOf(name: string, bytes: Buffer, differs: Difference | undefined): Case {
  return { name, bytes, ...(differs !== undefined && { differs }) }
}

export const json = 'application/json'
export const form = 'application/x-www-form-urlencoded'
export const octets = (...codes: number[]) => Buffer.from(codes)

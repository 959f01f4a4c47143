import { hash } from 'node:crypto'

/** Everybody's place on the line from 0 to this. */
const line = 1_000_000n

export interface WeightedVersion {
  readonly version: string
  /** Parts per million; all of a route add up to a million. */
  readonly weight: number
}

/**
 * Chooses a version for a key: the same key, salt and weights always give the same one, shares are exact in the long
 * run, and a version that stands earlier only gains keys when it grows and only loses them when it shrinks.
 *
 * @param versions candidates first, stable last
 */
export function pick(versions: readonly WeightedVersion[], salt: string, key: string): string {
  // Lengths first: no pair of salt and key can spell another pair.
  const digest = hash('sha256', `${salt.length}:${salt}${key.length}:${key}`, 'hex')
  let place = Number(BigInt(`0x${digest.slice(0, 16)}`) % line)
  for (const { version, weight } of versions) {
    if (place < weight) return version
    place -= weight
  }
  throw new RangeError('the weights of a route do not add up to a million')
}

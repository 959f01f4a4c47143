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
 * run, and a version that stands first only gains keys when it grows and only loses them when it shrinks.
 *
 * @param versions candidates first, stable last
 */
export function pick(versions: readonly WeightedVersion[], salt: string, key: string): string {
  let place = placeOf(salt, key)
  for (const { version, weight } of versions) {
    if (place < weight) return version
    place -= weight
  }
  throw new RangeError('the weights of a route do not add up to a million')
}

/**
 * Where a key stands on the line: the first eight bytes of SHA-256 over salt and key, big-endian, modulo a million. Each
 * is written as a netstring without the comma (length in bytes, colon, text), so that no pair can spell another pair.
 * Whoever else has to know who is where (a dashboard, another proxy) computes the same.
 */
export function placeOf(salt: string, key: string): number {
  const text = `${Buffer.byteLength(salt)}:${salt}${Buffer.byteLength(key)}:${key}`
  return Number(BigInt(`0x${hash('sha256', text, 'hex').slice(0, 16)}`) % line)
}

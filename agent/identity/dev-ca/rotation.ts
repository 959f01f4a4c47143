/** Of half of a life: not all of those that were issued together are renewed together. */
const jitterPart = 0.1

/**
 * When to renew what was issued at a time for a while: at half of its life, a tenth of that sooner or later.
 *
 * @param random from 0 to 1.
 */
export function renewalMs(issuedMs: number, ttlSeconds: number, random: number): number {
  const halfMs = ttlSeconds * 500
  return issuedMs + Math.round(halfMs * (1 + jitterPart * (2 * random - 1)))
}

/** Clocks are never quite the same: what is issued is valid so much earlier. */
export const leewayMs = 60_000

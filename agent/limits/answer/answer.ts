import type { Header, QuotaNotice } from '#decision/verdict.ts'
import { writeInteger, writeMember, writeString } from './structured-field.ts'

/** Units that the draft registers, by those of QuotaPolicy; `requests` is what a client takes where none is said. */
const registered: ReadonlyMap<string, string> = new Map([
  ['requests', 'requests'],
  ['requestBytes', 'content-bytes'],
  ['responseBytes', 'content-bytes'],
  ['bytes', 'content-bytes'],
  ['concurrency', 'concurrent-requests'],
])
/** Says the unit where none of the registered ones fits. */
const ownUnit = 'sluice-unit'

/** The names of the two headers. @see draft-ietf-httpapi-ratelimit-headers-11 */
export const policyHeader = 'ratelimit-policy'
export const stateHeader = 'ratelimit'

/** Of more limits than this clients read nothing: they and proxies refuse headers that are too long (Node.js at 16 KiB). */
export const maxTold = 32

/** A limit as it is declared, without how it stands. */
export type Advertised = Pick<QuotaNotice, 'name' | 'unit' | 'quota' | 'windowSeconds'>

/** The `RateLimit-Policy` and `RateLimit` headers of limits, in their order; none where there are no limits. */
export function rateLimitHeaders(notices: readonly QuotaNotice[]): readonly Header[] {
  if (notices.length === 0) return []
  return [
    [policyHeader, notices.map(policyText).join(', ')],
    [stateHeader, notices.map((each) => stateWriter(each)(each.remaining, each.resetSeconds)).join(', ')],
  ]
}

/** What `RateLimit-Policy` says of one limit. */
export function policyText({ name, unit, quota, windowSeconds }: Advertised): string {
  const known = registered.get(unit)
  return writeMember({
    name,
    parameters: [
      ['q', quota],
      ...(windowSeconds === undefined ? [] : [['w', Math.max(1, windowSeconds)] as const]),
      ...(known === 'requests' ? [] : [[known === undefined ? ownUnit : 'qu', known ?? unit] as const]),
    ],
  })
}

/**
 * Writes what `RateLimit` says of one limit. Its name is written once: most answers carry this.
 */
export function stateWriter({
  name,
  windowSeconds,
}: Advertised): (remaining: number, resetSeconds: number) => string {
  const begin = `${writeString(name)};r=`
  // Nobody knows when a call that runs will end.
  if (windowSeconds === undefined) return (remaining) => begin + writeInteger(remaining)
  return (remaining, resetSeconds) =>
    `${begin}${writeInteger(remaining)}${Number.isFinite(resetSeconds) ? `;t=${writeInteger(resetSeconds)}` : ''}`
}

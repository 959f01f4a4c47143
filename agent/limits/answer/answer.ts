import type { Header, QuotaNotice } from '#decision/verdict.ts'
import { type Member, writeList } from './structured-field.ts'

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

/**
 * The `RateLimit-Policy` and `RateLimit` headers of limits, in their order; none where there are no limits.
 *
 * @see draft-ietf-httpapi-ratelimit-headers-11
 */
export function rateLimitHeaders(notices: readonly QuotaNotice[]): readonly Header[] {
  if (notices.length === 0) return []
  return [
    ['ratelimit-policy', writeList(notices.map(policyMember))],
    ['ratelimit', writeList(notices.map(stateMember))],
  ]
}

function policyMember({ name, unit, quota, windowSeconds }: QuotaNotice): Member {
  const known = registered.get(unit)
  return {
    name,
    parameters: [
      ['q', quota],
      ...(windowSeconds === undefined ? [] : [['w', Math.max(1, windowSeconds)] as const]),
      ...(known === 'requests' ? [] : [[known === undefined ? ownUnit : 'qu', known ?? unit] as const]),
    ],
  }
}

function stateMember({ name, remaining, resetSeconds, windowSeconds }: QuotaNotice): Member {
  const parameters: (readonly [string, number])[] = [['r', remaining]]
  // Nobody knows when a call that runs will end.
  if (windowSeconds !== undefined && Number.isFinite(resetSeconds)) parameters.push(['t', resetSeconds])
  return { name, parameters }
}

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

/** Of what clients of OpenAI's API read how many are left; the units have the same names here. */
const openAiUnits: readonly string[] = ['requests', 'tokens']

/** How a limit stands, as clients of OpenAI's API are told. */
export type Standing = Pick<QuotaNotice, 'unit' | 'quota' | 'remaining' | 'resetSeconds'>

/** Whether clients of OpenAI's API are told of limits in this unit. */
export function isOpenAiUnit(unit: string): boolean {
  return openAiUnits.includes(unit)
}

/**
 * The `x-ratelimit-` headers of OpenAI's API: of requests and of tokens the limit with the least left. Several limits of one
 * unit have no place there.
 *
 * @see https://platform.openai.com/docs/guides/rate-limits
 */
export function openAiHeaders(standings: readonly Standing[]): readonly Header[] {
  const headers: Header[] = []
  for (const unit of openAiUnits) {
    let least: Standing | undefined
    for (const each of standings)
      if (each.unit === unit && (least === undefined || each.remaining < least.remaining)) least = each
    if (least === undefined) continue
    headers.push(
      [`x-ratelimit-limit-${unit}`, String(least.quota)],
      [`x-ratelimit-remaining-${unit}`, String(Math.max(0, Math.floor(least.remaining)))],
    )
    if (Number.isFinite(least.resetSeconds))
      headers.push([`x-ratelimit-reset-${unit}`, duration(least.resetSeconds)])
  }
  return headers
}

/** As Go writes durations: `6m0s`. */
function duration(seconds: number): string {
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor(seconds / 60) % 60
  const text = `${seconds % 60}s`
  if (hours > 0) return `${hours}h${minutes}m${text}`
  return minutes > 0 ? `${minutes}m${text}` : text
}

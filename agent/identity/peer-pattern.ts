import { segmentFault, trustDomainFault } from './spiffe-id.ts'

/** A set of SPIFFE IDs: exact segments, `*` for one segment, a trailing `**` for one or more. */
export interface PeerPattern {
  readonly trustDomain: string
  readonly segments: readonly string[]
}

export type ParsedPattern =
  | { readonly ok: true; readonly pattern: PeerPattern }
  | { readonly ok: false; readonly why: string }

/** Parses a pattern of a Tenant's `peers`. The trust domain is always exact. */
export function parsePeerPattern(text: string): ParsedPattern {
  const no = (why: string): ParsedPattern => ({ ok: false, why })
  if (!text.startsWith('spiffe://')) return no('does not start with spiffe://')
  const [trustDomain = '', ...segments] = text.slice('spiffe://'.length).split('/')
  const wrong = trustDomainFault(trustDomain)
  if (wrong !== undefined) return no(wrong)
  if (segments.length === 0) return no('has no path')
  for (const [index, segment] of segments.entries()) {
    if (segment === '*' || (segment === '**' && index === segments.length - 1)) continue
    const fault = segmentFault(segment)
    if (fault !== undefined)
      return no(segment.includes('*') ? '* stands for a whole segment, ** only at the end' : fault)
  }
  return { ok: true, pattern: { trustDomain, segments } }
}

/** Matches whole segments, never a part of one: `ns/acme` is not a prefix of `ns/acme2`. */
export function matchesPeer(pattern: PeerPattern, trustDomain: string, path: readonly string[]): boolean {
  const { segments } = pattern
  if (pattern.trustDomain !== trustDomain) return false
  const isOpen = segments.at(-1) === '**'
  if (isOpen ? path.length < segments.length : path.length !== segments.length) return false
  const exact = isOpen ? segments.length - 1 : segments.length
  for (let i = 0; i < exact; i++) {
    if (segments[i] !== '*' && segments[i] !== path[i]) return false
  }
  return true
}

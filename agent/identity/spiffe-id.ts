/** A SPIFFE ID of a workload: it has been parsed, so it cannot be wrong. */
export interface SpiffeId {
  readonly text: string
  readonly trustDomain: string
  /** At least one segment. */
  readonly path: readonly string[]
}

export type ParsedSpiffeId =
  | { readonly ok: true; readonly id: SpiffeId }
  | { readonly ok: false; readonly why: string }

const scheme = 'spiffe://'
const maxBytes = 2048
const maxTrustDomainBytes = 255

/**
 * Parses the SPIFFE ID of a workload, byte by byte: nothing is normalised, decoded or folded, so that one identity has
 * one spelling. A bare trust domain is no workload.
 *
 * @see SPIFFE-ID.md, section 2
 */
export function parseSpiffeId(text: string): ParsedSpiffeId {
  const no = (why: string): ParsedSpiffeId => ({ ok: false, why })
  if (text.length > maxBytes) return no('longer than 2048 bytes')
  if (!text.startsWith(scheme)) return no('does not start with spiffe://')
  const slash = text.indexOf('/', scheme.length)
  const trustDomain = slash === -1 ? text.slice(scheme.length) : text.slice(scheme.length, slash)
  const wrong = trustDomainFault(trustDomain)
  if (wrong !== undefined) return no(wrong)
  if (slash === -1) return no('has no path: a trust domain is no workload')
  const path = text.slice(slash + 1).split('/')
  for (const segment of path) {
    const fault = segmentFault(segment)
    if (fault !== undefined) return no(fault)
  }
  return { ok: true, id: { text, trustDomain, path } }
}

/** Why this is no trust domain name; `undefined` when it is one. */
export function trustDomainFault(name: string): string | undefined {
  if (name === '') return 'the trust domain is empty'
  if (name.length > maxTrustDomainBytes) return 'the trust domain is longer than 255 bytes'
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    if (!isLower(code) && !isDigit(code) && !isPunctuation(code))
      return 'the trust domain has a character outside a-z 0-9 . - _'
  }
  return undefined
}

/** Why this is no path segment; `undefined` when it is one. */
export function segmentFault(segment: string): string | undefined {
  if (segment === '') return 'the path has an empty segment'
  if (segment === '.' || segment === '..') return 'the path has a dot segment'
  for (let i = 0; i < segment.length; i++) {
    const code = segment.charCodeAt(i)
    if (!isLower(code) && !(code >= 0x41 && code <= 0x5a) && !isDigit(code) && !isPunctuation(code)) {
      return 'the path has a character outside a-z A-Z 0-9 . - _'
    }
  }
  return undefined
}

const isLower = (code: number) => code >= 0x61 && code <= 0x7a
const isDigit = (code: number) => code >= 0x30 && code <= 0x39
const isPunctuation = (code: number) => code === 0x2d || code === 0x2e || code === 0x5f

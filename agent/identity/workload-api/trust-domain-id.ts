import { trustDomainFault } from '../spiffe-id.ts'

export type ParsedTrustDomain =
  | { readonly ok: true; readonly trustDomain: string }
  | { readonly ok: false; readonly why: string }

const scheme = 'spiffe://'

/** The SPIFFE ID of a trust domain, by which the Workload API keys its bundles. */
export function parseTrustDomainId(text: string): ParsedTrustDomain {
  if (!text.startsWith(scheme)) return { ok: false, why: 'a key that does not start with spiffe://' }
  const trustDomain = text.slice(scheme.length)
  const why = trustDomainFault(trustDomain)
  return why === undefined ? { ok: true, trustDomain } : { ok: false, why }
}

export function trustDomainId(trustDomain: string): string {
  return scheme + trustDomain
}

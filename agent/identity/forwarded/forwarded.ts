import { LRUCache } from 'lru-cache'
import { SluiceError } from '#base/errors.ts'
import type { ForwardedPeer, Peer } from '#decision/exchange.ts'
import type { RequestHeaders } from '#decision/request-headers.ts'
import { matchesPeer, type PeerPattern, parsePeerPattern } from '../peer-pattern.ts'
import { parseSpiffeId } from '../spiffe-id.ts'
import { parseLeafPem } from '../x509/leaf.ts'
import type { ParsedXfcc, XfccElement } from './element.ts'
import { parseXfccJson } from './json.ts'
import { parseXfccText } from './text.ts'

export const forwardedHeader = 'x-forwarded-client-cert'

export type Forwarded =
  /** Nobody said anything of an earlier hop. */
  | { readonly kind: 'none' }
  /** The header is there, and nobody's word that counts. */
  | { readonly kind: 'ignored' }
  | { readonly kind: 'forwarded'; readonly peer: ForwardedPeer }
  | { readonly kind: 'invalid'; readonly why: string }

export interface ForwardedReader {
  /** What the header says of the hop before the peer, whose certificate was verified. */
  read(headers: RequestHeaders, peer: Peer): Forwarded
}

/** A chain in it, URL-encoded; no gateway needs more. */
const maxCharacters = 32_768
/** Clients of the gateways whose word is remembered. */
const maxRemembered = 1024

type Claim =
  | { readonly kind: 'none' }
  | { readonly kind: 'claim'; readonly spiffeId: string; readonly certificateSha256?: string }
  | { readonly kind: 'invalid'; readonly why: string }

interface Read {
  /** Of the last element: who the header must have come through. */
  readonly lastHash: string | undefined
  readonly claim: Claim
}

/**
 * Reads `x-forwarded-client-cert` of trusted gateways. Envoy in front of us must append (APPEND_FORWARD): its element is
 * the last one, and must be of the peer's own certificate. The one before it is the gateway's word on its client.
 *
 * @throws SluiceError for a pattern that is none.
 */
export function createForwardedReader(trustedForwarders: readonly string[]): ForwardedReader {
  const patterns = trustedForwarders.map(patternOf)
  const remembered = new LRUCache<string, Read>({ max: maxRemembered })
  return {
    read: (headers, peer) => {
      if (!headers.has(forwardedHeader)) return none
      if (!patterns.some((pattern) => matchesPeer(pattern, peer.trustDomain, peer.path))) return ignored
      const text = headers.single(forwardedHeader)
      if (text === undefined) return invalid('more than one header')
      let read = remembered.get(text)
      if (read === undefined) {
        read = readHeader(text)
        remembered.set(text, read)
      }
      const { lastHash, claim } = read
      if (claim.kind === 'invalid') return claim
      if (lastHash !== peer.certificateSha256)
        return invalid('the last element is not of the certificate of the peer')
      if (claim.kind === 'none') return none
      const { kind, ...said } = claim
      return { kind: 'forwarded', peer: { ...said, by: peer.spiffeId } }
    },
  }
}

const none: Forwarded = { kind: 'none' }
const ignored: Forwarded = { kind: 'ignored' }
const invalid = (why: string) => ({ kind: 'invalid', why }) as const

function patternOf(text: string): PeerPattern {
  const parsed = parsePeerPattern(text)
  if (parsed.ok) return parsed.pattern
  throw new SluiceError({
    code: 'trusted_forwarder_invalid',
    place: 'identity.trustedForwarders',
    found: `${text}: ${parsed.why}`,
    expected: 'a SPIFFE ID pattern such as spiffe://example.org/ns/gateways/**',
  })
}

function readHeader(text: string): Read {
  const parsed: ParsedXfcc =
    text.length > maxCharacters
      ? { ok: false, why: `longer than ${maxCharacters} characters` }
      : text.startsWith('[')
        ? parseXfccJson(text)
        : parseXfccText(text)
  if (!parsed.ok) return { lastHash: undefined, claim: invalid(parsed.why) }
  const { elements, format } = parsed
  const before = elements.at(-2)
  return {
    lastHash: elements.at(-1)?.hash,
    claim: before === undefined ? { kind: 'none' } : claimOf(before, format, elements.length),
  }
}

/**
 * Who an element is of. Envoy writes URIs as they stand in the certificate. In text a certificate can therefore bring
 * pairs and elements of its own: only where there cannot be any is the text believed.
 */
function claimOf(element: XfccElement, format: 'text' | 'json', elements: number): Claim {
  const { hash, certificate, uris, isUriLast } = element
  const [uri, second] = uris
  if (second !== undefined) return invalid('more than one URI')
  if (format === 'text' && elements > 2)
    return invalid('more than two elements as text; a gateway must not append to what its client sent')
  if (uri === undefined) return { kind: 'none' }
  const parsed = parseSpiffeId(uri)
  if (!parsed.ok) return invalid(`URI: ${parsed.why}`)
  const spiffeId = parsed.id.text
  if (certificate === undefined) {
    if (!isUriLast) return invalid('something stands behind the URI, and there is no certificate to compare')
    return { kind: 'claim', spiffeId, ...(hash !== undefined && { certificateSha256: hash }) }
  }
  const leaf = parseLeafPem(certificate)
  if (!leaf.ok) return invalid(`certificate: ${leaf.why}`)
  const { id, certificate: own } = leaf.leaf
  if (id.text !== spiffeId || (hash !== undefined && own.sha256 !== hash))
    return invalid('the certificate is not the one of the URI and the hash')
  return { kind: 'claim', spiffeId, certificateSha256: own.sha256 }
}

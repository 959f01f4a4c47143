import type { ReasonCode } from '#decision/reasons.ts'
import type { RequestHeaders } from '#decision/request-headers.ts'

/** The one access token of a request, as it was sent: its form is right, and nothing is proven. */
export type Credential =
  | { readonly kind: 'none' }
  | {
      /** The scheme it came with. */
      readonly kind: 'bearer' | 'dpop'
      readonly token: string
      /** The proof of possession; there with `dpop` only, and there always. */
      readonly proof?: string
    }
  | { readonly kind: 'refused'; readonly reason: ReasonCode; readonly why: string }

/** Of a token, and of a proof. */
const maxCharacters = 8192
/** Names under which other servers take a token in the query. */
const queryName = 'access_token'

const none: Credential = { kind: 'none' }

/**
 * Reads the access token of a request. There may be one, in one `Authorization` header, as one scheme: where there are
 * two, readers differ in which one they believe.
 *
 * @param query of the request's path, undecoded, with or without its question mark
 * @see RFC 6750, 2; RFC 9449, 7.1; RFC 9110, 11.4
 */
export function readCredential(headers: RequestHeaders, query: string): Credential {
  if (namesToken(query)) return ambiguous('an access token in the query')
  const given = headers.all('authorization')
  const proofs = headers.all('dpop')
  if (given.length > 1) return ambiguous('more than one Authorization header')
  if (proofs.length > 1) return ambiguous('more than one DPoP header')
  const [value] = given
  const [proof] = proofs
  if (value === undefined)
    return proof === undefined ? none : malformed('a proof of possession without an access token')
  const space = value.indexOf(' ')
  const scheme = (space === -1 ? value : value.slice(0, space)).toLowerCase()
  if (scheme !== 'bearer' && scheme !== 'dpop')
    return isOtherScheme(scheme) ? other(value, proof) : malformed('no scheme in Authorization')
  if (space === -1) return malformed(`${scheme} without a token`)
  let start = space
  while (value.charCodeAt(start) === 0x20) start++
  const token = value.slice(start)
  const fault = tokenFault(token)
  if (fault !== undefined) return fault
  if (scheme === 'bearer') {
    if (proof !== undefined) return ambiguous('a Bearer token with a proof of possession')
    return { kind: 'bearer', token }
  }
  if (proof === undefined)
    return { kind: 'refused', reason: 'dpop_proof_invalid', why: 'the DPoP scheme without a proof' }
  if (proof.length > maxCharacters || !compactToken.test(proof))
    return { kind: 'refused', reason: 'dpop_proof_invalid', why: 'the proof is no compact token' }
  return { kind: 'dpop', token, proof }
}

function ambiguous(why: string): Credential {
  return { kind: 'refused', reason: 'credentials_ambiguous', why }
}

function malformed(why: string): Credential {
  return { kind: 'refused', reason: 'token_malformed', why }
}

/** Another scheme is somebody else's credential, unless one of ours hides in it. */
function other(value: string, proof: string | undefined): Credential {
  if (proof !== undefined) return ambiguous('a proof of possession with another scheme')
  return hidesToken(value) ? ambiguous('several credentials in one Authorization header') : none
}

function hidesToken(value: string): boolean {
  const lower = value.toLowerCase()
  for (let comma = lower.indexOf(','); comma !== -1; comma = lower.indexOf(',', comma + 1)) {
    let at = comma + 1
    while (lower.charCodeAt(at) === 0x20 || lower.charCodeAt(at) === 0x09) at++
    if (lower.startsWith('bearer', at) || lower.startsWith('dpop', at)) return true
  }
  return false
}

/** ALPHA, DIGIT and `-._~+/`, then padding. Linear, and quicker than a loop over the characters. */
const b64token = /^[A-Za-z0-9._~+/-]+=*$/

/** Why this is no `b64token`. @see RFC 6750, 2.1 */
function tokenFault(token: string): Credential | undefined {
  if (token === '') return malformed('an empty token')
  if (token.length > maxCharacters) return malformed(`a token longer than ${maxCharacters} characters`)
  if (b64token.test(token)) return undefined
  return token.includes(',') || token.includes(' ')
    ? ambiguous('something follows the token')
    : malformed('a character that no token has')
}

/** Base64url and full stops; what they say is for whoever checks the proof. */
const compactToken = /^[A-Za-z0-9._-]+$/

/** @see RFC 9110, 5.6.2 */
function isOtherScheme(scheme: string): boolean {
  return /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(scheme)
}

/** Whether a parameter of the query is called `access_token`, also where its name is escaped or in another case. */
function namesToken(query: string): boolean {
  // Few queries say any of this.
  if (!/token|%/i.test(query)) return false
  const from = query.startsWith('?') ? 1 : 0
  for (const pair of query.slice(from).split(/[&;]/)) {
    const equals = pair.indexOf('=')
    const name = equals === -1 ? pair : pair.slice(0, equals)
    if (unescaped(name).toLowerCase() === queryName) return true
  }
  return false
}

function unescaped(name: string): string {
  return name.replace(/%([0-9a-f]{2})/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  )
}

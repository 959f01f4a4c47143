import type { JsonObject, JsonValue } from '#base/json.ts'
import { parseSpiffeId } from '../spiffe-id.ts'
import { type Confirmation, readConfirmation } from './confirmation.ts'
import type { ClaimRules } from './issuer.ts'
import { type Refusal, refuse } from './types.ts'

/** What the claims say; who signed them is not known yet. */
export interface ReadClaims {
  readonly ok: true
  readonly subject: string
  readonly audiences: readonly string[]
  readonly expiresAtMs: number
  /** Where the token says from when on it is good. */
  readonly notBeforeMs: number
  readonly tokenId: string | undefined
  readonly confirmation: Confirmation | undefined
  readonly tenantClaim: string | undefined
  readonly scopes: readonly string[]
}

const maxNameCharacters = 2048

/**
 * Every check of the claims that an issuer's configuration asks for. All are cheaper than a signature and come before it.
 *
 * @see RFC 7519, 4.1; RFC 8725; RFC 9068, 4; JWT-SVID.md, section 3
 */
export function readClaims(claims: JsonObject, issuer: ClaimRules, nowMs: number): ReadClaims | Refusal {
  const audiences = audiencesOf(claims['aud'])
  if (audiences === undefined) return refuse('token_audience_wrong', 'aud is missing or no list of names')
  if (!audiences.some((each) => issuer.audiences.has(each)))
    return refuse('token_audience_wrong', `aud is ${shown(audiences.join(' '))}`)
  const times = timesOf(claims, issuer, nowMs)
  if (!times.ok) return times
  const fault = profileFault(claims, issuer)
  if (fault !== undefined) return refuse('token_invalid', fault)
  const subject = issuer.userOf(claims)
  if (!isName(subject)) return refuse('token_invalid', 'the claim of the user is missing or no name')
  const tenantClaim = issuer.tenantOf?.(claims)
  if (tenantClaim !== undefined && !isName(tenantClaim))
    return refuse('token_invalid', 'the claim of the tenant is no name')
  const { jti } = claims
  if (jti !== undefined && !isName(jti)) return refuse('token_invalid', 'jti is no name')
  const scopes = scopesOf(claims)
  if (scopes === undefined) return refuse('token_invalid', 'scope or scp is no list of names')
  const bound = readConfirmation(claims['cnf'])
  if (!bound.ok) return refuse('token_invalid', bound.why)
  if (issuer.isBindingRequired && bound.confirmation === undefined)
    return refuse('token_binding_mismatch', 'the token is not bound to its sender, which the issuer demands')
  return {
    ok: true,
    subject,
    audiences,
    expiresAtMs: times.expiresAtMs,
    notBeforeMs: times.notBeforeMs,
    tokenId: jti,
    confirmation: bound.confirmation,
    tenantClaim,
    scopes,
  }
}

interface Times {
  readonly ok: true
  readonly expiresAtMs: number
  readonly notBeforeMs: number
}

function timesOf(claims: JsonObject, { skewMs, maxLifetimeMs }: ClaimRules, nowMs: number): Times | Refusal {
  const { exp, nbf, iat } = claims
  if (typeof exp !== 'number') return refuse('token_invalid', 'exp is missing or no number')
  for (const [name, value] of [
    ['nbf', nbf],
    ['iat', iat],
  ] as const) {
    if (value !== undefined && typeof value !== 'number')
      return refuse('token_invalid', `${name} is no number`)
  }
  const expiresAtMs = exp * 1000
  const notBeforeMs = typeof nbf === 'number' ? nbf * 1000 : Number.NEGATIVE_INFINITY
  const issuedAtMs = typeof iat === 'number' ? iat * 1000 : nowMs
  if (nowMs >= expiresAtMs + skewMs) return refuse('token_expired', `exp was ${shownTime(expiresAtMs)}`)
  if (nowMs < notBeforeMs - skewMs) return refuse('token_invalid', `nbf is ${shownTime(notBeforeMs)}`)
  if (issuedAtMs > nowMs + skewMs)
    return refuse('token_invalid', `iat is ${shownTime(issuedAtMs)}, in the future`)
  if (expiresAtMs - issuedAtMs > maxLifetimeMs)
    return refuse('token_invalid', `lives longer than ${maxLifetimeMs / 1000} s`)
  return { ok: true, expiresAtMs, notBeforeMs }
}

function profileFault(claims: JsonObject, { profile, name }: ClaimRules): string | undefined {
  if (profile === 'jwt') return undefined
  const { sub } = claims
  if (profile === 'at+jwt') {
    if (typeof claims['iat'] !== 'number') return 'iat is missing, which RFC 9068 demands'
    const missing = ['sub', 'client_id', 'jti'].find((each) => !isName(claims[each]))
    return missing === undefined ? undefined : `${missing} is missing, which RFC 9068 demands`
  }
  const parsed = parseSpiffeId(typeof sub === 'string' ? sub : '')
  if (!parsed.ok) return `sub is no SPIFFE ID: ${parsed.why}`
  return `spiffe://${parsed.id.trustDomain}` === name ? undefined : 'sub is of another trust domain'
}

function audiencesOf(aud: JsonValue | undefined): readonly string[] | undefined {
  if (typeof aud === 'string') return Object.freeze([aud])
  return isNames(aud) && aud.length > 0 ? aud : undefined
}

const noScopes: readonly string[] = Object.freeze([])

/** `scope` is text with spaces (RFC 8693); `scp` the same, or a list, at those who had it before. */
function scopesOf(claims: JsonObject): readonly string[] | undefined {
  const { scope, scp } = claims
  if (scope === undefined && scp === undefined) return noScopes
  const found = new Set<string>()
  for (const value of [scope, scp]) {
    if (value === undefined) continue
    const names = typeof value === 'string' ? value.split(' ') : value
    if (!isNames(names)) return undefined
    for (const name of names) if (name !== '') found.add(name)
  }
  return Object.freeze([...found])
}

function isNames(value: JsonValue | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

function isName(value: JsonValue | undefined): value is string {
  return typeof value === 'string' && value !== '' && value.length <= maxNameCharacters
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}…` : text)
}

function shownTime(ms: number): string {
  return Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : `${ms / 1000}`
}

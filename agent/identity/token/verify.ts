import { hash } from 'node:crypto'
import type { Clock } from '#base/clock.ts'
import { type CompactJws, maxJwsCharacters, parseCompactJws, parseJwsHeader } from '#crypto/jose/jws.ts'
import { parseSpiffeId } from '../spiffe-id.ts'
import { readClaims } from './claims.ts'
import { tokenFacts } from './facts.ts'
import type { Issuer } from './issuer.ts'
import { candidateKeys, checkSignature } from './signature-check.ts'
import { typeFault } from './token-type.ts'
import { refuse, type TokenVerdict } from './types.ts'
import type { VerificationBudget } from './verification-budget.ts'
import type { VerifiedTokens } from './verified-tokens.ts'

export interface VerifyCounts {
  /** Answered from what is remembered. */
  hits: number
  /** Verified anew. */
  verified: number
  refused: number
  /** Refused before anything was looked at, for the peer's wrong signatures. */
  throttled: number
}

export interface VerifyParts {
  /** By name. */
  readonly issuers: ReadonlyMap<string, Issuer>
  readonly remembered: VerifiedTokens
  readonly budget: VerificationBudget
  readonly clock: Clock
}

/** Longer ones that are refused are paid for: a payload of thousands of values costs more than a signature. */
const usualCharacters = 2048
/** What can be read, at worst, in the time in which a signature is checked. */
const charactersPerSignature = 4096

export type Verify = (text: string, peer: string) => TokenVerdict

/** Puts the checks in their order: the cheap ones first, the signature last, and none for what is remembered. */
export function createVerify(parts: VerifyParts): { readonly verify: Verify; readonly counts: VerifyCounts } {
  const { remembered, budget, clock } = parts
  const counts: VerifyCounts = { hits: 0, verified: 0, refused: 0, throttled: 0 }

  const verify: Verify = (text, peer) => {
    if (text.length > maxJwsCharacters) return refuse('token_malformed', 'too long')
    const nowUs = clock.monotonicUs()
    const digest = hash('sha256', text, 'base64url')
    const known = remembered.get(digest, nowUs)
    if (known !== undefined) {
      const { issuer, keys, notBeforeMs, token } = known
      const nowMs = clock.nowMs()
      const isInTime = nowMs < token.expiresAtMs + issuer.skewMs && nowMs >= notBeforeMs - issuer.skewMs
      if (isInTime && issuer.keys.current(nowUs) === keys) {
        counts.hits++
        return issuer.keys.isStale(nowUs) ? known.stale : known.fresh
      }
    }
    if (budget.isSpent(peer, nowUs)) {
      counts.throttled++
      return refuse('token_verification_throttled', 'the peer sent too many tokens with wrong signatures')
    }
    const verdict = verifyAnew(parts, { text, digest, peer, nowUs })
    if (verdict.ok) counts.verified++
    else {
      counts.refused++
      // Reading it was the work. That keys are missing is nobody's fault who sends tokens.
      if (text.length > usualCharacters && verdict.reason !== 'token_keys_unavailable')
        budget.charge(peer, text.length / charactersPerSignature, nowUs)
    }
    return verdict
  }
  return { verify, counts }
}

interface Asked {
  readonly text: string
  readonly digest: string
  readonly peer: string
  readonly nowUs: number
}

function verifyAnew(parts: VerifyParts, { text, digest, peer, nowUs }: Asked): TokenVerdict {
  const { issuers, remembered, budget, clock } = parts
  const header = parseJwsHeader(text)
  if (header.ok && header.kid !== undefined && isNobodysKey(issuers, header.kid, nowUs))
    return refuse('token_key_unknown', 'no issuer has such a key')
  const parsed = parseCompactJws(text, header)
  if (!parsed.ok) return refuse('token_malformed', parsed.why)
  const { jws } = parsed
  const issuer = issuerOf(issuers, jws)
  if (issuer === undefined) return refuse('token_issuer_unknown', 'iss is not configured')
  const wrongType = typeFault(jws, issuer.profile)
  if (wrongType !== undefined) return refuse('token_invalid', wrongType)
  if (!issuer.algorithms.has(jws.alg))
    return refuse('token_invalid', 'alg is not one that the issuer may use')
  if (issuer.profile === 'jwt-svid' && jws.kid === undefined) return refuse('token_invalid', 'has no kid')
  const nowMs = clock.nowMs()
  const claims = readClaims(jws.claims, issuer, nowMs)
  if (!claims.ok) return claims
  const keys = issuer.keys.current(nowUs)
  if (keys === undefined) return refuse('token_keys_unavailable', `no keys of ${issuer.name}`)
  const candidates = candidateKeys(jws, keys)
  if (candidates.length === 0) {
    // One that is there, and does not fit, would be no other after a fetch.
    if (!keys.some(({ kid }) => kid !== undefined && kid === jws.kid)) issuer.keys.missed(jws.kid, nowUs)
    return refuse('token_key_unknown', `no such key of ${issuer.name}`)
  }
  const check = checkSignature(jws, candidates)
  if (check.kind === 'too_many') return refuse('token_invalid', 'fits too many keys; expected a kid')
  if (check.kind === 'bad') {
    budget.charge(peer, check.tried, nowUs)
    return refuse('token_signature_invalid', `not signed by a key of ${issuer.name}`)
  }
  const token = tokenFacts(claims, {
    kind: issuer.profile === 'jwt-svid' ? 'jwt-svid' : 'jwt',
    issuer: issuer.name,
    claims: jws.claims,
    hash: hash('sha256', jws.signed, 'base64url'),
  })
  const fresh: TokenVerdict = Object.freeze({ ok: true, token })
  const stale: TokenVerdict = Object.freeze({
    ok: true,
    token: Object.freeze({ ...token, isKeySetStale: true }),
  })
  const { notBeforeMs } = claims
  remembered.add(digest, { issuer, keys, token, notBeforeMs, fresh, stale }, { us: nowUs, ms: nowMs })
  return issuer.keys.isStale(nowUs) ? stale : fresh
}

/**
 * Whether no issuer has a key of that name, and none would fetch for it: then nothing else in the token matters. Names by the
 * thousand are the cheapest thing to send, and so the cheapest to refuse (bench `token`, `unknown key`).
 */
function isNobodysKey(issuers: ReadonlyMap<string, Issuer>, kid: string, nowUs: number): boolean {
  for (const { keys } of issuers.values()) {
    const current = keys.current(nowUs)
    if (current === undefined || keys.mayFetch(kid, nowUs)) return false
    for (const key of current) if (key.kid === kid) return false
  }
  return true
}

/**
 * Who claims to have made the token. A JWT-SVID is its trust domain's, whatever `iss` it has: SPIRE sets it, or not, for
 * OpenID. Both may be lied about; the wrong one has other keys.
 */
function issuerOf(issuers: ReadonlyMap<string, Issuer>, { claims }: CompactJws): Issuer | undefined {
  const { iss, sub } = claims
  const byName = typeof iss === 'string' ? issuers.get(iss) : undefined
  if (byName !== undefined && byName.profile !== 'jwt-svid') return byName
  if (typeof sub !== 'string' || !sub.startsWith('spiffe://')) return undefined
  const parsed = parseSpiffeId(sub)
  if (!parsed.ok) return undefined
  const byDomain = issuers.get(`spiffe://${parsed.id.trustDomain}`)
  return byDomain?.profile === 'jwt-svid' ? byDomain : undefined
}

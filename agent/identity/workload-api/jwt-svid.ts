import { type CompactJws, parseCompactJws } from '#crypto/jose/jws.ts'
import { algorithms } from '#crypto/jose/signature.ts'
import { parseSpiffeId, type SpiffeId } from '../spiffe-id.ts'
import { typeFault } from '../token/token-type.ts'
import type { Parsed } from './x509-messages.ts'

/** A token that says who we are, to whom it is shown. */
export interface JwtSvid {
  readonly id: SpiffeId
  readonly token: string
  readonly audience: readonly string[]
  readonly issuedAtMs: number
  readonly expiresAtMs: number
  /** What the Workload API says it is for; empty where it says nothing. */
  readonly hint: string
}

/** Beside the token its parts, for who looks at the signature. */
export interface ParsedJwtSvid {
  readonly svid: JwtSvid
  readonly jws: CompactJws
}

const no = (why: string) => ({ ok: false, why }) as const

/**
 * What a JWT-SVID claims; the signature is another's business. The audience must have each one that is wanted.
 *
 * @see JWT-SVID.md, 2 to 4
 */
export function parseJwtSvid(
  token: string,
  wanted: { readonly audience: readonly string[]; readonly nowMs: number; readonly hint?: string },
): Parsed<ParsedJwtSvid> {
  const parsed = parseCompactJws(token)
  if (!parsed.ok) return parsed
  const { jws } = parsed
  const kind = algorithms.get(jws.alg)?.kind
  if (kind !== 'rsa' && kind !== 'ecdsa') return no('an alg of no JWT-SVID')
  const wrongType = typeFault(jws, 'jwt-svid')
  if (wrongType !== undefined) return no(`it ${wrongType}`)
  const { sub, aud, exp, iat } = jws.claims
  const id = parseSpiffeId(typeof sub === 'string' ? sub : '')
  if (!id.ok) return no(`sub: ${id.why}`)
  const audience: unknown = typeof aud === 'string' ? [aud] : aud
  if (!isTexts(audience)) return no('no aud')
  if (!wanted.audience.every((each) => audience.includes(each))) return no('another audience')
  if (typeof exp !== 'number') return no('no exp')
  if (wanted.nowMs >= exp * 1000) return no('it has expired')
  const svid = {
    ...{ id: id.id, token, audience, hint: wanted.hint ?? '' },
    issuedAtMs: typeof iat === 'number' ? iat * 1000 : wanted.nowMs,
    expiresAtMs: exp * 1000,
  }
  return { ok: true, value: { svid, jws } }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string')
}

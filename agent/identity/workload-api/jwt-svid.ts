import { isJsonObject, type JsonObject } from '#base/json.ts'
import { parseSpiffeId, type SpiffeId } from '../spiffe-id.ts'
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

/** What a compact token says, before anybody looked at its signature. */
export interface TokenParts {
  readonly header: JsonObject
  readonly claims: JsonObject
  /** What the signature is over. */
  readonly signed: string
  readonly signature: Buffer
}

const maxTokenCharacters = 8192
const algorithms = new Set(['RS', 'ES', 'PS'].flatMap((each) => [256, 384, 512].map((bits) => each + bits)))
const types = new Set<unknown>([undefined, 'JWT', 'JOSE'])

const no = (why: string) => ({ ok: false, why }) as const

/** Takes a token apart. @see RFC 7515, 7.1 */
export function parseToken(token: string): Parsed<TokenParts> {
  if (token.length > maxTokenCharacters) return no(`longer than ${maxTokenCharacters} characters`)
  const parts = token.split('.')
  const [header, claims] = parts.map(parseObject)
  const signature = Buffer.from(parts[2] ?? '', 'base64url')
  if (parts.length !== 3 || header === undefined || claims === undefined) return no('not a compact token')
  if (signature.toString('base64url') !== parts[2]) return no('a signature that is not base64url')
  return { ok: true, value: { header, claims, signed: `${parts[0]}.${parts[1]}`, signature } }
}

/**
 * What a JWT-SVID claims; the signature is another's business. The audience must have each one that is wanted.
 *
 * @see JWT-SVID.md, 2 to 4
 */
export function parseJwtSvid(
  token: string,
  wanted: { readonly audience: readonly string[]; readonly nowMs: number; readonly hint?: string },
): Parsed<JwtSvid> {
  const parsed = parseToken(token)
  if (!parsed.ok) return parsed
  const { header, claims } = parsed.value
  if (typeof header['alg'] !== 'string' || !algorithms.has(header['alg'])) return no('an alg of no JWT-SVID')
  if (!types.has(header['typ'])) return no('a typ of no JWT-SVID')
  const { sub, aud, exp, iat } = claims
  const id = parseSpiffeId(typeof sub === 'string' ? sub : '')
  if (!id.ok) return no(`sub: ${id.why}`)
  const audience: unknown = typeof aud === 'string' ? [aud] : aud
  if (!isTexts(audience)) return no('no aud')
  if (!wanted.audience.every((each) => audience.includes(each))) return no('another audience')
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return no('no exp')
  if (wanted.nowMs >= exp * 1000) return no('it has expired')
  const value = {
    ...{ id: id.id, token, audience, hint: wanted.hint ?? '' },
    issuedAtMs: typeof iat === 'number' ? iat * 1000 : wanted.nowMs,
    expiresAtMs: exp * 1000,
  }
  return { ok: true, value }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string')
}

function parseObject(part: string): JsonObject | undefined {
  const bytes = Buffer.from(part, 'base64url')
  if (bytes.toString('base64url') !== part) return undefined
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return isJsonObject(value) ? value : undefined
  } catch {
    // Not JSON is no object either.
    return undefined
  }
}

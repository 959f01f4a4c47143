import { isUtf8 } from 'node:buffer'
import { isJsonObject, type JsonObject } from '#base/json.ts'
import { parseStrictJson } from '#base/strict-json.ts'
import { decodeBase64url } from './base64url.ts'
import { fitsAlgorithm, type VerifyingKey } from './jwk.ts'
import { algorithms, isSignatureGood } from './signature.ts'

/** A token in compact form whose parts could be read. Nothing in it is proven. */
export interface CompactJws {
  /** Frozen, without a prototype. */
  readonly header: JsonObject
  readonly alg: string
  /** Lower case, without `application/` before it. */
  readonly typ?: string
  readonly kid?: string
  /** The payload. Frozen, without a prototype. */
  readonly claims: JsonObject
  /** What the signature is over. Like the signature it has one spelling only. */
  readonly signed: string
  readonly signature: Buffer
}

export type ParsedJws =
  | { readonly ok: true; readonly jws: CompactJws }
  | { readonly ok: false; readonly why: string }

/** The first part of a token by itself. */
export type ParsedHeader =
  | ({ readonly ok: true } & Pick<CompactJws, 'header' | 'alg' | 'typ' | 'kid'>)
  | { readonly ok: false; readonly why: string }

/** Of the whole token. Envoy gives up its own cache at 4096. */
export const maxJwsCharacters = 8192

/**
 * Reads the header alone, for who can refuse a token by that. An extension that must be understood (`crit`, `b64`) is
 * refused, for none is.
 */
export function parseJwsHeader(text: string): ParsedHeader {
  const no = (why: string): ParsedHeader => ({ ok: false, why })
  if (text.length > maxJwsCharacters) return no(`longer than ${maxJwsCharacters} characters`)
  const end = text.indexOf('.')
  if (end === -1) return no('not three parts')
  const read = objectOf(text.slice(0, end))
  if (!read.ok) return no(`header: ${read.why}`)
  const { alg, typ, kid, crit, b64 } = read.object
  if (typeof alg !== 'string') return no('header: no alg')
  if (typ !== undefined && typeof typ !== 'string') return no('header: a typ that is no text')
  if (kid !== undefined && typeof kid !== 'string') return no('header: a kid that is no text')
  if (crit !== undefined || b64 !== undefined) return no('header: an extension that is not known (crit, b64)')
  return {
    ok: true,
    header: read.object,
    alg,
    ...(typ !== undefined && { typ: mediaType(typ) }),
    ...(kid !== undefined && { kid }),
  }
}

/**
 * Reads a JWS in compact form that carries a JSON object. Everything has one spelling: base64url without padding and
 * left-over bits, no member twice, UTF-8.
 *
 * @see RFC 7515, 3.1 and 7.1; RFC 8725
 */
export function parseCompactJws(text: string, header = parseJwsHeader(text)): ParsedJws {
  const no = (why: string): ParsedJws => ({ ok: false, why })
  if (!header.ok) return header
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  if (second === -1 || text.includes('.', second + 1)) return no('not three parts')
  const claims = objectOf(text.slice(first + 1, second))
  if (!claims.ok) return no(`payload: ${claims.why}`)
  const signature = decodeBase64url(text.slice(second + 1))
  if (signature === undefined || signature.length === 0) return no('signature: not base64url')
  const { ok: _, ...read } = header
  return { ok: true, jws: { ...read, claims: claims.object, signed: text.slice(0, second), signature } }
}

/**
 * Whether the key made the signature by that algorithm, which the caller permits. The token must name the same one, and
 * the key must be one for it.
 */
export function verifyJws(jws: CompactJws, key: VerifyingKey, alg: string): boolean {
  const algorithm = algorithms.get(alg)
  if (algorithm === undefined || jws.alg !== alg) return false
  if ((key.alg !== undefined && key.alg !== alg) || !fitsAlgorithm(key, alg)) return false
  const { object, coordinateBytes } = key
  return isSignatureGood(
    { algorithm, key: object, coordinateBytes, signed: jws.signed, bytes: jws.signature },
    { isStrict: true },
  )
}

type ReadObject =
  | { readonly ok: true; readonly object: JsonObject }
  | { readonly ok: false; readonly why: string }

function objectOf(part: string): ReadObject {
  const bytes = decodeBase64url(part)
  if (bytes === undefined) return { ok: false, why: 'not base64url' }
  if (!isUtf8(bytes)) return { ok: false, why: 'not UTF-8' }
  const parsed = parseStrictJson(bytes.toString())
  if (!parsed.ok) return { ok: false, why: `not JSON that has one meaning: ${parsed.why}` }
  return isJsonObject(parsed.value)
    ? { ok: true, object: parsed.value }
    : { ok: false, why: 'not a JSON object' }
}

/** @see RFC 7515, 4.1.9 */
function mediaType(typ: string): string {
  const lower = typ.toLowerCase()
  return lower.startsWith('application/') ? lower.slice('application/'.length) : lower
}

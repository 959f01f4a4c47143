import { isJsonObject, type JsonValue } from '#base/json.ts'
import { decodeBase64url } from '#crypto/jose/base64url.ts'
import type { TokenFacts } from '#decision/exchange.ts'

export type Confirmation = NonNullable<TokenFacts['confirmation']>

export type ReadConfirmation =
  | { readonly ok: true; readonly confirmation?: Confirmation }
  | { readonly ok: false; readonly why: string }

const digestBytes = 32

/**
 * What a token is bound to. A binding that nobody here can check is none to pass over: the token is refused.
 *
 * @see RFC 7800, 3.1; RFC 8705, 3.1; RFC 9449, 6.1
 */
export function readConfirmation(cnf: JsonValue | undefined): ReadConfirmation {
  if (cnf === undefined) return { ok: true }
  if (!isJsonObject(cnf)) return { ok: false, why: 'cnf is not an object' }
  const names = Object.keys(cnf)
  if (names.length === 0) return { ok: false, why: 'cnf is empty' }
  for (const name of names) {
    if (name !== 'x5t#S256' && name !== 'jkt')
      return { ok: false, why: 'cnf has a binding that cannot be checked' }
    const digest = cnf[name]
    if (typeof digest !== 'string' || decodeBase64url(digest)?.length !== digestBytes)
      return { ok: false, why: `cnf.${name} is not a SHA-256 digest` }
  }
  return {
    ok: true,
    confirmation: Object.freeze({
      ...(cnf['x5t#S256'] !== undefined && { certificateSha256: cnf['x5t#S256'] as string }),
      ...(cnf['jkt'] !== undefined && { keyThumbprint: cnf['jkt'] as string }),
    }),
  }
}

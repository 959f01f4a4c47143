import type { Answer } from '#base/http-exchange.ts'
import { isJsonObject } from '#base/json.ts'
import type { VerifyingKey } from '#crypto/jose/jwk.ts'
import { parseCompactJws } from '#crypto/jose/jws.ts'
import { candidateKeys, checkSignature } from '../token/signature-check.ts'
import { failed, type Introspected, introspectedOf, mediaType } from './answer.ts'

export interface SignedAnswerOptions {
  readonly issuer: string
  /** Whom answers must be for: our client id. */
  readonly audience: string
  readonly algorithms: ReadonlySet<string>
  /** Those of the issuer that are in force; undefined where there are none. */
  readonly keys: () => readonly VerifyingKey[] | undefined
  readonly skewMs: number
}

export const signedMediaType = 'application/token-introspection+jwt'
/** An answer is made for the call that it answers. */
const maxAgeMs = 60_000

/** Reads an answer that the server signed. One that is not signed is none. @see RFC 9701, 5 and 8 */
export function readSignedAnswer(answer: Answer, options: SignedAnswerOptions, nowMs: number): Introspected {
  const { status, headers, body } = answer
  if (status !== 200) return failed(`the server answered ${status}`)
  if (mediaType(headers['content-type']) !== signedMediaType)
    return failed(`the answer is not ${signedMediaType}`)
  const parsed = parseCompactJws(body.toString('latin1').trim())
  if (!parsed.ok) return failed(`the answer is no signed token: ${parsed.why}`)
  const { jws } = parsed
  const { iss, aud, iat, token_introspection: said } = jws.claims
  if (jws.typ !== 'token-introspection+jwt') return failed('typ of the answer is not token-introspection+jwt')
  if (!options.algorithms.has(jws.alg)) return failed('alg of the answer is not one that the issuer may use')
  if (iss !== options.issuer) return failed('iss of the answer is another')
  const audiences = Array.isArray(aud) ? aud : [aud]
  if (!audiences.includes(options.audience)) return failed('the answer is for somebody else (aud)')
  if (typeof iat !== 'number') return failed('the answer has no iat')
  const ageMs = nowMs - iat * 1000
  if (ageMs < -options.skewMs || ageMs > maxAgeMs + options.skewMs)
    return failed('the answer was not made now (iat)')
  const keys = options.keys()
  if (keys === undefined) return failed('there are no keys of the issuer to check the answer with')
  if (checkSignature(jws, candidateKeys(jws, keys)).kind !== 'good')
    return failed('the answer is not signed by a key of the issuer')
  return isJsonObject(said) ? introspectedOf(said) : failed('the answer has no token_introspection')
}

import type { VerifyingKey } from '#crypto/jose/jwk.ts'
import { fitsAlgorithm } from '#crypto/jose/jwk.ts'
import { type CompactJws, verifyJws } from '#crypto/jose/jws.ts'

/** Keys that are tried for one token, where it names none or several have the name. */
const maxTried = 3

/** The keys that may have signed a token: those it names, or where it names none those its algorithm fits. */
export function candidateKeys(jws: CompactJws, keys: readonly VerifyingKey[]): readonly VerifyingKey[] {
  return keys.filter(
    (key) =>
      (jws.kid === undefined || key.kid === jws.kid) &&
      (key.alg === undefined || key.alg === jws.alg) &&
      fitsAlgorithm(key, jws.alg),
  )
}

export type SignatureCheck =
  | { readonly kind: 'good' }
  | { readonly kind: 'bad'; readonly tried: number }
  | { readonly kind: 'too_many' }

export function checkSignature(jws: CompactJws, candidates: readonly VerifyingKey[]): SignatureCheck {
  if (candidates.length > maxTried) return { kind: 'too_many' }
  for (const key of candidates) if (verifyJws(jws, key, jws.alg)) return { kind: 'good' }
  return { kind: 'bad', tried: candidates.length }
}

import { parsePublicJwk, type VerifyingKey } from '#crypto/jose/jwk.ts'
import type { TrustBundle } from '../bundle/trust-bundle.ts'

const made = new WeakMap<TrustBundle, readonly VerifyingKey[]>()

/** The keys that JWT-SVIDs of a trust domain are verified with: the same list for the same bundle. */
export function bundleKeys(bundle: TrustBundle): readonly VerifyingKey[] {
  let keys = made.get(bundle)
  if (keys === undefined) {
    keys = bundle.jwtAuthorities.flatMap(({ keyId, publicKey }) => {
      const parsed = parsePublicJwk({ ...publicKey.export({ format: 'jwk' }), kid: keyId })
      // A kind of key that signs no JWT-SVID; the bundle may have it, and nobody can use it.
      return parsed.ok ? [parsed.key] : []
    })
    made.set(bundle, keys)
  }
  return keys
}

import type { JsonWebKey } from 'node:crypto'
import { rawJSON } from '#base/raw-json.ts'
import type { TrustBundle, TrustBundles } from './trust-bundle.ts'

/** Of the members that node:crypto gives, those of a public key. */
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const

/** Writes a SPIFFE bundle as a bundle endpoint serves it. @see SPIFFE_Trust_Domain_and_Bundle.md, 4 */
export function spiffeBundleText(bundle: TrustBundle): string {
  return JSON.stringify(bundleObject(bundle), undefined, 2)
}

/** Writes a map of bundles, without refresh hints, which a map has none of. @see SPIFFE_Trust_Domain_and_Bundle.md, 5 */
export function trustBundleMapText(bundles: TrustBundles): string {
  const entries = [...bundles].map(([name, { refreshHintSeconds, ...bundle }]) => [
    name,
    bundleObject(bundle),
  ])
  return JSON.stringify({ trust_domains: Object.fromEntries(entries) }, undefined, 2)
}

function bundleObject(bundle: TrustBundle): object {
  const { x509Authorities, jwtAuthorities, sequence, refreshHintSeconds } = bundle
  return {
    ...(sequence !== undefined && { spiffe_sequence: rawJSON(sequence.toString()) }),
    ...(refreshHintSeconds !== undefined && { spiffe_refresh_hint: refreshHintSeconds }),
    keys: [
      ...x509Authorities.map((certificate) => ({
        use: 'x509-svid',
        ...publicJwk(certificate.publicKey().export({ format: 'jwk' })),
        x5c: [certificate.der.toString('base64')],
      })),
      ...jwtAuthorities.map(({ keyId, publicKey }) => ({
        use: 'jwt-svid',
        kid: keyId,
        ...publicJwk(publicKey.export({ format: 'jwk' })),
      })),
    ],
  }
}

function publicJwk(jwk: JsonWebKey): JsonWebKey {
  return Object.fromEntries(
    publicMembers.filter((name) => jwk[name] !== undefined).map((name) => [name, jwk[name]]),
  )
}

import type { VerifyingKey } from '#crypto/jose/jwk.ts'
import type { Certificate } from '../x509/certificate.ts'

/** A key that JWT-SVIDs are verified with, which name it. */
export type JwtAuthority = VerifyingKey & { readonly kid: string }

/**
 * What one trust domain's identities are verified with. One without authorities is not absent: every SVID of that
 * domain is invalid then.
 *
 * @see SPIFFE_Trust_Domain_and_Bundle.md, 4
 */
export interface TrustBundle {
  readonly trustDomain: string
  readonly x509Authorities: readonly Certificate[]
  readonly jwtAuthorities: readonly JwtAuthority[]
  /** Grows with each change, where the source counts. */
  readonly sequence?: bigint
  readonly refreshHintSeconds?: number
}

/** By the name of the trust domain. */
export type TrustBundles = ReadonlyMap<string, TrustBundle>

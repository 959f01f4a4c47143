import type { VerifyingKey } from '#crypto/jose/jwk.ts'
import type { TokenFacts } from '#decision/exchange.ts'
import type { ReasonCode } from '#decision/reasons.ts'

export type TokenProfile = 'jwt' | 'at+jwt' | 'jwt-svid'

/** Where an issuer's keys come from. */
export type KeySourceConfig =
  | { readonly file: string }
  | { readonly url: string }
  /** OpenID Connect Discovery, or RFC 8414; both name the issuer again, which must be the same to the letter. */
  | { readonly discovery: 'oidc' | 'oauth' }

/** Whose tokens are accepted, and how. */
export interface IssuerConfig {
  /** `iss` to the letter; of JWT-SVIDs the trust domain, `spiffe://example.org`. */
  readonly issuer: string
  readonly audience: string | readonly string[]
  readonly profile: TokenProfile
  readonly algorithms: readonly string[]
  /** JWT-SVIDs have none: their keys are the trust domain's. */
  readonly jwks?: KeySourceConfig | undefined
  /** A name, or a JSON pointer. */
  readonly tenantClaim?: string | undefined
  readonly userClaim: string
  readonly maxLifetimeSeconds: number
  readonly clockSkewSeconds: number
  /** Whether a token must be bound to its sender. */
  readonly requireBinding: boolean
  readonly refreshSeconds: number
  readonly cooldownSeconds: number
  readonly staleSeconds: number
  readonly allowedHosts: readonly string[]
  readonly allowPrivateAddresses: boolean
  /** PEM of the CAs that the server of the keys is checked against, instead of the public ones. */
  readonly ca?: string | undefined
  /** A file where the last good keys are kept for a start without the server. */
  readonly persist?: string | undefined
}

/** The public keys that sign JWT-SVIDs of a trust domain. */
export interface JwtAuthorities {
  /** The same list as long as nothing changed; empty where all are revoked; undefined where the domain is not known. */
  get(trustDomain: string): readonly VerifyingKey[] | undefined
}

export interface Refusal {
  readonly ok: false
  readonly reason: ReasonCode
  /** For the operator; never for the client. */
  readonly why: string
}

export type TokenVerdict = { readonly ok: true; readonly token: TokenFacts } | Refusal

export function refuse(reason: ReasonCode, why: string): Refusal {
  return { ok: false, reason, why }
}

/** The keys of one issuer, which something keeps fresh in the background. Nobody waits for it. */
export interface IssuerKeys {
  /** What is in force: another list only after the keys changed. Undefined where there is none to rely on. */
  current(nowUs: number): readonly VerifyingKey[] | undefined
  /** Whether they could not be refreshed in time; they are in force for a while yet. */
  isStale(nowUs: number): boolean
  /** A token names a key that is not there. */
  missed(kid: string | undefined, nowUs: number): void
}

/** What happened to an issuer's keys, for the log and the metrics. */
export type TokenEvent =
  | {
      readonly kind: 'keys_loaded'
      readonly issuer: string
      readonly keys: number
      readonly skipped: readonly string[]
      readonly isChanged: boolean
    }
  | { readonly kind: 'keys_failed'; readonly issuer: string; readonly why: string }

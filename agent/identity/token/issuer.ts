import { type ClaimReader, claimReader } from '#base/claim-path.ts'
import { algorithms } from '#crypto/jose/signature.ts'
import type { IssuerConfig, IssuerKeys, TokenProfile } from './types.ts'

/** What the claims of an issuer must be, whether a signature vouches for them or the issuer itself, when asked. */
export interface ClaimRules {
  readonly name: string
  readonly profile: TokenProfile
  readonly audiences: ReadonlySet<string>
  readonly tenantOf: ClaimReader | undefined
  readonly userOf: ClaimReader
  readonly maxLifetimeMs: number
  readonly skewMs: number
  readonly isBindingRequired: boolean
}

export type ClaimRulesConfig = Pick<
  IssuerConfig,
  | 'issuer'
  | 'audience'
  | 'profile'
  | 'tenantClaim'
  | 'userClaim'
  | 'maxLifetimeSeconds'
  | 'clockSkewSeconds'
  | 'requireBinding'
>

/** An issuer as it runs: built once, read by every token. */
export interface Issuer extends ClaimRules {
  readonly algorithms: ReadonlySet<string>
  readonly keys: IssuerKeys
}

/** JWT-SVIDs know no EdDSA. @see JWT-SVID.md, section 2.1 */
const svidAlgorithm = /^(RS|ES|PS)(256|384|512)$/

export function createIssuer(config: IssuerConfig, keys: IssuerKeys): Issuer {
  const isSvid = config.profile === 'jwt-svid'
  return {
    ...createClaimRules(config),
    algorithms: new Set(
      config.algorithms.filter((name) => (isSvid ? svidAlgorithm.test(name) : algorithms.has(name))),
    ),
    keys,
  }
}

export function createClaimRules(config: ClaimRulesConfig): ClaimRules {
  return {
    name: config.issuer,
    profile: config.profile,
    audiences: new Set(typeof config.audience === 'string' ? [config.audience] : config.audience),
    tenantOf: config.tenantClaim === undefined ? undefined : claimReader(config.tenantClaim),
    userOf: claimReader(config.profile === 'jwt-svid' ? 'sub' : config.userClaim),
    maxLifetimeMs: config.maxLifetimeSeconds * 1000,
    skewMs: config.clockSkewSeconds * 1000,
    isBindingRequired: config.requireBinding,
  }
}

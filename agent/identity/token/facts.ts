import type { TokenFacts } from '#decision/exchange.ts'
import type { ReadClaims } from './claims.ts'

/** What a token that is good says: `rest` is what its claims alone do not tell. */
export function tokenFacts(
  read: ReadClaims,
  rest: Pick<TokenFacts, 'kind' | 'issuer' | 'claims' | 'hash'>,
): TokenFacts {
  return Object.freeze({
    kind: rest.kind,
    issuer: rest.issuer,
    subject: read.subject,
    audiences: read.audiences,
    claims: rest.claims,
    expiresAtMs: read.expiresAtMs,
    ...(read.tokenId !== undefined && { tokenId: read.tokenId }),
    hash: rest.hash,
    ...(read.confirmation !== undefined && { confirmation: read.confirmation }),
    ...(read.tenantClaim !== undefined && { tenantClaim: read.tenantClaim }),
    scopes: read.scopes,
    isKeySetStale: false,
  })
}

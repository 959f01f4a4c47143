import type { Introspection } from '../introspection/introspection.ts'
import type { TokenVerdict, TokenVerifier } from '../token/token.ts'

/** An issuer that is asked about its tokens. */
export interface AskedIssuer {
  readonly name: string
  readonly introspection: Pick<Introspection, 'introspect'>
  /** Whether it is asked about JWTs as well: they may have been revoked. */
  readonly isAskedAboutJwts: boolean
  /** Whether its JWTs are verified here first. */
  readonly hasKeys: boolean
}

/** Whether a token is good, and what it says. `peer` is who sent it. A promise only where an issuer must be asked. */
export type VerifyToken = (token: string, peer: string) => TokenVerdict | Promise<TokenVerdict>

/**
 * JWTs are verified by the keys of their issuer, whatever else by asking the one issuer that can be asked. An issuer that
 * is asked about JWTs too has the last word on its own, and on no others.
 */
export function createVerifyToken(
  verifier: Pick<TokenVerifier, 'verify'>,
  asked: AskedIssuer | undefined,
): VerifyToken {
  if (asked === undefined) return verifier.verify
  const { name, introspection, isAskedAboutJwts, hasKeys } = asked
  return (token, peer) => {
    if (token.split('.', 4).length !== 3) return introspection.introspect(token)
    const verdict = verifier.verify(token, peer)
    if (!isAskedAboutJwts) return verdict
    if (verdict.ok) return verdict.token.issuer === name ? introspection.introspect(token) : verdict
    return !hasKeys && verdict.reason === 'token_issuer_unknown' ? introspection.introspect(token) : verdict
  }
}

import { parseCompactJws } from '#crypto/jose/jws.ts'
import type { ReasonCode } from '#decision/reasons.ts'
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
  const ask = (token: string, peer: string) => introspection.introspect(token, peer)
  return (token, peer) => {
    if (token.split('.', 4).length !== 3) return ask(token, peer)
    const isUnread = isAskedAboutJwts && !hasKeys
    const said = isUnread ? issuerSaid(token) : undefined
    if (said === name) return ask(token, peer)
    const verdict = verifier.verify(token, peer)
    if (verdict.ok) return isAskedAboutJwts && verdict.token.issuer === name ? ask(token, peer) : verdict
    // One of another issuer is not shown to this one.
    return isUnread && said === undefined && nobodys.has(verdict.reason) ? ask(token, peer) : verdict
  }
}

/** Of a token that no issuer with keys here can have made. */
const nobodys: ReadonlySet<ReasonCode> = new Set<ReasonCode>(['token_issuer_unknown', 'token_key_unknown'])

/** What a JWT says of who made it, which nobody has proven; undefined where it says nothing. */
function issuerSaid(token: string): unknown {
  const parsed = parseCompactJws(token)
  return parsed.ok ? parsed.jws.claims['iss'] : undefined
}

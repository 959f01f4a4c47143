import type { JsonObject } from '#base/json.ts'
import type { CompactJws } from '#crypto/jose/jws.ts'
import type { TokenProfile } from './types.ts'

/** Headers by which a token brings, or points to, the key that it is to be checked with. */
const keyHeaders = ['jku', 'jwk', 'x5u', 'x5c'] as const
const svidHeaders: ReadonlySet<string> = new Set(['alg', 'kid', 'typ'])

/**
 * Why a token is not of the type that its issuer makes for us; undefined where it is. One type must never pass for
 * another: ID tokens, proofs and workload identity tokens are signed by the same keys.
 *
 * @see RFC 8725, 3.11; RFC 9068, 2.1; JWT-SVID.md, section 2
 */
export function typeFault(jws: CompactJws, profile: TokenProfile): string | undefined {
  for (const name of keyHeaders) {
    if (jws.header[name] !== undefined) return `brings its own key (${name})`
  }
  switch (profile) {
    case 'jwt-svid':
      return svidFault(jws)
    case 'at+jwt':
      return jws.typ === 'at+jwt' ? undefined : typText(jws)
    case 'jwt':
      if (jws.typ === 'at+jwt') return undefined
      if (jws.typ !== undefined && jws.typ !== 'jwt') return typText(jws)
      return otherTokenFault(jws.claims)
    default:
      return profile satisfies never
  }
}

function typText({ typ }: CompactJws): string {
  return typ === undefined ? 'has no typ' : `is of type ${typ.slice(0, 40)}`
}

function svidFault({ header }: CompactJws): string | undefined {
  const typ = header['typ']
  // To the letter: the standard knows these two spellings.
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') return 'is not of type JWT or JOSE'
  const other = Object.keys(header).find((name) => !svidHeaders.has(name))
  return other === undefined ? undefined : 'has a header that JWT-SVIDs must not have'
}

/** `typ` among Keycloak's claims, `token_use` among Cognito's. */
const otherTypes: ReadonlySet<unknown> = new Set(['ID', 'Refresh', 'Offline', 'Logout'])

/** What issuers that write no `at+jwt` tell their other tokens by. @see OpenID Connect Core 1.0, 2 and 3.3.2.11 */
function otherTokenFault(claims: JsonObject): string | undefined {
  if (claims['at_hash'] !== undefined || claims['c_hash'] !== undefined) return 'is an ID token (at_hash)'
  // Keycloak copied the nonce into access tokens for years, and says in them what they are.
  if (claims['nonce'] !== undefined && claims['typ'] !== 'Bearer') return 'is an ID token (nonce)'
  if (otherTypes.has(claims['typ'])) return 'is no access token (typ among its claims)'
  if (claims['token_use'] !== undefined && claims['token_use'] !== 'access')
    return 'is no access token (token_use)'
  if (claims['events'] !== undefined) return 'is a security event'
  return undefined
}

import type { JsonObject } from '#base/json.ts'
import { parsePublicJwk } from '#crypto/jose/jwk.ts'
import { type ReadJwk, readJwks } from './jwks.ts'
import type { JwtAuthority } from './trust-bundle.ts'

/**
 * The keys of a set that JWT-SVIDs are verified with, or why there are none. Two keys of one name would leave open which
 * one is meant.
 *
 * @see JWT-SVID.md, 6
 */
export function readJwtAuthorities(
  keys: readonly JsonObject[],
  isMeant: (use: unknown) => boolean,
): readonly JwtAuthority[] | string {
  const found = readJwks(keys, isMeant, jwtAuthority)
  if (typeof found === 'string') return found
  const names = new Set(found.map(({ kid }) => kid))
  return names.size === found.length ? found : 'two keys for jwt-svid have the same kid'
}

function jwtAuthority(jwk: JsonObject): ReadJwk<JwtAuthority> {
  const parsed = parsePublicJwk(jwk)
  if (!parsed.ok) return { kind: 'wrong', why: parsed.why }
  const { kid } = parsed.key
  return kid === undefined
    ? { kind: 'wrong', why: 'has no kid' }
    : { kind: 'read', value: { ...parsed.key, kid } }
}

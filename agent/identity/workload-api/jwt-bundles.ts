import { isUtf8 } from 'node:buffer'
import { fromBinary } from '@bufbuild/protobuf'
import { messageOf } from '#base/errors.ts'
import { JWTBundlesResponseSchema } from '#gen/spiffe/workload/workload_pb.js'
import { readBundleJson } from '../bundle/bundle-json.ts'
import { jwksOf } from '../bundle/jwks.ts'
import { readJwtAuthorities } from '../bundle/jwt-authorities.ts'
import type { JwtAuthority } from '../bundle/trust-bundle.ts'
import { parseTrustDomainId } from './trust-domain-id.ts'
import type { Parsed } from './x509-messages.ts'

/** By the name of the trust domain. */
export type JwtAuthorities = ReadonlyMap<string, readonly JwtAuthority[]>

const no = (why: string) => ({ ok: false, why }) as const

/** Reads a `JWTBundlesResponse`. Anything wrong in it, and nothing of it counts. */
export function parseJwtBundlesResponse(bytes: Uint8Array): Parsed<JwtAuthorities> {
  const found = new Map<string, readonly JwtAuthority[]>()
  try {
    for (const [key, jwks] of Object.entries(fromBinary(JWTBundlesResponseSchema, bytes).bundles)) {
      const id = parseTrustDomainId(key)
      if (!id.ok) return no(`the trust bundle ${JSON.stringify(key.slice(0, 200))}: ${id.why}`)
      const parsed = parseJwtAuthorities(jwks)
      if (!parsed.ok) return no(`the JWT bundle of ${id.trustDomain}: ${parsed.why}`)
      found.set(id.trustDomain, parsed.value)
    }
  } catch (thrown) {
    return no(messageOf(thrown))
  }
  return { ok: true, value: found }
}

/**
 * The JWT authorities of one bundle. SPIRE's Workload API writes them without `use`, other bundles with `jwt-svid`: both
 * count. A key of another use or type is passed over, as the standard wants; one that claims to be an authority and is
 * broken is not.
 *
 * @see SPIFFE_Trust_Domain_and_Bundle.md, 4.2
 */
function parseJwtAuthorities(jwks: Uint8Array): Parsed<readonly JwtAuthority[]> {
  if (!isUtf8(jwks)) return no('not UTF-8')
  const read = readBundleJson(Buffer.from(jwks).toString())
  if (!read.ok) return read
  const keys = jwksOf(read.value)
  if (typeof keys === 'string') return no(keys)
  const value = readJwtAuthorities(keys, (use) => use === undefined || use === 'jwt-svid')
  return typeof value === 'string' ? no(value) : { ok: true, value }
}

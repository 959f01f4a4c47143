import { createPublicKey } from 'node:crypto'
import { fromBinary } from '@bufbuild/protobuf'
import { messageOf } from '#base/errors.ts'
import { isJsonObject, type JsonObject } from '#base/json.ts'
import { JWTBundlesResponseSchema } from '#gen/spiffe/workload/workload_pb.js'
import type { JwtAuthority } from '../bundle/trust-bundle.ts'
import { parseTrustDomainId } from './trust-domain-id.ts'
import type { Parsed } from './x509-messages.ts'

/** By the name of the trust domain. */
export type JwtAuthorities = ReadonlyMap<string, readonly JwtAuthority[]>

const maxKeys = 128
const minModulusBits = 2048

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
 * count. A key of another use or kind is passed over, as the standard wants; one that claims to be an authority and is
 * broken is not.
 *
 * @see SPIFFE_Trust_Domain_and_Bundle.md, 4.2; JWT-SVID.md, 6
 */
export function parseJwtAuthorities(jwks: Uint8Array): Parsed<readonly JwtAuthority[]> {
  let document: unknown
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(jwks))
  } catch {
    return no('not JSON')
  }
  const keys = isJsonObject(document) ? document['keys'] : undefined
  if (!Array.isArray(keys)) return no('no keys')
  if (keys.length > maxKeys) return no(`more than ${maxKeys} keys`)
  const found = new Map<string, JwtAuthority>()
  for (const key of keys as readonly unknown[]) {
    if (!isJsonObject(key)) return no('a key that is none')
    const { use, kty, kid } = key
    if ((use !== undefined && use !== 'jwt-svid') || (kty !== 'EC' && kty !== 'RSA')) continue
    if (typeof kid !== 'string' || kid === '') return no('a key without kid')
    if (found.has(kid)) return no('two keys of one kid')
    const publicKey = readPublic(key)
    if (!publicKey.ok) return no(`the key ${JSON.stringify(kid.slice(0, 200))} ${publicKey.why}`)
    found.set(kid, { keyId: kid, publicKey: publicKey.value })
  }
  return { ok: true, value: [...found.values()] }
}

function readPublic(key: JsonObject): Parsed<JwtAuthority['publicKey']> {
  if (Object.hasOwn(key, 'd')) return no('has a private part')
  const { kty, crv, x, y, n, e } = key
  const jwk = kty === 'EC' ? { kty, crv, x, y } : { kty, n, e }
  try {
    const value = createPublicKey({ key: jwk as never, format: 'jwk' })
    const bits = value.asymmetricKeyDetails?.modulusLength
    return bits !== undefined && bits < minModulusBits ? no('is too short') : { ok: true, value }
  } catch {
    return no('is no public key')
  }
}

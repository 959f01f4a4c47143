import type { JsonWebKey } from 'node:crypto'
import { messageOf } from '#base/errors.ts'
import { isJsonObject, type JsonObject } from '#base/json.ts'
import { rawJSON } from '#base/raw-json.ts'
import { decodeBase64 } from '#crypto/base64.ts'
import { parsePublicJwk } from '#crypto/jose/jwk.ts'
import { trustDomainFault } from '../spiffe-id.ts'
import { type Certificate, parseCertificate } from '../x509/certificate.ts'
import { readBundleJson } from './bundle-json.ts'
import { jwksOf, type ReadJwk, readJwks } from './jwks.ts'
import { readJwtAuthorities } from './jwt-authorities.ts'
import type { TrustBundle, TrustBundles } from './trust-bundle.ts'

export type ParsedBundle =
  | { readonly ok: true; readonly bundle: TrustBundle }
  | { readonly ok: false; readonly why: string }

export type ParsedBundles =
  | { readonly ok: true; readonly bundles: TrustBundles }
  | { readonly ok: false; readonly why: string }

const maxTrustDomains = 1024
const maxSequence = (1n << 64n) - 1n
/** A year; what is longer was not meant. */
const maxRefreshHintSeconds = 31_536_000

/**
 * Reads a SPIFFE bundle: a set of JWKs that says for each key what it verifies. Keys for purposes or of types that are
 * not known here are passed over; a key that is known and wrong makes the bundle none, so that the last good one stays.
 * A bundle without keys is a bundle: it revokes every SVID of its trust domain.
 *
 * @see SPIFFE_Trust_Domain_and_Bundle.md, 4
 */
export function parseSpiffeBundle(trustDomain: string, text: string): ParsedBundle {
  const read = readBundleJson(text)
  return read.ok ? bundleOf(trustDomain, read.value) : read
}

/**
 * Reads a map of bundles by trust domain. One that is wrong makes the whole map none, for it is read at once or not.
 *
 * @see SPIFFE_Trust_Domain_and_Bundle.md, 5
 */
export function parseTrustBundleMap(text: string): ParsedBundles {
  const no = (why: string): ParsedBundles => ({ ok: false, why })
  const read = readBundleJson(text)
  if (!read.ok) return read
  const domains = isJsonObject(read.value) ? read.value['trust_domains'] : undefined
  if (!isJsonObject(domains)) return no('no trust_domains')
  const entries = Object.entries(domains)
  if (entries.length > maxTrustDomains) return no(`${entries.length} trust domains`)
  const bundles = new Map<string, TrustBundle>()
  for (const [name, value] of entries) {
    const fault = trustDomainFault(name)
    if (fault !== undefined) return no(`trust_domains: ${JSON.stringify(name.slice(0, 255))}: ${fault}`)
    const parsed = bundleOf(name, value)
    if (!parsed.ok) return no(`${name}: ${parsed.why}`)
    bundles.set(name, parsed.bundle)
  }
  return { ok: true, bundles }
}

function bundleOf(trustDomain: string, value: unknown): ParsedBundle {
  const no = (why: string): ParsedBundle => ({ ok: false, why })
  if (!isJsonObject(value)) return no('not an object')
  const keys = jwksOf(value)
  if (typeof keys === 'string') return no(keys)
  const { spiffe_sequence: sequence, spiffe_refresh_hint: hint } = value as Readonly<Record<string, unknown>>
  if (sequence !== undefined && !(typeof sequence === 'bigint' && sequence <= maxSequence))
    return no('spiffe_sequence is no integer of 64 bits')
  if (hint !== undefined && !(Number.isInteger(hint) && (hint as number) >= 0))
    return no('spiffe_refresh_hint is no number of seconds')
  const x509Authorities = readJwks(keys, (use) => use === 'x509-svid', x509Authority)
  if (typeof x509Authorities === 'string') return no(x509Authorities)
  const jwtAuthorities = readJwtAuthorities(keys, (use) => use === 'jwt-svid')
  if (typeof jwtAuthorities === 'string') return no(jwtAuthorities)
  return {
    ok: true,
    bundle: {
      ...{ trustDomain, x509Authorities, jwtAuthorities },
      ...(sequence !== undefined && { sequence }),
      ...(hint !== undefined && { refreshHintSeconds: Math.min(hint as number, maxRefreshHintSeconds) }),
    },
  }
}

/** What the JWK says beside its certificate counts only where it contradicts it. @see X509-SVID.md, 6.2 */
function x509Authority(jwk: JsonObject): ReadJwk<Certificate> {
  const x5c = jwk['x5c']
  if (x5c === undefined || (Array.isArray(x5c) && x5c.length === 0)) return { kind: 'passed over' }
  const first: unknown = Array.isArray(x5c) ? x5c[0] : undefined
  if (typeof first !== 'string') return { kind: 'wrong', why: 'has an x5c that is no list of certificates' }
  try {
    const certificate = parseCertificate(decodeBase64(first, 'standard', 'padded'))
    const { use, ...members } = jwk
    const own = parsePublicJwk(members)
    if (own.ok && !own.key.object.equals(certificate.publicKey()))
      return { kind: 'wrong', why: 'is another than that of its certificate' }
    return { kind: 'read', value: certificate }
  } catch (thrown) {
    return { kind: 'wrong', why: `has a certificate that is none: ${messageOf(thrown)}` }
  }
}

/** Of the members that node:crypto gives, those of a public key. */
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const

/** Writes a SPIFFE bundle as a bundle endpoint serves it. @see SPIFFE_Trust_Domain_and_Bundle.md, 4 */
export function spiffeBundleText(bundle: TrustBundle): string {
  const { x509Authorities, jwtAuthorities, sequence, refreshHintSeconds } = bundle
  const members = {
    ...(sequence !== undefined && { spiffe_sequence: rawJSON(sequence.toString()) }),
    ...(refreshHintSeconds !== undefined && { spiffe_refresh_hint: refreshHintSeconds }),
    keys: [
      ...x509Authorities.map((certificate) => ({
        use: 'x509-svid',
        ...publicJwk(certificate.publicKey().export({ format: 'jwk' })),
        x5c: [certificate.der.toString('base64')],
      })),
      ...jwtAuthorities.map(({ kid, object }) => ({
        use: 'jwt-svid',
        kid,
        ...publicJwk(object.export({ format: 'jwk' })),
      })),
    ],
  }
  return JSON.stringify(members, undefined, 2)
}

function publicJwk(jwk: JsonWebKey): JsonWebKey {
  return Object.fromEntries(
    publicMembers.filter((name) => jwk[name] !== undefined).map((name) => [name, jwk[name]]),
  )
}

import type { JsonWebKey } from 'node:crypto'
import { messageOf } from '#base/errors.ts'
import { isJsonObject, type JsonObject } from '#base/json.ts'
import { rawJSON } from '#base/raw-json.ts'
import { decodeBase64 } from '#crypto/base64.ts'
import { parsePublicJwk } from '#crypto/jose/jwk.ts'
import { trustDomainFault } from '../spiffe-id.ts'
import { type Certificate, parseCertificate } from '../x509/certificate.ts'
import { readBundleJson } from './bundle-json.ts'
import type { JwtAuthority, TrustBundle, TrustBundles } from './trust-bundle.ts'

export type ParsedBundle =
  | { readonly ok: true; readonly bundle: TrustBundle }
  | { readonly ok: false; readonly why: string }

export type ParsedBundles =
  | { readonly ok: true; readonly bundles: TrustBundles }
  | { readonly ok: false; readonly why: string }

const maxKeys = 256
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
  const domains = isMembers(read.value) ? read.value['trust_domains'] : undefined
  if (!isMembers(domains)) return no('no trust_domains')
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
  if (!isMembers(value)) return no('not an object')
  const keys = keysOf(value)
  if (typeof keys === 'string') return no(keys)
  const { spiffe_sequence: sequence, spiffe_refresh_hint: hint } = value as Readonly<Record<string, unknown>>
  if (sequence !== undefined && !(typeof sequence === 'bigint' && sequence <= maxSequence))
    return no('spiffe_sequence is no integer of 64 bits')
  if (hint !== undefined && !(Number.isInteger(hint) && (hint as number) >= 0))
    return no('spiffe_refresh_hint is no number of seconds')
  const x509Authorities = readAll(
    keys.filter(({ use }) => use === 'x509-svid'),
    x509Authority,
  )
  if (typeof x509Authorities === 'string') return no(x509Authorities)
  const jwtAuthorities = readAll(
    keys.filter(({ use }) => use === 'jwt-svid'),
    jwtAuthority,
  )
  if (typeof jwtAuthorities === 'string') return no(jwtAuthorities)
  const twice = keyIdTwice(jwtAuthorities)
  if (twice !== undefined) return no(twice)
  return {
    ok: true,
    bundle: {
      ...{ trustDomain, x509Authorities, jwtAuthorities },
      ...(sequence !== undefined && { sequence }),
      ...(hint !== undefined && { refreshHintSeconds: Math.min(hint as number, maxRefreshHintSeconds) }),
    },
  }
}

/** The JWKs of a set whose type is known; or what is wrong with it. */
function keysOf(value: unknown): readonly JsonObject[] | string {
  const keys = isMembers(value) ? value['keys'] : undefined
  if (!Array.isArray(keys)) return 'no keys'
  if (keys.length > maxKeys) return `${keys.length} keys`
  const found: JsonObject[] = []
  for (const [index, key] of keys.entries()) {
    if (!isMembers(key)) return `key ${index} is no object`
    if (key['kty'] === 'RSA' || key['kty'] === 'EC' || key['kty'] === 'OKP') found.push(key)
  }
  return found
}

type Read<T> =
  | { readonly kind: 'read'; readonly value: T }
  | { readonly kind: 'passed over' }
  | { readonly kind: 'wrong'; readonly why: string }

function readAll<T>(keys: readonly JsonObject[], read: (key: JsonObject) => Read<T>): readonly T[] | string {
  const found: T[] = []
  for (const [index, key] of keys.entries()) {
    const one = read(key)
    if (one.kind === 'wrong') return `key ${index} for ${key['use']} ${one.why}`
    if (one.kind === 'read') found.push(one.value)
  }
  return found
}

/** What the JWK says beside its certificate counts only where it contradicts it. @see X509-SVID.md, 6.2 */
function x509Authority(jwk: JsonObject): Read<Certificate> {
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

/** @see JWT-SVID.md, 6 */
function jwtAuthority(jwk: JsonObject): Read<JwtAuthority> {
  const parsed = parsePublicJwk(jwk)
  if (!parsed.ok) return { kind: 'wrong', why: parsed.why }
  const { kid: keyId, object: publicKey } = parsed.key
  if (keyId === undefined) return { kind: 'wrong', why: 'has no kid' }
  return { kind: 'read', value: { keyId, publicKey } }
}

/** Two keys of one name leave open which one is meant. */
function keyIdTwice(authorities: readonly JwtAuthority[]): string | undefined {
  const seen = new Set<string>()
  for (const { keyId } of authorities) {
    if (seen.has(keyId)) return 'two keys for jwt-svid have the same kid'
    seen.add(keyId)
  }
  return undefined
}

function isMembers(value: unknown): value is JsonObject {
  return isJsonObject(value)
}

/** Of the members that node:crypto gives, those of a public key. */
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const

/** Writes a SPIFFE bundle as a bundle endpoint serves it. @see SPIFFE_Trust_Domain_and_Bundle.md, 4 */
export function spiffeBundleText(bundle: TrustBundle): string {
  return JSON.stringify(bundleObject(bundle), undefined, 2)
}

/** Writes a map of bundles, without refresh hints, which a map has none of. @see SPIFFE_Trust_Domain_and_Bundle.md, 5 */
export function trustBundleMapText(bundles: TrustBundles): string {
  const entries = [...bundles].map(([name, { refreshHintSeconds, ...bundle }]) => [
    name,
    bundleObject(bundle),
  ])
  return JSON.stringify({ trust_domains: Object.fromEntries(entries) }, undefined, 2)
}

function bundleObject(bundle: TrustBundle): object {
  const { x509Authorities, jwtAuthorities, sequence, refreshHintSeconds } = bundle
  return {
    ...(sequence !== undefined && { spiffe_sequence: rawJSON(sequence.toString()) }),
    ...(refreshHintSeconds !== undefined && { spiffe_refresh_hint: refreshHintSeconds }),
    keys: [
      ...x509Authorities.map((certificate) => ({
        use: 'x509-svid',
        ...publicJwk(certificate.publicKey().export({ format: 'jwk' })),
        x5c: [certificate.der.toString('base64')],
      })),
      ...jwtAuthorities.map(({ keyId, publicKey }) => ({
        use: 'jwt-svid',
        kid: keyId,
        ...publicJwk(publicKey.export({ format: 'jwk' })),
      })),
    ],
  }
}

function publicJwk(jwk: JsonWebKey): JsonWebKey {
  return Object.fromEntries(
    publicMembers.filter((name) => jwk[name] !== undefined).map((name) => [name, jwk[name]]),
  )
}

import { createPublicKey, hash, type KeyObject } from 'node:crypto'
import { isJsonObject, type JsonObject } from '#base/json.ts'
import { decodeBase64url } from './base64url.ts'
import { algorithms, type KeyKind } from './signature.ts'

/** A public key that signatures are checked with: what a JWK says was checked, so it cannot be wrong. */
export interface VerifyingKey {
  readonly kind: KeyKind
  readonly object: KeyObject
  /** Octets of a coordinate of an EC key; 0 for others. */
  readonly coordinateBytes: number
  /** The only algorithm it is for, where the JWK names one. */
  readonly alg?: string
  readonly kid?: string
  readonly use?: 'sig' | 'jwt-svid'
  /** base64url SHA-256 of the key, whatever else the JWK says. @see RFC 7638 */
  readonly thumbprint: string
}

export type ParsedJwk =
  | { readonly ok: true; readonly key: VerifyingKey }
  | { readonly ok: false; readonly why: string }

type Material =
  | {
      readonly ok: true
      readonly kind: KeyKind
      readonly coordinateBytes: number
      readonly jwk: PublicMembers
    }
  | { readonly ok: false; readonly why: string }

/** The members that make the key, in the order of their names: written as JSON they are what is hashed. */
type PublicMembers = Readonly<Record<string, string>>

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const
const maxKidCharacters = 1024

/**
 * Reads a JWK as a key to check signatures with. One with private parts is refused, for its secret is none; so is one
 * that is for something else (`use`, `key_ops`, `alg`).
 *
 * @see RFC 7517; RFC 7518, section 6; RFC 8037
 */
export function parsePublicJwk(value: unknown): ParsedJwk {
  const no = (why: string): ParsedJwk => ({ ok: false, why })
  if (!isJsonObject(value)) return no('not an object')
  for (const name of privateMembers) {
    if (Object.hasOwn(value, name)) return no(`has ${name}, which belongs to a secret or private key`)
  }
  const use = own(value, 'use')
  if (use !== undefined && use !== 'sig' && use !== 'jwt-svid') return no('is not for signatures (use)')
  if (!mayVerify(own(value, 'key_ops'))) return no('is not for verifying (key_ops)')
  const kid = own(value, 'kid')
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > maxKidCharacters))
    return no('has a kid that is no name')
  const material = materialOf(value)
  if (!material.ok) return material
  const { kind, coordinateBytes, jwk } = material
  const alg = own(value, 'alg')
  if (alg !== undefined && (typeof alg !== 'string' || !fitsAlgorithm(material, alg)))
    return no('has an alg that is not one of its signatures')
  let object: KeyObject
  try {
    object = createPublicKey({ key: { ...jwk }, format: 'jwk' })
  } catch {
    // A point that is not on its curve.
    return no('is no key')
  }
  return {
    ok: true,
    key: {
      kind,
      object,
      coordinateBytes,
      ...(alg !== undefined && { alg }),
      ...(kid !== undefined && { kid }),
      ...(use !== undefined && { use }),
      thumbprint: hash('sha256', JSON.stringify(jwk), 'base64url'),
    },
  }
}

/** Whether a key of this kind, and curve, signs by an algorithm of that name. */
export function fitsAlgorithm(
  key: { readonly kind: KeyKind; readonly coordinateBytes: number },
  alg: string,
): boolean {
  if (algorithms.get(alg)?.kind !== key.kind) return false
  return key.kind !== 'ecdsa' || coordinateBytesOf[alg] === key.coordinateBytes
}

const coordinateBytesOf: Readonly<Record<string, number>> = { ES256: 32, ES384: 48, ES512: 66 }

function own(members: JsonObject, name: string): unknown {
  return Object.hasOwn(members, name) ? members[name] : undefined
}

function mayVerify(operations: unknown): boolean {
  if (operations === undefined) return true
  return (
    Array.isArray(operations) &&
    operations.every((each) => typeof each === 'string') &&
    operations.includes('verify') &&
    new Set(operations).size === operations.length
  )
}

function materialOf(value: JsonObject): Material {
  switch (own(value, 'kty')) {
    case 'RSA':
      return rsa(value)
    case 'EC':
      return ec(value)
    case 'OKP':
      return okp(value)
    default:
      return { ok: false, why: 'is of another type (kty)' }
  }
}

function octets(value: JsonObject, name: string): Buffer | undefined {
  const text = own(value, name)
  return typeof text === 'string' ? decodeBase64url(text) : undefined
}

const minModulusBits = 2048
const maxModulusBits = 8192
/** Of the exponent: each bit is paid for with each signature. */
const maxExponentBytes = 4

function rsa(value: JsonObject): Material {
  const no = (why: string): Material => ({ ok: false, why })
  const [n, e] = [octets(value, 'n'), octets(value, 'e')]
  if (n === undefined || e === undefined) return no('has an n or e that is no number')
  const [first = 0] = n
  if (first === 0 || !e[0]) return no('has an n or e with zeros before it')
  const bits = n.length * 8 - (Math.clz32(first) - 24)
  if (bits < minModulusBits || bits > maxModulusBits)
    return no(`has ${bits} bits, not ${minModulusBits} to ${maxModulusBits}`)
  if (((n.at(-1) ?? 0) & 1) === 0) return no('has an even modulus')
  if (e.length > maxExponentBytes) return no('has an exponent that is too large')
  const exponent = e.readUIntBE(0, e.length)
  if (exponent < 3 || exponent % 2 === 0) return no('has an exponent that is even, or 1')
  const jwk = { e: value['e'] as string, kty: 'RSA', n: value['n'] as string }
  return { ok: true, kind: 'rsa', coordinateBytes: 0, jwk }
}

const curveBytes: ReadonlyMap<unknown, number> = new Map([
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 66],
])

function ec(value: JsonObject): Material {
  const crv = own(value, 'crv')
  const size = curveBytes.get(crv)
  if (size === undefined) return { ok: false, why: 'is on another curve (crv)' }
  if (octets(value, 'x')?.length !== size || octets(value, 'y')?.length !== size)
    return { ok: false, why: `has coordinates that are not ${size} octets` }
  const jwk = { crv: crv as string, kty: 'EC', x: value['x'] as string, y: value['y'] as string }
  return { ok: true, kind: 'ecdsa', coordinateBytes: size, jwk }
}

function okp(value: JsonObject): Material {
  if (own(value, 'crv') !== 'Ed25519') return { ok: false, why: 'is on another curve (crv)' }
  if (octets(value, 'x')?.length !== 32) return { ok: false, why: 'has an x that is not 32 octets' }
  const jwk = { crv: 'Ed25519', kty: 'OKP', x: value['x'] as string }
  return { ok: true, kind: 'ed25519', coordinateBytes: 0, jwk }
}

import { createECDH, createPrivateKey, createPublicKey } from 'node:crypto'
import { constructed, DerReader, tags } from '#crypto/der.ts'
import { algorithmIdentifier, keyKinds } from '#crypto/x509/algorithm.ts'
import { integerOf, type RegoObject, type RegoValue } from '../../values/value.ts'
import { OperandError } from '../operands.ts'
import { curves, pointDocument } from './public-key.ts'
import { type RsaNumbers, readRsa } from './rsa-private-key.ts'

/** A private key as Go reads it. */
export type PrivateKey =
  | { readonly kind: 'rsa'; readonly numbers: RsaNumbers }
  | { readonly kind: 'ecdsa'; readonly curve: string; readonly d: Buffer; readonly point: Buffer }
  | { readonly kind: 'ed25519' | 'x25519'; readonly seed: Buffer; readonly publicKey: Buffer }

/** PKCS #1, an RSA key. @throws OperandError */
export function parsePkcs1(der: Buffer): PrivateKey {
  return { kind: 'rsa', numbers: readRsa(der) }
}

/** PKCS #8, any key. @throws OperandError @see RFC 5958 */
export function parsePkcs8(der: Buffer): PrivateKey {
  const info = new DerReader(der).inside(tags.sequence)
  info.int64()
  const { algorithm, parameters } = algorithmIdentifier(info.inside(tags.sequence))
  const key = info.contents(tags.octetString)
  const kind = keyKinds.get(algorithm)
  if (kind === 'rsa') return parsePkcs1(key)
  if (kind === 'ecdsa') return parseSec1(key, namedCurve(parameters))
  if (kind !== 'ed25519' && kind !== 'x25519') throw new OperandError('a private key of an unknown kind')
  if (parameters.length > 0) throw new OperandError('parameters where none may be')
  const seed = new DerReader(key).contents(tags.octetString)
  if (seed.length !== 32) throw new OperandError('a seed of another length')
  return { kind, seed, publicKey: publicOf(kind, seed) }
}

function namedCurve(parameters: Buffer): string | undefined {
  try {
    return new DerReader(parameters).oid().join('.')
  } catch {
    // The key inside may name it.
    return undefined
  }
}

/** SEC 1, an EC key; PKCS #8 may have named its curve. @throws OperandError @see RFC 5915 */
export function parseSec1(der: Buffer, named?: string): PrivateKey {
  const key = new DerReader(der).inside(tags.sequence)
  if (key.int64() !== 1n) throw new OperandError('an EC key of another version')
  const written = key.contents(tags.octetString)
  const own = key.nextIs(constructed(0)) ? key.inside(constructed(0)).oid().join('.') : undefined
  if (key.nextIs(constructed(1))) key.inside(constructed(1)).bitString()
  const curve = curves.get(named ?? own ?? '')
  if (curve === undefined) throw new OperandError('an unknown elliptic curve')
  // Some write zeros before the number, some leave out those that should be there.
  const digits = written.subarray(Math.max(0, written.length - curve.size))
  if (written.subarray(0, written.length - digits.length).some((octet) => octet !== 0))
    throw new OperandError('a private key of another length')
  const d = Buffer.concat([Buffer.alloc(curve.size - digits.length), digits])
  const pair = createECDH(curve.name)
  pair.setPrivateKey(d)
  return { kind: 'ecdsa', curve: curve.name, d, point: pair.getPublicKey() }
}

/** A PKCS #8 header, up to the seed. */
const headers = {
  ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
  x25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
} as const

function publicOf(kind: 'ed25519' | 'x25519', seed: Buffer): Buffer {
  const key = createPrivateKey({ key: Buffer.concat([headers[kind], seed]), format: 'der', type: 'pkcs8' })
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
}

/** As Go's JSON has a key. */
export function privateKeyDocument(key: PrivateKey): RegoValue {
  switch (key.kind) {
    case 'rsa': {
      const { n, e, d, p, q, dp, dq, qi } = key.numbers
      return {
        N: integerOf(n),
        E: integerOf(e),
        D: integerOf(d),
        Primes: [integerOf(p), integerOf(q)],
        Precomputed: { Dp: integerOf(dp), Dq: integerOf(dq), Qinv: integerOf(qi), CRTValues: [] },
      }
    }
    case 'ecdsa':
      return { ...pointDocument(key.point), D: integerOf(BigInt(`0x${key.d.toString('hex')}`)) }
    case 'ed25519':
      return Buffer.concat([key.seed, key.publicKey]).toString('base64')
    case 'x25519':
      return {}
    default:
      return key satisfies never
  }
}

/** The public half, as the document of a certificate's key has it. */
export function publicDocument(key: PrivateKey): RegoValue {
  if (key.kind === 'rsa') return { N: integerOf(key.numbers.n), E: integerOf(key.numbers.e) }
  if (key.kind === 'ecdsa') return pointDocument(key.point)
  return key.publicKey.toString('base64')
}

const jwkCurves: Readonly<Record<string, string>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
}

/** A JWK. @throws OperandError for a curve that JWK does not know. @see RFC 7518, 6 */
export function privateJwk(key: PrivateKey): RegoObject {
  switch (key.kind) {
    case 'rsa': {
      const { n, e, d, p, q, dp, dq, qi } = key.numbers
      const numbers = Object.entries({ n, e, d, p, q, dp, dq, qi })
      return { kty: 'RSA', ...Object.fromEntries(numbers.map(([name, number]) => [name, octetsOf(number)])) }
    }
    case 'ecdsa': {
      const crv = jwkCurves[key.curve]
      if (crv === undefined) throw new OperandError('a curve that no JWK has')
      const [x, y] = [key.point.subarray(1, 1 + key.d.length), key.point.subarray(1 + key.d.length)]
      return { kty: 'EC', crv, x: base64url(x), y: base64url(y), d: base64url(key.d) }
    }
    case 'ed25519':
    case 'x25519': {
      const crv = key.kind === 'ed25519' ? 'Ed25519' : 'X25519'
      return { kty: 'OKP', crv, x: base64url(key.publicKey), d: base64url(key.seed) }
    }
    default:
      return key satisfies never
  }
}

const base64url = (bytes: Buffer) => bytes.toString('base64url')

function octetsOf(number: bigint): string {
  const hex = number.toString(16)
  return base64url(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'))
}

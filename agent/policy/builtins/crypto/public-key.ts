import { createPublicKey, type KeyObject } from 'node:crypto'
import { type BitString, DerReader, rightAligned, tags } from '#crypto/der.ts'
import { type AlgorithmIdentifier, derNull, type KeyKind, keyKinds } from '#crypto/x509/algorithm.ts'
import { integerOf, type RegoValue } from '../../values/value.ts'
import { OperandError } from '../operands.ts'

/** Elliptic curves that Go knows, with the octets of a coordinate. */
export const curves: ReadonlyMap<string, { readonly name: string; readonly size: number }> = new Map([
  ['1.3.132.0.33', { name: 'secp224r1', size: 28 }],
  ['1.2.840.10045.3.1.7', { name: 'prime256v1', size: 32 }],
  ['1.3.132.0.34', { name: 'secp384r1', size: 48 }],
  ['1.3.132.0.35', { name: 'secp521r1', size: 66 }],
])

/** Go's `x509.PublicKeyAlgorithm`; x25519 is none of them. */
export const publicKeyAlgorithms: Readonly<Record<KeyKind, number>> = {
  rsa: 1,
  dsa: 2,
  ecdsa: 3,
  ed25519: 4,
  x25519: 0,
}

export interface PublicKey {
  readonly kind: KeyKind
  /** As Go's JSON has it. */
  readonly document: RegoValue
  /** Fit to verify with, or undefined where Go would not verify with it. */
  readonly verifying: () => KeyObject | undefined
}

/** A SubjectPublicKeyInfo. @throws OperandError where Go refuses the key, undefined where it does not know its kind. */
export function parsePublicKey(
  { algorithm, parameters }: AlgorithmIdentifier,
  bits: BitString,
  spki: Buffer,
): PublicKey | undefined {
  const kind = keyKinds.get(algorithm)
  if (kind === undefined) return undefined
  const data = rightAligned(bits)
  const found = readers[kind](data, parameters, spki)
  const object = () => createPublicKey({ key: spki, format: 'der', type: 'spki' })
  return { kind, document: found.document, verifying: () => (found.verifies ? object() : undefined) }
}

interface Found {
  readonly document: RegoValue
  readonly verifies: boolean
}

const readers: Readonly<Record<KeyKind, (data: Buffer, parameters: Buffer, spki: Buffer) => Found>> = {
  rsa: (data, parameters) => {
    if (!parameters.equals(derNull)) throw new OperandError('an RSA key without NULL parameters')
    const key = new DerReader(data).inside(tags.sequence)
    const [n, e] = [key.integer(), key.int64()]
    if (n <= 0n || e <= 0n) throw new OperandError('an RSA key that is not positive')
    return { document: { N: integerOf(n), E: integerOf(e) }, verifies: isFitRsa(n, e) }
  },
  dsa: (data, parameters) => {
    const y = new DerReader(data).integer()
    const domain = new DerReader(parameters).inside(tags.sequence)
    const [p, q, g] = [domain.integer(), domain.integer(), domain.integer()]
    if ([y, p, q, g].some((number) => number <= 0n)) throw new OperandError('a DSA key that is not positive')
    const [P, Q, G, Y] = [integerOf(p), integerOf(q), integerOf(g), integerOf(y)]
    return { document: { P, Q, G, Y }, verifies: false }
  },
  ecdsa: (data, parameters, spki) => {
    const curve = curves.get(new DerReader(parameters).oid().join('.'))
    if (curve === undefined) throw new OperandError('an unknown elliptic curve')
    if (data[0] !== 4 || data.length !== 1 + 2 * curve.size)
      throw new OperandError('not an uncompressed point')
    // OpenSSL refuses a point that is not on the curve.
    createPublicKey({ key: spki, format: 'der', type: 'spki' })
    return { document: pointDocument(data), verifies: true }
  },
  ed25519: (data, parameters) => {
    if (parameters.length > 0 || data.length !== 32) throw new OperandError('not an Ed25519 key')
    return { document: data.toString('base64'), verifies: true }
  },
  x25519: (data, parameters) => {
    if (parameters.length > 0 || data.length !== 32) throw new OperandError('not an X25519 key')
    return { document: {}, verifies: false }
  },
}

/** Go's `ecdsa.PublicKey` as JSON; its curve shows nothing. */
export function pointDocument(point: Buffer): { readonly [key: string]: RegoValue } {
  const middle = (point.length + 1) / 2
  const coordinate = (bytes: Buffer) => integerOf(BigInt(`0x${bytes.toString('hex')}`))
  return { Curve: {}, X: coordinate(point.subarray(1, middle)), Y: coordinate(point.subarray(middle)) }
}

/** Go verifies and signs with these only. */
export function isFitRsa(n: bigint, e: bigint): boolean {
  return n % 2n === 1n && n.toString(2).length >= 1024 && e >= 2n && e % 2n === 1n && e < 1n << 31n
}

import type { KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { DerReader, tags } from '#crypto/der.ts'
import { nextPemBlock } from '#crypto/pem.ts'
import { algorithmIdentifier } from '#crypto/x509/algorithm.ts'
import { parseCertificate } from '../crypto/certificate.ts'
import { curves, type PublicKey, parsePublicKey } from '../crypto/public-key.ts'
import { OperandError } from '../operands.ts'
import { type JoseKind, type Jwk, parseJwks } from './jwk.ts'

/** A key to verify with; PEM says nothing of its use. */
export type VerifyingKey = Pick<Jwk, 'kind' | 'alg' | 'kid' | 'isPrivate' | 'secret' | 'size' | 'verifying'>

/** What one text holds. */
export interface KeySet {
  /** No two texts have the same, ever. */
  readonly id: number
  readonly keys: readonly VerifyingKey[]
}

/** A policy verifies with few keys, and parsing them costs more than verifying; texts of all sizes count. */
const cache = new LRUCache<string, KeySet>({
  max: 100,
  maxSize: 4 << 20,
  sizeCalculation: (_, text) => text.length + 1,
})
let lastId = 0

/**
 * A PEM certificate, a PEM public key, a JWK or a JWK set, as OPA's `cert` takes them.
 *
 * @throws OperandError, SyntaxError and what OpenSSL throws, where one of the keys cannot be read.
 */
export function keySetOf(text: string): KeySet {
  let found = cache.get(text)
  if (found === undefined) {
    found = { id: ++lastId, keys: parseKeys(text) }
    cache.set(text, found)
  }
  return found
}

function parseKeys(text: string): VerifyingKey[] {
  const found = nextPemBlock(text)
  if (found !== undefined) {
    // Of several certificates nobody could say which is meant.
    if (found.rest !== '') throw new OperandError('something after a PEM block')
    return [pemKey(found.block.type, found.block.bytes)]
  }
  const jwks = parseJwks(text)
  if (jwks.some(({ isUsable }) => !isUsable)) throw new OperandError('a JWK that is no key')
  return jwks
    .filter(({ alg }) => alg === '' || joseAlgorithms.has(alg))
    .map((jwk) => ({ ...jwk, verifying: once(jwk.verifying) }))
}

/** What OPA signs and verifies with by name; keys for anything else are passed over. */
export const joseAlgorithms: ReadonlySet<string> = new Set(
  'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 HS256 HS384 HS512 EdDSA'.split(' '),
)

function pemKey(type: string, der: Buffer): VerifyingKey {
  if (type === 'CERTIFICATE') return keyOf(parseCertificate(der).publicKey)
  if (type !== 'PUBLIC KEY') throw new OperandError('PEM of something else')
  const whole = new DerReader(der)
  const spki = whole.inside(tags.sequence)
  const identifier = algorithmIdentifier(spki.inside(tags.sequence))
  const key = parsePublicKey(identifier, spki.bitString(), der)
  if (key === undefined || !whole.isEmpty) throw new OperandError('a public key of an unknown kind')
  return keyOf(key)
}

const kinds: Readonly<Record<PublicKey['kind'], JoseKind>> = {
  rsa: 'rsa',
  ecdsa: 'ecdsa',
  ed25519: 'ed25519',
  dsa: 'other',
  x25519: 'other',
}

const sizes: ReadonlyMap<string, number> = new Map([...curves.values()].map(({ name, size }) => [name, size]))

function keyOf(key: PublicKey | undefined): VerifyingKey {
  const verifying = once(() => key?.verifying())
  const kind = key === undefined ? 'other' : kinds[key.kind]
  const curve = kind === 'ecdsa' ? verifying()?.asymmetricKeyDetails?.namedCurve : undefined
  return { kind, alg: '', kid: '', isPrivate: false, size: sizes.get(curve ?? '') ?? 0, verifying }
}

/** OpenSSL takes longer to read a key than to use it. */
function once(make: () => KeyObject | undefined): () => KeyObject | undefined {
  let made: { readonly key: KeyObject | undefined } | undefined
  return () => {
    made ??= { key: make() }
    return made.key
  }
}

/** Keys of a set to try: the one that the token names, else all that do not say that they are for something else. */
export function candidates(
  { keys }: KeySet,
  { alg, kid }: { readonly alg: string; readonly kid: string },
): readonly VerifyingKey[] {
  const named = kid === '' ? undefined : keys.find((key) => key.kid === kid)
  return named !== undefined ? [named] : keys.filter((key) => key.alg === '' || key.alg === alg)
}

import { createHmac, type KeyObject, sign, timingSafeEqual } from 'node:crypto'
import { algorithms, isSignatureGood, parameters } from '#crypto/jose/signature.ts'
import { OperandError } from '../operands.ts'
import type { Jwk } from './jwk.ts'
import type { VerifyingKey } from './keys.ts'

/** Of the algorithms with a shared secret. @see RFC 7518, 3.2 */
const secretDigests: ReadonlyMap<string, string> = new Map([
  ['HS256', 'sha256'],
  ['HS384', 'sha384'],
  ['HS512', 'sha512'],
])

export interface Signed {
  readonly signed: string
  readonly signature: Buffer
}

/** How OPA's two families of builtins differ. */
export interface Strictness {
  /** `decode_verify`: a salt of the digest's length, numbers of the curve's length; `verify_*` takes any. */
  readonly isStrict: boolean
}

/**
 * Whether a key made the signature by an algorithm. A key of another kind than the algorithm's never did, whatever the
 * token says: no public key is ever taken for a secret.
 */
export function isSignedBy(
  token: Signed,
  name: string,
  key: VerifyingKey,
  { isStrict }: Strictness,
): boolean {
  if (secretDigests.has(name))
    return key.kind === 'secret' && key.secret !== undefined && isKeyedBy(token, name, key.secret)
  const algorithm = algorithms.get(name)
  if (algorithm === undefined || algorithm.kind !== key.kind) return false
  let object: KeyObject | undefined
  try {
    object = key.verifying()
  } catch {
    // OpenSSL holds less for a key than Go does; what it cannot load verifies nothing.
    return false
  }
  if (object === undefined) return false
  const { signed, signature: bytes } = token
  return isSignatureGood({ algorithm, key: object, coordinateBytes: key.size, signed, bytes }, { isStrict })
}

export function isKeyedBy(token: Signed, name: string, secret: string | Buffer): boolean {
  const digest = secretDigests.get(name)
  if (digest === undefined) return false
  const expected = createHmac(digest, secret).update(token.signed).digest()
  return expected.length === token.signature.length && timingSafeEqual(expected, token.signature)
}

/** @throws OperandError where the key is not one for the algorithm. */
export function signatureOf(signed: string, name: string, key: Jwk): Buffer {
  const secretDigest = secretDigests.get(name)
  if (secretDigest !== undefined) {
    if (key.secret === undefined) throw new OperandError('a key of another algorithm')
    return createHmac(secretDigest, key.secret).update(signed).digest()
  }
  const algorithm = algorithms.get(name)
  if (algorithm === undefined || algorithm.kind !== key.kind)
    throw new OperandError('a key of another algorithm')
  return sign(algorithm.digest, Buffer.from(signed), { key: key.signing(), ...parameters(algorithm, true) })
}

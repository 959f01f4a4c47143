import { constants, createHmac, type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto'
import { OperandError } from '../operands.ts'
import type { JoseKind, Jwk } from './jwk.ts'
import type { VerifyingKey } from './keys.ts'

interface Algorithm {
  readonly kind: JoseKind
  readonly digest: string | null
  readonly isPss?: boolean
}

/** @see RFC 7518, 3.1; RFC 8037; RFC 9864 */
export const algorithms: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ...[256, 384, 512].flatMap((bits): [string, Algorithm][] => [
    [`HS${bits}`, { kind: 'secret', digest: `sha${bits}` }],
    [`RS${bits}`, { kind: 'rsa', digest: `sha${bits}` }],
    [`PS${bits}`, { kind: 'rsa', digest: `sha${bits}`, isPss: true }],
    [`ES${bits}`, { kind: 'ecdsa', digest: `sha${bits}` }],
  ]),
  ['EdDSA', { kind: 'ed25519', digest: null }],
  ['Ed25519', { kind: 'ed25519', digest: null }],
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
  const algorithm = algorithms.get(name)
  if (algorithm === undefined || algorithm.kind !== key.kind) return false
  const { kind, digest } = algorithm
  if (kind === 'secret') return key.secret !== undefined && isKeyedBy(token, name, key.secret)
  let object: KeyObject | undefined
  let signature: Buffer | undefined = token.signature
  try {
    object = key.verifying()
  } catch {
    // OpenSSL holds less for a key than Go does; what it cannot load verifies nothing.
    return false
  }
  if (kind === 'ecdsa') signature = fixedLength(token.signature, key.size, isStrict)
  if (object === undefined || signature === undefined) return false
  return verify(
    digest,
    Buffer.from(token.signed),
    { key: object, ...parameters(algorithm, isStrict) },
    signature,
  )
}

function parameters({ kind, isPss }: Algorithm, isStrict: boolean): object {
  if (kind === 'ecdsa') return { dsaEncoding: 'ieee-p1363' }
  if (!isPss) return {}
  const saltLength = isStrict ? constants.RSA_PSS_SALTLEN_DIGEST : constants.RSA_PSS_SALTLEN_AUTO
  return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
}

/** The two numbers of an ECDSA signature in the octets of the curve; undefined where they do not fit. */
function fixedLength(signature: Buffer, size: number, isStrict: boolean): Buffer | undefined {
  if (signature.length === 2 * size) return signature
  if (isStrict) return undefined
  const middle = Math.floor(signature.length / 2)
  const halves = [signature.subarray(0, middle), signature.subarray(middle)].map((half) => {
    const start = Math.max(0, half.length - size)
    if (half.subarray(0, start).some((octet) => octet !== 0)) return undefined
    return Buffer.concat([Buffer.alloc(size - (half.length - start)), half.subarray(start)])
  })
  const [r, s] = halves
  return r === undefined || s === undefined ? undefined : Buffer.concat([r, s])
}

export function isKeyedBy(token: Signed, name: string, secret: string | Buffer): boolean {
  const algorithm = algorithms.get(name)
  if (algorithm?.kind !== 'secret' || algorithm.digest === null) return false
  const expected = createHmac(algorithm.digest, secret).update(token.signed).digest()
  return expected.length === token.signature.length && timingSafeEqual(expected, token.signature)
}

/** @throws OperandError where the key is not one for the algorithm. */
export function signatureOf(signed: string, name: string, key: Jwk): Buffer {
  const algorithm = algorithms.get(name)
  if (algorithm === undefined || algorithm.kind !== key.kind)
    throw new OperandError('a key of another algorithm')
  const { kind, digest } = algorithm
  if (kind === 'secret' && digest !== null && key.secret !== undefined)
    return createHmac(digest, key.secret).update(signed).digest()
  return sign(digest, Buffer.from(signed), { key: key.signing(), ...parameters(algorithm, true) })
}

import { constants, type KeyObject, verify } from 'node:crypto'
import { DerReader, tags } from '../der.ts'
import { type AlgorithmIdentifier, algorithmIdentifier, derNull, type KeyKind } from './algorithm.ts'

export interface SignatureAlgorithm {
  /** Go's `x509.SignatureAlgorithm`. */
  readonly number: number
  /** The keys it verifies with; none where Go holds it for broken or does not know it. */
  readonly kind?: KeyKind
  readonly digest: string | null
  readonly isPss?: boolean
}

/** The public key of an issuer. */
export interface SigningKey {
  readonly kind: KeyKind
  /** Undefined, or throws, where nothing can be verified with it. */
  readonly verifying: () => KeyObject | undefined
}

const unknown: SignatureAlgorithm = { number: 0, digest: null }

const algorithms: ReadonlyMap<string, SignatureAlgorithm> = new Map<string, SignatureAlgorithm>([
  ['1.2.840.113549.1.1.4', { number: 2, digest: 'md5' }],
  ['1.2.840.113549.1.1.5', { number: 3, digest: 'sha1' }],
  ['1.3.14.3.2.29', { number: 3, digest: 'sha1' }],
  ['1.2.840.113549.1.1.11', { number: 4, kind: 'rsa', digest: 'sha256' }],
  ['1.2.840.113549.1.1.12', { number: 5, kind: 'rsa', digest: 'sha384' }],
  ['1.2.840.113549.1.1.13', { number: 6, kind: 'rsa', digest: 'sha512' }],
  ['1.2.840.10040.4.3', { number: 7, digest: 'sha1' }],
  ['2.16.840.1.101.3.4.3.2', { number: 8, digest: 'sha256' }],
  ['1.2.840.10045.4.1', { number: 9, digest: 'sha1' }],
  ['1.2.840.10045.4.3.2', { number: 10, kind: 'ecdsa', digest: 'sha256' }],
  ['1.2.840.10045.4.3.3', { number: 11, kind: 'ecdsa', digest: 'sha384' }],
  ['1.2.840.10045.4.3.4', { number: 12, kind: 'ecdsa', digest: 'sha512' }],
  ['1.3.101.112', { number: 16, kind: 'ed25519', digest: null }],
])

const pss = '1.2.840.113549.1.1.10'
const mgf1 = '1.2.840.113549.1.1.8'
const pssDigests: ReadonlyMap<string, SignatureAlgorithm & { readonly salt: bigint }> = new Map([
  ['2.16.840.1.101.3.4.2.1', { number: 13, kind: 'rsa', digest: 'sha256', isPss: true, salt: 32n }],
  ['2.16.840.1.101.3.4.2.2', { number: 14, kind: 'rsa', digest: 'sha384', isPss: true, salt: 48n }],
  ['2.16.840.1.101.3.4.2.3', { number: 15, kind: 'rsa', digest: 'sha512', isPss: true, salt: 64n }],
])

export function signatureAlgorithm({ algorithm, parameters }: AlgorithmIdentifier): SignatureAlgorithm {
  // RFC 8410, 3: the parameters must be absent.
  if (algorithm === '1.3.101.112' && parameters.length > 0) return unknown
  if (algorithm !== pss) return algorithms.get(algorithm) ?? unknown
  try {
    return pssAlgorithm(parameters)
  } catch {
    // As Go: parameters that cannot be read are an algorithm that is not known.
    return unknown
  }
}

/** Only where the digest of the mask is the digest of the message and the salt is as long as it (RFC 3447, 8.1). */
function pssAlgorithm(parameters: Buffer): SignatureAlgorithm {
  const fields = new DerReader(parameters).inside(tags.sequence)
  const hash = algorithmIdentifier(fields.inside(0xa0).inside(tags.sequence))
  const mask = algorithmIdentifier(fields.inside(0xa1).inside(tags.sequence))
  const salt = fields.inside(0xa2).int64()
  const trailer = fields.optional(0xa3)?.int64() ?? 1n
  const maskHash = algorithmIdentifier(new DerReader(mask.parameters).inside(tags.sequence))
  const isPlain = [hash, maskHash].every(
    (each) => each.parameters.length === 0 || each.parameters.equals(derNull),
  )
  const found = pssDigests.get(hash.algorithm)
  const isMgf1 = mask.algorithm === mgf1 && maskHash.algorithm === hash.algorithm
  return found !== undefined && isPlain && isMgf1 && salt === found.salt && trailer === 1n ? found : unknown
}

/** Whether a key that is fit for the algorithm made the signature. MD5 and SHA-1 never count. */
export function isSignedWith(
  algorithm: SignatureAlgorithm,
  {
    key,
    signed,
    signature,
  }: { readonly key: SigningKey; readonly signed: Buffer; readonly signature: Buffer },
): boolean {
  const { kind, digest, isPss } = algorithm
  if (kind === undefined || key.kind !== kind) return false
  let object: KeyObject | undefined
  try {
    object = key.verifying()
  } catch {
    // OpenSSL holds less for a key than Go does; what it cannot load verifies nothing.
    return false
  }
  if (object === undefined) return false
  const options = isPss
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : {}
  return verify(digest, signed, { key: object, ...options }, signature)
}

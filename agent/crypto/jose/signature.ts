import { constants, type KeyObject, verify } from 'node:crypto'

export type KeyKind = 'rsa' | 'ecdsa' | 'ed25519'

/** How an asymmetric algorithm of JOSE signs. */
export interface Algorithm {
  readonly kind: KeyKind
  readonly digest: string | null
  readonly isPss?: boolean
}

/** The asymmetric algorithms, by name. @see RFC 7518, 3.1; RFC 8037; RFC 9864 */
export const algorithms: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ...[256, 384, 512].flatMap((bits): [string, Algorithm][] => [
    [`RS${bits}`, { kind: 'rsa', digest: `sha${bits}` }],
    [`PS${bits}`, { kind: 'rsa', digest: `sha${bits}`, isPss: true }],
    [`ES${bits}`, { kind: 'ecdsa', digest: `sha${bits}` }],
  ]),
  ['EdDSA', { kind: 'ed25519', digest: null }],
  ['Ed25519', { kind: 'ed25519', digest: null }],
])

export interface Signature {
  readonly algorithm: Algorithm
  /** Of the algorithm's kind: whoever has a key knows it, and no token can say it. */
  readonly key: KeyObject
  /** Octets of a coordinate of an EC key; 0 for others. */
  readonly coordinateBytes: number
  /** What the signature is over. */
  readonly signed: string
  readonly bytes: Buffer
}

/**
 * Whether a key made a JOSE signature. The one place where a token's signature is checked: identities and OPA's
 * `io.jwt.*` both come here. Lenient is what OPA's `io.jwt.verify_*` are: a salt of any length, ECDSA numbers of any
 * length.
 *
 * @see RFC 7518, 3
 */
export function isSignatureGood(signature: Signature, { isStrict }: { readonly isStrict: boolean }): boolean {
  const { algorithm, key, coordinateBytes, signed, bytes } = signature
  const data = Buffer.from(signed)
  if (algorithm.kind !== 'ecdsa')
    return verify(algorithm.digest, data, { key, ...parameters(algorithm, isStrict) }, bytes)
  const numbers = fixedLength(bytes, coordinateBytes, isStrict)
  return numbers !== undefined && verify(algorithm.digest, data, key, derOf(numbers))
}

/** What node:crypto must be told beside the key. */
export function parameters({ kind, isPss }: Algorithm, isStrict: boolean): object {
  if (kind === 'ecdsa') return { dsaEncoding: 'ieee-p1363' }
  if (!isPss) return {}
  const saltLength = isStrict ? constants.RSA_PSS_SALTLEN_DIGEST : constants.RSA_PSS_SALTLEN_AUTO
  return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
}

/**
 * The two numbers of an ECDSA signature as OpenSSL itself takes them. Node would write them so, but asks the key for its
 * curve each time, which is a third of the whole check (bench `token`, `ES256 new`).
 */
function derOf(numbers: Buffer): Buffer {
  const middle = numbers.length / 2
  const contents = [...derInteger(numbers.subarray(0, middle)), ...derInteger(numbers.subarray(middle))]
  const length = contents.length < 0x80 ? [contents.length] : [0x81, contents.length]
  return Buffer.from([0x30, ...length, ...contents])
}

function derInteger(octets: Buffer): readonly number[] {
  let start = 0
  while (start < octets.length - 1 && octets[start] === 0) start++
  const number = octets.subarray(start)
  // One more octet where the first would make it negative.
  return (number[0] as number) < 0x80 ? [2, number.length, ...number] : [2, number.length + 1, 0, ...number]
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

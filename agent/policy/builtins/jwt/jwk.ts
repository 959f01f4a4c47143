import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { decodeBase64 } from '#crypto/base64.ts'
import { parseCertificate } from '../crypto/certificate.ts'
import { isFitRsa } from '../crypto/public-key.ts'
import { completeRsa } from '../crypto/rsa-private-key.ts'
import { OperandError } from '../operands.ts'

export type JoseKind = 'rsa' | 'ecdsa' | 'ed25519' | 'secret' | 'other'

/** A JSON Web Key that was found well-formed. Its objects are made when they are asked for. */
export interface Jwk {
  readonly kind: JoseKind
  readonly alg: string
  readonly kid: string
  readonly isPrivate: boolean
  /** Whether OPA can make a key of it: where not, it gives up the whole set. */
  readonly isUsable: boolean
  /** The key of an HMAC. */
  readonly secret?: Buffer
  /** Octets of a coordinate of an EC key. */
  readonly size: number
  /** Undefined where nothing can be verified with it. */
  readonly verifying: () => KeyObject | undefined
  /** @throws OperandError where it is no private key, or its numbers do not belong together. */
  readonly signing: () => KeyObject
}

type Members = Readonly<Record<string, unknown>>

/** Every algorithm that a JWK may name; another makes the whole set unreadable, as in OPA. @see RFC 7518 */
const algorithmNames: ReadonlySet<string> = new Set(
  `ES256 ES256K ES384 ES512 EdDSA Ed25519 HS256 HS384 HS512 none PS256 PS384 PS512 RS256 RS384 RS512 A128CBC-HS256 A128GCM
  A192CBC-HS384 A192GCM A256CBC-HS512 A256GCM A128GCMKW A128KW A192GCMKW A192KW A256GCMKW A256KW dir ECDH-ES ECDH-ES+A128KW
  ECDH-ES+A192KW ECDH-ES+A256KW PBES2-HS256+A128KW PBES2-HS384+A192KW PBES2-HS512+A256KW RSA1_5 RSA-OAEP RSA-OAEP-256
  RSA-OAEP-384 RSA-OAEP-512`.split(/\s+/),
)

const maxKeys = 1000

/** A JWK, or all of a set; one bad key spoils the set. @throws OperandError, SyntaxError @see RFC 7517 */
export function parseJwks(text: string): Jwk[] {
  const value: unknown = JSON.parse(text)
  if (!isMembers(value)) throw new OperandError('not a JWK')
  if (!Object.hasOwn(value, 'keys')) return [parseJwk(value)]
  const { keys } = value
  if (!Array.isArray(keys) || keys.length > maxKeys) throw new OperandError('not a list of keys')
  return keys.map(parseJwk)
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseJwk(value: unknown): Jwk {
  if (!isMembers(value)) throw new OperandError('not a JWK')
  const kty = string(value, 'kty')
  const read = readers[kty]
  if (read === undefined || !Object.hasOwn(readers, kty)) throw new OperandError('a JWK of an unknown type')
  const alg = string(value, 'alg')
  if (Object.hasOwn(value, 'alg') && !algorithmNames.has(alg))
    throw new OperandError('a JWK of an unknown algorithm')
  for (const name of ['use', 'x5t', 'x5t#S256', 'x5u']) string(value, name)
  const operations = value['key_ops'] ?? []
  if (!Array.isArray(operations) || operations.some((each) => typeof each !== 'string'))
    throw new OperandError('key operations that are no names')
  if (Object.hasOwn(value, 'x5c')) checkChain(value['x5c'])
  const isPrivate = kty !== 'oct' && Object.hasOwn(value, 'd')
  const found = read(value, isPrivate)
  return {
    size: 0,
    isUsable: true,
    verifying: () => undefined,
    signing,
    ...found,
    alg,
    kid: string(value, 'kid'),
    isPrivate,
  }
}

function signing(): never {
  throw new OperandError('not a private key')
}

/** Empty where it is absent or null. */
function string(jwk: Members, name: string): string {
  const value = Object.hasOwn(jwk, name) ? (jwk[name] ?? '') : ''
  if (typeof value !== 'string') throw new OperandError(`${name} is no string`)
  return value
}

/** Octets in whatever base64; undefined where the member is absent. */
function octets(jwk: Members, name: string): Buffer | undefined {
  if (!Object.hasOwn(jwk, name)) return undefined
  const text = string(jwk, name)
  return decodeBase64(text, /[+/]/.test(text) ? 'standard' : 'url', text.endsWith('=') ? 'padded' : 'raw')
}

function required(jwk: Members, name: string, length?: number): Buffer {
  const found = octets(jwk, name)
  if (found === undefined || found.length === 0 || (length !== undefined && found.length !== length))
    throw new OperandError(`${name} is missing or of another length`)
  return found
}

const maxCertificates = 10
const maxCertificateBytes = 256 * 1024

function checkChain(chain: unknown): void {
  if (!Array.isArray(chain) || chain.length > maxCertificates)
    throw new OperandError('not a chain of certificates')
  for (const each of chain) {
    if (typeof each !== 'string') throw new OperandError('not a certificate')
    const der = decodeBase64(each.replace(/[ \t\r\n\v\f]+/g, ''), 'standard', 'padded')
    if (der.length > maxCertificateBytes) throw new OperandError('a certificate that is too long')
    parseCertificate(der)
  }
}

type Found = Pick<Jwk, 'kind'> & Partial<Jwk>

const readers: Readonly<Record<string, (jwk: Members, isPrivate: boolean) => Found>> = {
  oct: (jwk) => ({ kind: 'secret', secret: required(jwk, 'k') }),
  RSA: readRsa,
  EC: readEc,
  OKP: readOkp,
}

const number = (bytes: Buffer) => BigInt(`0x${bytes.toString('hex')}`)
const numberText = (value: bigint) => {
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url')
}

/** Numbers of more octets are no keys. */
const maxNumber = 8192

function readRsa(jwk: Members, isPrivate: boolean): Found {
  const [n, e] = [required(jwk, 'n'), required(jwk, 'e')]
  if (n.length > maxNumber || e.length > maxNumber) throw new OperandError('an RSA key that is too long')
  const [modulus, exponent] = [number(n), number(e)]
  if (modulus === 0n || exponent % 2n === 0n || exponent >= 1n << 63n)
    throw new OperandError('not an RSA key')
  const isFit = isFitRsa(modulus, exponent)
  const publicJwk = { kty: 'RSA', n: numberText(modulus), e: numberText(exponent) }
  const verifying = () => (isFit ? createPublicKey({ key: publicJwk, format: 'jwk' }) : undefined)
  if (!isPrivate) return { kind: 'rsa', verifying }
  required(jwk, 'd')
  const given = ['d', 'p', 'q', 'dp', 'dq', 'qi'].map((name) => octets(jwk, name))
  if (given.some((each) => each !== undefined && each.length > maxNumber))
    throw new OperandError('an RSA key that is too long')
  const [d, p, q, dp, dq, qi] = given.map((each) => (each?.length ? number(each) : undefined))
  const isUsable = d !== undefined && p !== undefined && q !== undefined
  const signing = () => {
    if (!isUsable || !isFit) throw new OperandError('an RSA key that is not fit for use')
    const whole = completeRsa({ n: modulus, e: exponent, d, p, q }, { dp, dq, qi })
    const members = Object.entries(whole).map(([name, value]) => [name, numberText(value)])
    return createPrivateKey({ key: { kty: 'RSA', ...Object.fromEntries(members) }, format: 'jwk' })
  }
  return { kind: 'rsa', isUsable, verifying, signing }
}

const curveSizes: ReadonlyMap<string, number> = new Map([
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 66],
])

function readEc(jwk: Members, isPrivate: boolean): Found {
  const crv = string(jwk, 'crv')
  const size = curveSizes.get(crv)
  if (size === undefined) throw new OperandError('an unknown elliptic curve')
  const x = required(jwk, 'x', size).toString('base64url')
  const y = required(jwk, 'y', size).toString('base64url')
  const d = isPrivate ? required(jwk, 'd', size).toString('base64url') : undefined
  const publicJwk = { kty: 'EC', crv, x, y }
  // OpenSSL refuses a point that is not on the curve.
  const object = createPublicKey({ key: publicJwk, format: 'jwk' })
  const verifying = () => object
  if (d === undefined) return { kind: 'ecdsa', size, verifying }
  const signing = () => createPrivateKey({ key: { ...publicJwk, d }, format: 'jwk' })
  return { kind: 'ecdsa', size, verifying, signing }
}

function readOkp(jwk: Members, isPrivate: boolean): Found {
  const crv = string(jwk, 'crv')
  if (!['Ed25519', 'X25519', 'Ed448', 'X448'].includes(crv)) throw new OperandError('an unknown curve')
  const isShort = crv.endsWith('25519')
  const x = required(jwk, 'x', isShort ? 32 : undefined).toString('base64url')
  const d = isPrivate ? required(jwk, 'd', isShort ? 32 : undefined).toString('base64url') : undefined
  if (!isShort) return { kind: 'other', isUsable: false }
  if (crv === 'X25519') return { kind: 'other' }
  const publicJwk = { kty: 'OKP', crv, x }
  const verifying = () => createPublicKey({ key: publicJwk, format: 'jwk' })
  if (d === undefined) return { kind: 'ed25519', verifying }
  const key = createPrivateKey({ key: { ...publicJwk, d }, format: 'jwk' })
  const isUsable = createPublicKey(key).export({ format: 'jwk' }).x === x
  return { kind: 'ed25519', isUsable, verifying, signing: () => key }
}

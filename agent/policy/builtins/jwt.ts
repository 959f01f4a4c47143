import {
  constants,
  createHmac,
  createPublicKey,
  type KeyObject,
  timingSafeEqual,
  verify as verifySignature,
  X509Certificate,
} from 'node:crypto'
import { fromJsonText } from '../values/json.ts'
import { compareNumbers } from '../values/number.ts'
import type { RegoObject, RegoValue } from '../values/value.ts'
import type { Builtin, Family } from './builtin.ts'
import { number, OperandError, object, text } from './operands.ts'

interface Token {
  readonly header: RegoObject
  readonly payload: RegoObject
  /** The token that is the payload, where `cty` says so. */
  readonly nested?: string
  readonly signature: Buffer
  /** What the signature is over. */
  readonly signed: string
}

function parseToken(value: string): Token {
  const parts = value.split('.')
  if (parts.length !== 3) throw new OperandError('a JWT has three parts')
  const [head, payload, signature] = parts.map(base64url) as [Buffer, Buffer, Buffer]
  const header = jsonObject(head)
  if (header['enc'] !== undefined) throw new OperandError('an encrypted token (JWE)')
  const isNested = typeof header['cty'] === 'string' && header['cty'].toUpperCase() === 'JWT'
  return {
    header,
    ...(isNested ? { payload: {}, nested: nestedToken(payload) } : { payload: jsonObject(payload) }),
    signature,
    signed: value.slice(0, value.lastIndexOf('.')),
  }
}

/** The token in a token (RFC 7519, 5.2), which some encoders put into a JSON string. */
function nestedToken(payload: Buffer): string {
  const shown = payload.toString()
  return shown.startsWith('"') ? text(fromJsonText(shown)) : shown
}

/** The innermost of nested tokens. */
function innermost(value: string): Token {
  let token = parseToken(value)
  for (let depth = 0; token.nested !== undefined; depth++) {
    if (depth === maxNesting) throw new OperandError('tokens nest too deep')
    token = parseToken(token.nested)
  }
  return token
}

const maxNesting = 8

function base64url(part: string): Buffer {
  if (!/^[A-Za-z0-9_-]*={0,2}$/.test(part)) throw new OperandError('not base64url')
  return Buffer.from(part, 'base64url')
}

function jsonObject(bytes: Buffer): RegoObject {
  return object(fromJsonText(bytes.toString()))
}

type AlgorithmFamily = 'hmac' | 'rsa' | 'pss' | 'ecdsa' | 'eddsa'

const algorithms: ReadonlyMap<
  string,
  { readonly family: AlgorithmFamily; readonly digest: string | null; readonly curve?: string }
> = new Map([
  ['HS256', { family: 'hmac', digest: 'sha256' }],
  ['HS384', { family: 'hmac', digest: 'sha384' }],
  ['HS512', { family: 'hmac', digest: 'sha512' }],
  ['RS256', { family: 'rsa', digest: 'sha256' }],
  ['RS384', { family: 'rsa', digest: 'sha384' }],
  ['RS512', { family: 'rsa', digest: 'sha512' }],
  ['PS256', { family: 'pss', digest: 'sha256' }],
  ['PS384', { family: 'pss', digest: 'sha384' }],
  ['PS512', { family: 'pss', digest: 'sha512' }],
  ['ES256', { family: 'ecdsa', digest: 'sha256', curve: 'prime256v1' }],
  ['ES384', { family: 'ecdsa', digest: 'sha384', curve: 'secp384r1' }],
  ['ES512', { family: 'ecdsa', digest: 'sha512', curve: 'secp521r1' }],
  ['EdDSA', { family: 'eddsa', digest: null }],
])

/** A key with what its JWK says about its use; PEM keys say nothing. */
interface Key {
  readonly key: KeyObject
  readonly kid?: string
  readonly alg?: string
}

/** A PEM certificate, a PEM public key, a JWK or a JWK set, as OPA's `cert` takes them. */
function keysOf(certificate: string): Key[] {
  if (certificate.trimStart().startsWith('{')) {
    const value = object(JSON.parse(certificate))
    const jwks = Array.isArray(value['keys']) ? value['keys'] : [value]
    return jwks.map((jwk) => ({
      key: createPublicKey({ key: jwk, format: 'jwk' }),
      ...(typeof jwk.kid === 'string' && { kid: jwk.kid }),
      ...(typeof jwk.alg === 'string' && { alg: jwk.alg }),
    }))
  }
  if (certificate.includes('BEGIN CERTIFICATE') && !/-----END CERTIFICATE-----\s*$/.test(certificate))
    throw new OperandError('more than one certificate')
  if (certificate.includes('BEGIN CERTIFICATE')) return [{ key: new X509Certificate(certificate).publicKey }]
  return [{ key: createPublicKey(certificate) }]
}

function isSignedBy(token: Token, name: string, key: KeyObject): boolean {
  const algorithm = algorithms.get(name)
  if (algorithm === undefined) return false
  const { family, digest } = algorithm
  const type = key.asymmetricKeyType
  const data = Buffer.from(token.signed)
  if (family === 'rsa' && type === 'rsa') return verifySignature(digest, data, key, token.signature)
  if (family === 'pss' && (type === 'rsa' || type === 'rsa-pss')) {
    const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
    return verifySignature(digest, data, pss, token.signature)
  }
  if (family === 'ecdsa' && type === 'ec' && key.asymmetricKeyDetails?.namedCurve === algorithm.curve) {
    return verifySignature(digest, data, { key, dsaEncoding: 'ieee-p1363' }, token.signature)
  }
  if (family === 'eddsa' && type === 'ed25519') return verifySignature(null, data, key, token.signature)
  return false
}

function isKeyedBy(token: Token, name: string, secret: string): boolean {
  const algorithm = algorithms.get(name)
  if (algorithm?.family !== 'hmac' || algorithm.digest === null) return false
  const expected = createHmac(algorithm.digest, secret).update(token.signed).digest()
  return expected.length === token.signature.length && timingSafeEqual(expected, token.signature)
}

const failed = [false, {}, {}] as const
const constraintNames = new Set(['cert', 'secret', 'alg', 'iss', 'aud', 'time'])

function decodeVerify(
  nowNs: bigint,
  value: string,
  constraints: RegoObject,
  depth = 0,
): RegoValue | undefined {
  if (Object.keys(constraints).some((name) => !constraintNames.has(name)))
    throw new OperandError('unknown constraint')
  const { cert, secret, alg, iss, aud, time } = constraints
  if ((cert === undefined) === (secret === undefined))
    throw new OperandError('exactly one of cert and secret')
  const token = parseToken(value)
  const name = token.header['alg']
  if (typeof name !== 'string' || (alg !== undefined && name !== alg)) return failed
  // RFC 7515, 4.1.11: an extension that must be understood, and none is.
  if (token.header['crit'] !== undefined) return failed
  const kid = token.header['kid']
  const isSigned =
    secret !== undefined
      ? isKeyedBy(token, name, text(secret))
      : keysOf(text(cert)).some(
          (candidate) =>
            (typeof kid !== 'string' || candidate.kid === undefined || candidate.kid === kid) &&
            (candidate.alg === undefined || candidate.alg === name) &&
            isSignedBy(token, name, candidate.key),
        )
  if (!isSigned) return failed
  // Each layer is signed under the same constraints; what is claimed stands in the innermost.
  if (token.nested !== undefined) {
    if (depth === maxNesting) throw new OperandError('tokens nest too deep')
    return decodeVerify(nowNs, token.nested, constraints, depth + 1)
  }
  const { payload } = token
  if (iss !== undefined && payload['iss'] !== iss) return failed
  const audiences = Array.isArray(payload['aud']) ? payload['aud'] : [payload['aud']]
  if (aud === undefined ? payload['aud'] !== undefined : !audiences.includes(aud)) return failed
  const nowSeconds = (time === undefined ? Number(nowNs) : Number(time)) / 1e9
  const { exp, nbf } = payload
  // `number` throws for what is none, which is a refusal as well.
  if (exp !== undefined && compareNumbers(nowSeconds, number(exp)) >= 0) return failed
  if (nbf !== undefined && compareNumbers(nowSeconds, number(nbf)) < 0) return failed
  return [true, token.header, payload]
}

const verifier =
  (name: string): Builtin =>
  (_, value, key) => {
    const token = parseToken(text(value))
    return name.startsWith('HS')
      ? isKeyedBy(token, name, text(key))
      : keysOf(text(key)).some((candidate) => isSignedBy(token, name, candidate.key))
  }

/** `io.jwt.*` on node:crypto. @see RFC 7515, RFC 7519 */
export const jwtBuiltins: Family = {
  'io.jwt.decode': (_, value) => {
    const { header, payload, signature } = innermost(text(value))
    return [header, payload, signature.toString('hex')]
  },
  'io.jwt.decode_verify': ({ nowNs }, value, constraints) => {
    return decodeVerify(nowNs, text(value), object(constraints))
  },
  ...Object.fromEntries(
    [...algorithms.keys()].map((name) => [`io.jwt.verify_${name.toLowerCase()}`, verifier(name)]),
  ),
}

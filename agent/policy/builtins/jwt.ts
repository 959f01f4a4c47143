import { compare } from '../values/compare.ts'
import { goJson } from '../values/go-json.ts'
import { parseNumber } from '../values/number.ts'
import { Decimal, isArray, type RegoObject, type RegoValue } from '../values/value.ts'
import type { Builtin, Family } from './builtin.ts'
import { trimmed } from './crypto/trim.ts'
import { parseJwks } from './jwt/jwk.ts'
import { joseAlgorithms, keySetOf } from './jwt/keys.ts'
import { isKeyedBy, signatureOf } from './jwt/signature.ts'
import {
  decodeHeader,
  decodeObject,
  decodePart,
  headerFields,
  isUnderstood,
  splitToken,
} from './jwt/token.ts'
import { isSignedByOneOf } from './jwt/verified.ts'
import { number, OperandError, object, text } from './operands.ts'

/** Whatever is not verified, and why not is nobody's business. */
const failed = [false, {}, {}] as const

/** Header, payload and signature of a token, or of the innermost one. @throws OperandError @see RFC 7519, 7.2 */
function decode(value: string): RegoValue {
  const token = splitToken(value)
  const header = decodeHeader(token)
  const payload = decodePart(token.payload)
  const contentType = Object.hasOwn(header, 'cty') ? text(header['cty']) : ''
  // Each layer is shorter than the one around it, so that this ends. Some encoders put the inner one into quotes.
  if (contentType === 'JWT') return decode(trimmed(payload.toString(), `"'`))
  return [header, decodeObject(payload), decodePart(token.signature).toString('hex')]
}

interface Constraints {
  readonly cert?: string
  readonly secret: string
  readonly alg: string
  readonly iss: string
  readonly aud: string
  /** Nanoseconds since the epoch, as the double that OPA computes with. */
  readonly time: number
}

const names: ReadonlySet<string> = new Set(['cert', 'secret', 'alg', 'iss', 'aud', 'time'])

/** @throws OperandError where one is unknown or of another type, or they name no key or two. */
function readConstraints(given: RegoObject, nowNs: bigint): Constraints {
  if (Object.keys(given).some((name) => !names.has(name))) throw new OperandError('unknown constraint')
  const own = (name: string) => (Object.hasOwn(given, name) ? text(given[name]) : '')
  const [secret, alg, iss, aud] = [own('secret'), own('alg'), own('iss'), own('aud')]
  const hasCert = Object.hasOwn(given, 'cert')
  if (hasCert === (secret !== '')) throw new OperandError('exactly one of cert and secret')
  const time = Object.hasOwn(given, 'time') ? double(given['time']) : Number(nowNs)
  if (!(time >= 0 && time < Infinity)) throw new OperandError('a time that is none')
  return { ...(hasCert && { cert: own('cert') }), secret, alg, iss, aud, time }
}

function double(value: RegoValue | undefined): number {
  const found = number(value)
  return Number(found instanceof Decimal ? found.text : found)
}

/** `[true, header, payload]` of a token that meets its constraints. @throws OperandError where it cannot be read. */
function decodeVerify(value: string, constraints: Constraints): RegoValue {
  const token = splitToken(value)
  const header = decodeHeader(token)
  const fields = headerFields(header)
  if (!isUnderstood(fields) || (constraints.alg !== '' && constraints.alg !== fields.alg)) return failed
  const signed = { signed: token.signed, signature: decodePart(token.signature), fields, text: value }
  const keys = constraints.cert === undefined ? undefined : keySetOf(constraints.cert)
  const isSigned =
    keys === undefined
      ? isKeyedBy(signed, fields.alg, constraints.secret)
      : isSignedByOneOf(keys, signed, { name: fields.alg, isStrict: true })
  if (!isSigned) return failed
  const payload = decodePart(token.payload)
  // Each layer is signed under the same constraints; what is claimed stands in the innermost.
  if (fields.cty.toUpperCase() === 'JWT') return decodeVerify(payload.toString(), constraints)
  const claims = decodeObject(payload)
  return areClaimsMet(claims, constraints) ? [true, header, claims] : failed
}

/** @throws OperandError where a claim that is looked at is of another type. @see RFC 7519, 4.1 */
function areClaimsMet(claims: RegoObject, { iss, aud, time }: Constraints): boolean {
  const own = (name: string) => (Object.hasOwn(claims, name) ? claims[name] : undefined)
  const [issuer, audience, expiry, start] = [own('iss'), own('aud'), own('exp'), own('nbf')]
  if (iss !== '' && (issuer === undefined || text(issuer) !== iss)) return false
  if (audience === undefined ? aud !== '' : !isAudience(audience, aud)) return false
  // Claims are in seconds, of any number of digits.
  const nowSeconds = parseNumber(String(time / 1e9))
  if (expiry !== undefined && compare(nowSeconds, number(expiry)) >= 0) return false
  return start === undefined || compare(nowSeconds, number(start)) >= 0
}

function isAudience(audience: RegoValue, wanted: string): boolean {
  return isArray(audience) ? audience.includes(wanted) : audience === wanted
}

/** By the name of an algorithm: whether a key of the kind it wants made the signature. */
const verifier =
  (name: string): Builtin =>
  (_, value, key) => {
    const [whole, keyText] = [text(value), text(key)]
    const token = splitToken(whole)
    const signed = { signed: token.signed, signature: decodePart(token.signature) }
    // OPA does not look at the header here.
    if (name.startsWith('HS')) return isKeyedBy(signed, name, keyText)
    const keys = keySetOf(keyText)
    const fields = headerFields(decodeHeader(token))
    return isSignedByOneOf(keys, { ...signed, fields, text: whole }, { name, isStrict: false })
  }

/** A compact token, header and payload as they are written. @throws OperandError @see RFC 7515, 5.1 */
function encodeSign(header: string, payload: string, jwk: string): string {
  const [key] = parseJwks(jwk)
  if (key === undefined || !key.isUsable) throw new OperandError('no key')
  const fields = object(JSON.parse(header))
  const alg = Object.hasOwn(fields, 'alg') ? text(fields['alg']) : ''
  if (!joseAlgorithms.has(alg)) throw new OperandError('an unknown algorithm')
  const type = Object.hasOwn(fields, 'typ') ? fields['typ'] : undefined
  // What may be a JWT must be JSON.
  if (typeof type !== 'string' || type === 'JWT') JSON.parse(payload)
  const encoded = [header, payload].map((part) => Buffer.from(part).toString('base64url')).join('.')
  return `${encoded}.${signatureOf(encoded, alg, key).toString('base64url')}`
}

/** `io.jwt.*` on node:crypto. @see RFC 7515, RFC 7519 */
export const jwtBuiltins: Family = {
  'io.jwt.decode': (_, value) => decode(text(value)),
  'io.jwt.decode_verify': ({ nowNs }, value, given) => {
    const constraints = readConstraints(object(given), nowNs)
    // Keys that cannot be read are an error before the token is looked at.
    if (constraints.cert !== undefined) keySetOf(constraints.cert)
    return decodeVerify(text(value), constraints)
  },
  'io.jwt.encode_sign': (_, header, payload, key) =>
    encodeSign(
      ...([header, payload, key].map((part) => goJson(part as RegoValue)) as [string, string, string]),
    ),
  'io.jwt.encode_sign_raw': (_, header, payload, key) => encodeSign(text(header), text(payload), text(key)),
  ...Object.fromEntries(
    [...joseAlgorithms].map((name) => [`io.jwt.verify_${name.toLowerCase()}`, verifier(name)]),
  ),
}

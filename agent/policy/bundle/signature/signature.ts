import {
  constants,
  createHash,
  createHmac,
  createPublicKey,
  type KeyObject,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { matchesGlob } from 'node:path'
import { z } from 'zod'
import { messageOf, SluiceError } from '#base/errors.ts'
import { isDataFile, readDataFile } from '../data-file.ts'
import { canonicalJson } from './canonical-json.ts'

export type SignatureAlgorithm = `${'RS' | 'PS' | 'ES' | 'HS'}${256 | 384 | 512}`

/** What bundles are verified with. */
export interface Verification {
  /** By id. `key` is the PEM of a public key or certificate; for HS algorithms the secret itself. */
  readonly keys: ReadonlyMap<
    string,
    { readonly key: string; readonly algorithm: SignatureAlgorithm; readonly scope?: string | undefined }
  >
  /** The key that must have signed; without it the one that the signature names. */
  readonly keyId?: string | undefined
  /** What the signature must be for; the key's own scope where absent. */
  readonly scope?: string | undefined
  /** Globs of members that need not be signed. */
  readonly excludeFiles: readonly string[]
  /** A bundle without a signature is taken too; one that is there must fit. */
  readonly isOptional?: boolean
  /** A delta bundle, which nobody can sign, is taken all the same. */
  readonly allowsUnsignedDelta?: boolean
}

/** Who vouches for a bundle. */
export interface SignedBy {
  readonly keyId: string
  readonly scope: string
  /** Seconds since the epoch. */
  readonly issuedAt?: number
}

export const signaturesMember = '.signatures.json'

const signaturesSchema = z.strictObject({
  signatures: z.array(z.string()).length(1),
  plugin: z.literal(['', '_default']).optional(),
})
const headerSchema = z.looseObject({ alg: z.string(), kid: z.string().optional() })
const payloadSchema = z.looseObject({
  files: z.array(z.strictObject({ name: z.string(), hash: z.string(), algorithm: z.string() })),
  scope: z.string().default(''),
  iat: z.number().optional(),
  keyid: z.string().optional(),
})

/** Digests that a signature may name. MD5 and SHA-1, which OPA knows too, prove nothing any more. */
const digests: ReadonlyMap<string, string> = new Map([
  ['SHA-224', 'sha224'],
  ['SHA-256', 'sha256'],
  ['SHA-384', 'sha384'],
  ['SHA-512', 'sha512'],
  ['SHA-512-224', 'sha512-224'],
  ['SHA-512-256', 'sha512-256'],
])

/**
 * Verifies that the members of a bundle are those that were signed, each of them and no other, by a key that is known
 * for this.
 *
 * @param place named in errors.
 * @throws SluiceError for whatever does not fit.
 * @see https://www.openpolicyagent.org/docs/management-bundles#signing
 */
export function verifyBundle(
  members: ReadonlyMap<string, Buffer>,
  verification: Verification,
  place: string,
): SignedBy {
  const refuse = (member: string, found: string, expected: string, cause?: unknown): never => {
    throw new SluiceError({
      code: 'bundle_signature_refused',
      place: `${place}: ${member}`,
      found,
      expected,
      cause,
    })
  }
  const parsed = <T>(schema: z.ZodType<T>, text: string, what: string): T => {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (cause) {
      return refuse(signaturesMember, messageOf(cause), `${what} in JSON`, cause)
    }
    const result = schema.safeParse(value)
    return result.success ? result.data : refuse(signaturesMember, z.prettifyError(result.error), what)
  }

  const file = members.get(signaturesMember)
  if (file === undefined)
    return refuse(signaturesMember, 'no such member', 'a signature: keys are configured')
  const [token = ''] = parsed(signaturesSchema, file.toString(), 'exactly one signature').signatures
  const parts = token.split('.')
  if (parts.length !== 3 || !parts.every((part) => /^[A-Za-z0-9_-]*$/.test(part)))
    return refuse(signaturesMember, 'no compact JWT', 'header.payload.signature in base64url')
  const [head = '', body = '', tail = ''] = parts
  const text = (part: string) => Buffer.from(part, 'base64url').toString()
  const header = parsed(headerSchema, text(head), 'a JWT header')
  const payload = parsed(payloadSchema, text(body), 'a payload of files and scope')

  const keyId = verification.keyId ?? header.kid ?? payload.keyid ?? ''
  const key = verification.keys.get(keyId)
  if (key === undefined)
    return refuse(
      signaturesMember,
      `signed with the key ${JSON.stringify(keyId)}`,
      `one of ${[...verification.keys.keys()].join(', ')}`,
    )
  if (header.alg !== key.algorithm)
    return refuse(
      signaturesMember,
      `signed with ${header.alg}`,
      `${key.algorithm}, as the key ${keyId} is for`,
    )
  let isSigned: boolean
  try {
    isSigned = isSignedWith(
      key.algorithm,
      key.key,
      Buffer.from(`${head}.${body}`),
      Buffer.from(tail, 'base64url'),
    )
  } catch (cause) {
    return refuse(
      signaturesMember,
      `the key ${keyId}: ${messageOf(cause)}`,
      `a key for ${key.algorithm}`,
      cause,
    )
  }
  if (!isSigned)
    return refuse(signaturesMember, 'a signature that does not fit', `one made with the key ${keyId}`)
  const scope = verification.scope ?? key.scope ?? ''
  if (payload.scope !== scope)
    return refuse(
      signaturesMember,
      `the scope ${JSON.stringify(payload.scope)}`,
      `the scope ${JSON.stringify(scope)}`,
    )

  const signed = new Map(payload.files.map((each) => [plainName(each.name), each]))
  if (signed.size !== payload.files.length) return refuse(signaturesMember, 'a file twice', 'each file once')
  for (const [path, content] of members) {
    if (path === signaturesMember) continue
    const claim = signed.get(path)
    if (claim === undefined) {
      if (verification.excludeFiles.some((pattern) => matchesGlob(path, pattern))) continue
      return refuse(path, 'a member that was not signed', 'only what the signature lists')
    }
    signed.delete(path)
    const digest = digests.get(claim.algorithm)
    if (digest === undefined)
      return refuse(path, `a digest by ${claim.algorithm}`, [...digests.keys()].join(', '))
    let bytes: Buffer | string = content
    try {
      if (isStructured(path)) bytes = canonicalJson(structuredText(content, place, path))
    } catch (cause) {
      if (cause instanceof SluiceError) throw cause
      return refuse(path, messageOf(cause), 'JSON', cause)
    }
    const found = createHash(digest).update(bytes).digest('hex')
    if (found !== claim.hash.toLowerCase())
      return refuse(path, `the digest ${found}`, `the signed one, ${claim.hash}`)
  }
  const missing = [...signed.keys()].filter(
    (path) => !verification.excludeFiles.some((pattern) => matchesGlob(path, pattern)),
  )
  if (missing.length > 0) return refuse(missing.join(', '), 'no such member', 'every file that was signed')
  return { keyId, scope, ...(payload.iat !== undefined && { issuedAt: payload.iat }) }
}

function plainName(name: string): string {
  return name.replace(/^(\.?\/)+/, '')
}

/** Files whose digest is over their canonical JSON. */
function isStructured(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return name === '.manifest' || isDataFile(name) || name === 'patch.json'
}

/** YAML is digested as the JSON that it stands for. */
function structuredText(content: Buffer, place: string, path: string): string {
  return /\.ya?ml$/.test(path) ? JSON.stringify(readDataFile(content, place, path)) : content.toString()
}

/** @throws Error where the key is none, or none for this algorithm. */
function isSignedWith(algorithm: SignatureAlgorithm, key: string, data: Buffer, signature: Buffer): boolean {
  const digest = `sha${algorithm.slice(2)}`
  if (algorithm.startsWith('HS')) {
    const expected = createHmac(digest, key).update(data).digest()
    return expected.length === signature.length && timingSafeEqual(expected, signature)
  }
  const publicKey: KeyObject = createPublicKey(key)
  const type = algorithm.startsWith('ES') ? 'ec' : 'rsa'
  if (publicKey.asymmetricKeyType !== type) throw new TypeError(`an ${publicKey.asymmetricKeyType} key`)
  if (type === 'ec') return verify(digest, data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)
  const padding = algorithm.startsWith('PS') ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  return verify(
    digest,
    data,
    { key: publicKey, padding, saltLength: constants.RSA_PSS_SALTLEN_AUTO },
    signature,
  )
}

import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
const ec521 = generateKeyPairSync('ec', { namedCurve: 'secp521r1' })
const ed = generateKeyPairSync('ed25519')
export const pairs = { rsa, ec, ec521, ed } as const

export const q = (text: string) => JSON.stringify(text)
export const pemOf = (key: KeyObject) => key.export({ format: 'pem', type: 'spki' }) as string
export const jwkOf = (key: KeyObject, more: object = {}) => ({ ...key.export({ format: 'jwk' }), ...more })
export const secret = { kty: 'oct', k: Buffer.from('secret').toString('base64url') }

export function encoded(part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
}

export type Signer = keyof typeof pairs | 'secret' | 'nobody'

/** A compact token whose signature is by an algorithm that its header need not name. */
export function token(options: {
  readonly header: unknown
  readonly payload: unknown
  readonly by: Signer
  readonly digest?: string
  /** A salt makes it PSS. */
  readonly salt?: number
}): string {
  const signed = `${encoded(options.header)}.${encoded(options.payload)}`
  return `${signed}.${signatureOf(signed, options).toString('base64url')}`
}

function signatureOf(
  signed: string,
  { by, digest = 'sha256', salt }: { readonly by: Signer; readonly digest?: string; readonly salt?: number },
): Buffer {
  const data = Buffer.from(signed)
  if (by === 'nobody') return Buffer.alloc(0)
  if (by === 'secret') return createHmac(digest, 'secret').update(data).digest()
  const { privateKey: key } = pairs[by]
  if (by === 'ed') return sign(null, data, key)
  if (by !== 'rsa') return sign(digest, data, { key, dsaEncoding: 'ieee-p1363' })
  const padding = constants.RSA_PKCS1_PSS_PADDING
  return sign(digest, data, salt === undefined ? key : { key, padding, saltLength: salt })
}

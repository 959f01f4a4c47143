import { createPrivateKey, type KeyObject, randomUUID, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Algorithm, algorithms, parameters } from '#crypto/jose/signature.ts'

/** How we show the authorization server who asks. Files are read for each call, for they are replaced while we run. */
export type ClientAuthentication =
  | {
      readonly method: 'client_secret_basic' | 'client_secret_post'
      readonly clientId: string
      readonly secretFile: string
    }
  | {
      readonly method: 'private_key_jwt'
      readonly clientId: string
      /** PEM. */
      readonly keyFile: string
      readonly algorithm: string
      readonly keyId?: string | undefined
      /** Whom the assertion is for: the issuer, if absent. */
      readonly audience?: string | undefined
    }
  /** By the certificate of the connection. */
  | { readonly method: 'tls_client_auth'; readonly clientId: string }

/** What a call carries so that it is ours. */
export interface ClientProof {
  readonly headers: Readonly<Record<string, string>>
  /** Beside the token in the form. */
  readonly form: Readonly<Record<string, string>>
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const assertionSeconds = 60

/**
 * @param issuer of the server
 * @throws Error where a file cannot be read or has no key that fits.
 * @see RFC 6749, 2.3.1; RFC 7523, 2.2; RFC 8705, 2
 */
export function clientProof(auth: ClientAuthentication, issuer: string, nowMs: number): ClientProof {
  const { clientId } = auth
  switch (auth.method) {
    case 'client_secret_basic': {
      const pair = `${formEncoded(clientId)}:${formEncoded(secretOf(auth.secretFile))}`
      return { headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }, form: {} }
    }
    case 'client_secret_post':
      return { headers: {}, form: { client_id: clientId, client_secret: secretOf(auth.secretFile) } }
    case 'private_key_jwt': {
      const assertion = signedAssertion(auth, auth.audience ?? issuer, nowMs)
      const form = { client_id: clientId, client_assertion_type: assertionType, client_assertion: assertion }
      return { headers: {}, form }
    }
    case 'tls_client_auth':
      return { headers: {}, form: { client_id: clientId } }
    default:
      return auth satisfies never
  }
}

function secretOf(file: string): string {
  const secret = readFileSync(file, 'utf8').trim()
  if (secret === '') throw new Error(`${file} is empty`)
  return secret
}

/** As in a form: both are encoded before they are joined, so that either may have a colon. */
function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1)
}

function signedAssertion(
  auth: Extract<ClientAuthentication, { method: 'private_key_jwt' }>,
  audience: string,
  nowMs: number,
): string {
  const algorithm = algorithms.get(auth.algorithm)
  if (algorithm === undefined) throw new Error(`${auth.algorithm} is no algorithm to sign with`)
  const key = createPrivateKey(readFileSync(auth.keyFile))
  if (!fits(key, auth.algorithm, algorithm))
    throw new Error(`${auth.keyFile} has no key for ${auth.algorithm}`)
  const nowSeconds = Math.floor(nowMs / 1000)
  const header = {
    alg: auth.algorithm,
    typ: 'JWT',
    ...(auth.keyId !== undefined && { kid: auth.keyId }),
  }
  const claims = {
    iss: auth.clientId,
    sub: auth.clientId,
    aud: audience,
    jti: randomUUID(),
    iat: nowSeconds,
    exp: nowSeconds + assertionSeconds,
  }
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part(header)}.${part(claims)}`
  const signature = sign(algorithm.digest, Buffer.from(signed), { key, ...parameters(algorithm, true) })
  return `${signed}.${signature.toString('base64url')}`
}

const curves: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
}
const keyTypes = { rsa: 'rsa', ecdsa: 'ec', ed25519: 'ed25519' } as const

function fits(key: KeyObject, name: string, { kind }: Algorithm): boolean {
  if (key.asymmetricKeyType !== keyTypes[kind]) return false
  return kind !== 'ecdsa' || key.asymmetricKeyDetails?.namedCurve === curves[name]
}

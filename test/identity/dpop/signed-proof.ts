import { generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto'
import type { ProvenRequest } from '#identity/dpop/dpop.ts'

/** A key of a client, with what a token that is bound to it says of it. */
export interface ClientKey {
  readonly alg: string
  readonly privateKey: KeyObject
  readonly jwk: Readonly<Record<string, unknown>>
  readonly thumbprint: string
}

const makers: Readonly<Record<string, () => { publicKey: KeyObject; privateKey: KeyObject }>> = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
}

export function clientKey(alg = 'ES256'): ClientKey {
  const { publicKey, privateKey } = (makers[alg] as () => ReturnType<(typeof makers)[string]>)()
  const jwk = publicKey.export({ format: 'jwk' }) as Record<string, unknown>
  const members = Object.fromEntries(Object.entries(jwk).sort(([a], [b]) => (a < b ? -1 : 1)))
  return { alg, privateKey, jwk, thumbprint: hash('sha256', JSON.stringify(members), 'base64url') }
}

export function signedJws(key: ClientKey, header: object, claims: object | string): string {
  const part = (value: object | string) =>
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
  const signed = `${part(header)}.${part(claims)}`
  const digest = key.alg === 'EdDSA' ? null : 'sha256'
  const signature = sign(digest, Buffer.from(signed), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

export const aRequest = (key: ClientKey, more: Partial<ProvenRequest> = {}): ProvenRequest => ({
  method: 'POST',
  path: '/v2/models/fraud/infer?trace=1',
  token: 'access-token',
  keyThumbprint: key.thumbprint,
  peer: 'spiffe://test.example/ns/a',
  ...more,
})

let counter = 0

/** A whole proof for `aRequest` at `https://models.example`; change one thing, `undefined` takes it away. */
export function aProof(
  key: ClientKey,
  nowMs: number,
  change: { readonly header?: object; readonly claims?: object } = {},
): string {
  const header = { typ: 'dpop+jwt', alg: key.alg, jwk: key.jwk, ...change.header }
  const claims = {
    jti: `proof-number-${++counter}`,
    htm: 'POST',
    htu: 'https://models.example/v2/models/fraud/infer',
    iat: Math.floor(nowMs / 1000),
    ath: hash('sha256', 'access-token', 'base64url'),
    ...change.claims,
  }
  return signedJws(key, header, claims)
}

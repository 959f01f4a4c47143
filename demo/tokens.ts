import { generateKeyPairSync, sign } from 'node:crypto'
import { audience, issuer } from './scene.ts'

/** An identity provider as far as the demo needs one: a key, its public half as a JWK set, and tokens by it. */
export function createTokens(): { readonly jwks: string; issue(tenant: string): string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const kid = 'demo-1'
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return {
    jwks: JSON.stringify({
      keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }],
    }),
    issue: (tenant) => {
      const iat = Math.floor(Date.now() / 1000)
      const claims = { iss: issuer, aud: audience, sub: `robot@${tenant}`, tenant, iat, exp: iat + 8 * 3600 }
      const signed = `${part({ alg: 'ES256', typ: 'JWT', kid })}.${part(claims)}`
      const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return `${signed}.${signature.toString('base64url')}`
    },
  }
}

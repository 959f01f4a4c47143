import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  sign,
} from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { algorithms, isSignatureGood, parameters } from '#crypto/jose/signature.ts'
import type { JwtAuthority } from '../bundle/trust-bundle.ts'
import { writeWhole } from './dev-ca.ts'

/** Signs JWT-SVIDs (ES256) for laptops and tests. */
export interface DevJwtAuthority extends JwtAuthority {
  issue(request: {
    readonly spiffeId: string
    readonly audience: readonly string[]
    readonly ttlSeconds: number
    readonly nowMs: number
  }): string
  /** Whether it made the signature of the parts of a token. */
  isSigner(token: { readonly signed: string; readonly signature: Buffer }): boolean
}

const es256 = algorithms.get('ES256') as NonNullable<ReturnType<(typeof algorithms)['get']>>
const coordinateBytes = 32

/** The key kept in a folder (`jwt.key`); made there when the folder has none. */
export function openJwtAuthority(folder: string): DevJwtAuthority {
  const path = join(folder, 'jwt.key')
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    writeWhole(path, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600)
  }
  return jwtAuthority(createPrivateKey(readFileSync(path)))
}

function jwtAuthority(privateKey: KeyObject): DevJwtAuthority {
  const publicKey = createPublicKey(privateKey)
  const { crv, kty, x, y } = publicKey.export({ format: 'jwk' })
  // RFC 7638: the members that make the key, in the order of their names.
  const keyId = hash('sha256', JSON.stringify({ crv, kty, x, y }), 'base64url')
  const header = encode({ alg: 'ES256', kid: keyId, typ: 'JWT' })
  return {
    keyId,
    publicKey,
    issue: ({ spiffeId, audience, ttlSeconds, nowMs }) => {
      const iat = Math.floor(nowMs / 1000)
      const signed = `${header}.${encode({ sub: spiffeId, aud: audience, iat, exp: iat + ttlSeconds })}`
      const signature = sign('sha256', Buffer.from(signed), {
        key: privateKey,
        ...parameters(es256, true),
      })
      return `${signed}.${signature.toString('base64url')}`
    },
    isSigner: ({ signed, signature: bytes }) =>
      isSignatureGood(
        { algorithm: es256, key: publicKey, coordinateBytes, signed, bytes },
        { isStrict: true },
      ),
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

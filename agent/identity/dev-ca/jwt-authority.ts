import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SluiceError } from '#base/errors.ts'
import { fitsAlgorithm, parsePublicJwk } from '#crypto/jose/jwk.ts'
import { algorithms, parameters } from '#crypto/jose/signature.ts'
import type { JwtAuthority } from '../bundle/trust-bundle.ts'
import { writeWhole } from './dev-ca.ts'

/** Signs JWT-SVIDs (ES256) for laptops and tests. */
export interface DevJwtAuthority {
  readonly key: JwtAuthority
  issue(request: {
    readonly spiffeId: string
    readonly audience: readonly string[]
    readonly ttlSeconds: number
    readonly nowMs: number
  }): string
}

const es256 = algorithms.get('ES256') as NonNullable<ReturnType<(typeof algorithms)['get']>>

/** The key kept in a folder (`jwt.key`); made there when the folder has none. */
export function openJwtAuthority(folder: string): DevJwtAuthority {
  const path = join(folder, 'jwt.key')
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    writeWhole(path, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600)
  }
  return jwtAuthority(createPrivateKey(readFileSync(path)), path)
}

function jwtAuthority(privateKey: KeyObject, path: string): DevJwtAuthority {
  const parsed = parsePublicJwk(createPublicKey(privateKey).export({ format: 'jwk' }))
  if (!parsed.ok || !fitsAlgorithm(parsed.key, 'ES256'))
    throw new SluiceError({
      code: 'dev_ca_unusable',
      place: path,
      found: 'a key of another kind',
      expected: 'a private key on P-256',
    })
  const key = { ...parsed.key, kid: parsed.key.thumbprint }
  const header = encode({ alg: 'ES256', kid: key.kid, typ: 'JWT' })
  return {
    key,
    issue: ({ spiffeId, audience, ttlSeconds, nowMs }) => {
      const iat = Math.floor(nowMs / 1000)
      const signed = `${header}.${encode({ sub: spiffeId, aud: audience, iat, exp: iat + ttlSeconds })}`
      const signature = sign('sha256', Buffer.from(signed), {
        key: privateKey,
        ...parameters(es256, true),
      })
      return `${signed}.${signature.toString('base64url')}`
    },
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

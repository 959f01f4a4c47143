import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { issuersSchema } from '#config/issuer-schema.ts'
import { parsePublicJwk, type VerifyingKey } from '#crypto/jose/jwk.ts'
import { algorithms, parameters } from '#crypto/jose/signature.ts'
import {
  createTokenVerifier,
  type IssuerConfig,
  type TokenVerifier,
  type TokenVerifierOptions,
} from '#identity/token/token.ts'
import { manualClock } from '../../decision/an-exchange.ts'

/** A pair of keys whose public half has a name. */
export interface Signer {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly jwk: Readonly<Record<string, unknown>>
}

export type KeyType = 'rsa' | 'P-256' | 'P-384' | 'P-521' | 'ed25519'

export function createSigner(type: KeyType, kid: string): Signer {
  const { privateKey, publicKey } = pairOf(type)
  return { kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid } }
}

function pairOf(type: KeyType): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  if (type === 'rsa') return generateKeyPairSync('rsa', { modulusLength: 2048 })
  if (type === 'ed25519') return generateKeyPairSync('ed25519')
  return generateKeyPairSync('ec', { namedCurve: type })
}

export function verifyingKey({ jwk }: Signer): VerifyingKey {
  const parsed = parsePublicJwk(jwk)
  if (!parsed.ok) throw new Error(parsed.why)
  return parsed.key
}

export const setOf = (...signers: readonly Signer[]) =>
  JSON.stringify({ keys: signers.map(({ jwk }) => jwk) })

const part = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** A token; header and payload are values, or JSON as it shall stand there. */
export function signToken(signer: Signer, header: unknown, payload: unknown, alg = 'ES256'): string {
  const signed = `${part(header)}.${part(payload)}`
  const algorithm = algorithms.get(alg)
  if (algorithm === undefined) throw new Error(`no algorithm ${alg}`)
  const key = { key: signer.privateKey, ...parameters(algorithm, true) }
  return `${signed}.${sign(algorithm.digest, Buffer.from(signed), key).toString('base64url')}`
}

export const issuerName = 'https://idp.example'
export const audience = 'models'
export const someone = createSigner('P-256', 'key-1')
export const startMs = manualClock().nowMs()
export const startSeconds = startMs / 1000

export const someHeader = (more: object = {}) => ({ alg: 'ES256', kid: 'key-1', typ: 'JWT', ...more })
export const someClaims = (more: object = {}) => ({
  iss: issuerName,
  sub: 'user-1',
  aud: audience,
  iat: startSeconds,
  exp: startSeconds + 300,
  ...more,
})

export const someToken = (claims: object = {}, header: object = {}, signer = someone) =>
  signToken(signer, someHeader(header), someClaims(claims))

export function someIssuer(more: object = {}): IssuerConfig {
  const [config] = issuersSchema.parse([
    { issuer: issuerName, audience, jwks: { url: `${issuerName}/keys` }, ...more },
  ])
  if (config === undefined) throw new Error('no issuer')
  return config
}

/** Lets promises that need nothing from outside come to their end. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

/** A timer that runs when it is told, and says how long it would have waited. */
export function manualAfter() {
  const waiting: { readonly delayMs: number; readonly act: () => void }[] = []
  return {
    delays: () => waiting.map(({ delayMs }) => delayMs),
    /** Runs what has waited longest. */
    run: () => waiting.shift()?.act(),
    after: (delayMs: number, act: () => void): Disposable => {
      const entry = { delayMs, act }
      waiting.push(entry)
      return {
        [Symbol.dispose]: () => {
          const at = waiting.indexOf(entry)
          if (at !== -1) waiting.splice(at, 1)
        },
      }
    },
  }
}

/** A verifier of one issuer whose key is there. */
export async function someVerifier(
  issuer: object = {},
  options: Partial<TokenVerifierOptions> = {},
): Promise<TokenVerifier & { readonly clock: ReturnType<typeof manualClock> }> {
  const clock = manualClock()
  const verifier = createTokenVerifier({
    issuers: [someIssuer(issuer)],
    clock,
    fetch: async () => ({ text: setOf(someone) }),
    after: manualAfter().after,
    ...options,
  })
  await settled()
  return { ...verifier, clock }
}

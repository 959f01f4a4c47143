import { createLocalJWKSet, jwtVerify } from 'jose'
import { systemClock } from '#base/clock.ts'
import { issuersSchema } from '#config/issuer-schema.ts'
import { createTokenVerifier } from '#identity/token/token.ts'
import { createSigner, type KeyType, setOf, signToken } from '../test/identity/token/kit.ts'
import type { BenchOptions, Row } from './bench.ts'

const issuer = 'https://idp.example'
const kinds: readonly (readonly [alg: string, type: KeyType])[] = [
  ['ES256', 'P-256'],
  ['RS256', 'rsa'],
  ['EdDSA', 'ed25519'],
]
const tokensOfEach = 500

interface Scene {
  readonly name: string
  /** Calls follow each other through this list. */
  readonly tokens: readonly string[]
  readonly call: (token: string) => unknown
}

/** What a token costs: remembered, new, and junk of each sort; beside jose. Nothing but the verifier is in the process. */
export async function measure({ seconds, only }: BenchOptions): Promise<Row[]> {
  const scenes = (await Promise.all(kinds.map(scenesOf))).flat()
  const chosen = scenes.filter(({ name }) => only === undefined || name === only)
  const rows: Row[] = []
  for (const scene of chosen) rows.push(await measureScene(scene, seconds * 1000))
  return rows
}

async function scenesOf([alg, type]: (typeof kinds)[number]): Promise<Scene[]> {
  const signer = createSigner(type, 'key-1')
  const stranger = createSigner(type, 'key-1')
  const jwks = setOf(signer)
  const verifier = async (maxEntries: number, burst: number) => {
    const found = createTokenVerifier({
      issuers: issuersSchema.parse([{ issuer, audience: 'models', jwks: { url: `${issuer}/keys` } }]),
      fetch: async () => ({ text: jwks }),
      remember: { maxEntries, ttlSeconds: 86_400 },
      budget: { perSecond: 50, burst },
    })
    while (found.problem() !== undefined) await new Promise(setImmediate)
    return found
  }
  const tokens = (header: object, by = signer) =>
    Array.from({ length: tokensOfEach }, (_, index) =>
      signToken(by, { alg, typ: 'JWT', ...header }, claims(index), alg),
    )
  const good = tokens({ kid: 'key-1' })
  const keySet = createLocalJWKSet(JSON.parse(jwks))
  const options = { issuer, audience: 'models', requiredClaims: ['exp'] }
  const [remembering, forgetful, throttling] = [
    await verifier(10_000, 100),
    await verifier(1, 1e9),
    await verifier(1, 1),
  ]
  const scene = (name: string, list: readonly string[], call: Scene['call']): Scene => ({
    name: `${alg} ${name}`,
    tokens: list,
    call,
  })
  const unknown = tokens({ kid: 'key-2' })
  const wrong = tokens({ kid: 'key-1' }, stranger)
  return [
    scene('remembered', good, (token) => remembering.verify(token, 'peer')),
    scene('new', good, (token) => forgetful.verify(token, 'peer')),
    scene('unknown key', unknown, (token) => forgetful.verify(token, 'peer')),
    scene('wrong signature', wrong, (token) => forgetful.verify(token, 'peer')),
    scene('wrong, throttled', wrong, (token) => throttling.verify(token, 'peer')),
    scene('new, jose', good, (token) => jwtVerify(token, keySet, options)),
  ]
}

/** What an access token of an ordinary identity provider holds: some 700 octets. */
function claims(index: number): object {
  const now = Math.floor(systemClock.nowMs() / 1000)
  return {
    iss: issuer,
    sub: `7f3f2f0e-1a4c-4f51-9a39-${index.toString().padStart(12, '0')}`,
    aud: ['models', 'account'],
    iat: now,
    exp: now + 3600,
    jti: `b0f1b0f4-27d5-4f3e-8a1e-${index.toString().padStart(12, '0')}`,
    azp: 'fraud-screening',
    scope: 'openid profile models:infer models:read',
    realm_access: { roles: ['offline_access', 'uma_authorization', 'analyst'] },
    resource_access: {
      models: { roles: ['infer', 'read'] },
      account: { roles: ['manage-account', 'view-profile'] },
    },
    tenant: `tenant-${index % 20}`,
    preferred_username: `analyst-${index}`,
    email: `analyst-${index}@acme.example`,
  }
}

async function measureScene({ name, tokens, call }: Scene, forMs: number): Promise<Row> {
  const isAsync = call(tokens[0] as string) instanceof Promise
  for (const token of tokens) isAsync ? await call(token) : call(token)
  const times: number[] = []
  let calls = 0
  const cpu = process.cpuUsage()
  const began = performance.now()
  const end = began + forMs
  for (let now = began; now < end; calls++) {
    const token = tokens[calls % tokens.length] as string
    if (isAsync) await call(token)
    else call(token)
    const after = performance.now()
    times.push(after - now)
    now = after
  }
  const spent = process.cpuUsage(cpu)
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor(times.length * share)] ?? 0
  return {
    name,
    rps: (calls * 1000) / (performance.now() - began),
    cpuUs: (spent.user + spent.system) / calls,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    rssMb: process.memoryUsage().rss / (1 << 20),
  }
}

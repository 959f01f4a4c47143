import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Exchange } from '#decision/exchange.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { createIdentityStage } from '#identity/identity.ts'
import { openFilesSource } from '#identity/source/files.ts'
import { createTokenVerifier } from '#identity/token/token.ts'
import { anExchange, someRequest, someResources } from '../test/decision/an-exchange.ts'
import type { BenchOptions, Row } from './bench.ts'

const trustDomain = 'example.org'
const issuer = 'https://idp.example'
const batch = 200
/** Certificates and tokens that were never seen before: as many as are made ahead of the measurement. */
const fresh = 2000

/**
 * What it costs to know who is calling, in process: the whole identity stage with a caller that is known, one with a
 * token that is known, and callers and tokens that come for the first time. `flooded` is a known caller beside ten junk
 * tokens of another for each of its requests; its `p99Ms` is that of the known caller alone.
 */
export async function measure(options: BenchOptions): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  try {
    return await measureIn(folder, options)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function measureIn(folder: string, options: BenchOptions): Promise<Row[]> {
  const ca = createDevCa({ trustDomain })
  const own = ca.issue({ spiffeId: `spiffe://${trustDomain}/ns/models/sa/triton` })
  ca.write(join(folder, 'own'), own)
  writeFileSync(join(folder, 'ca.pem'), ca.bundlePem)
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' }
  writeFileSync(join(folder, 'keys.json'), JSON.stringify({ keys: [jwk] }))

  await using source = await openFilesSource({
    certificate: join(folder, 'own.pem'),
    privateKey: join(folder, 'own.key'),
    trustBundles: { [trustDomain]: join(folder, 'ca.pem') },
  })
  await using verifier = createTokenVerifier({ issuers: [validIssuer(join(folder, 'keys.json'))] })
  const missing = source.problem() ?? verifier.problem()
  if (missing !== undefined) throw new Error(missing)
  const peers = { trustDomains: [trustDomain], state: () => source.current(), maxChecksPerSecond: 1e9 }
  const plain = createIdentityStage(peers)
  const withTokens = createIdentityStage({
    ...peers,
    tokens: { verify: verifier.verify, isRequired: true, isProofRequired: false },
  })

  const pemOf = (name: string) =>
    ca.issue({ spiffeId: `spiffe://${trustDomain}/ns/acme/sa/${name}` }).certificatePem
  const tokenOf = (more: object = {}) => signed(privateKey, { tenant: 'acme', ...more })
  const known = pemOf('app')
  const [knownToken, junk] = [
    tokenOf(),
    Array.from({ length: fresh }, (_, i) => `${tokenOf({ i }).slice(0, -4)}AAAA`),
  ]
  const pems = Array.from({ length: fresh }, (_, i) => pemOf(`app-${i}`))
  const tokens = Array.from({ length: fresh }, (_, i) => tokenOf({ i, jti: randomBytes(8).toString('hex') }))

  const cases: readonly Case[] = [
    { name: 'known caller', ask: () => plain.request?.(exchange(known)), expected: 'allow' },
    { name: 'known token', ask: () => withTokens.request?.(exchange(known, knownToken)), expected: 'allow' },
    {
      name: 'new certificate',
      ask: (i) => plain.request?.(exchange(pems[i] as string)),
      expected: 'allow',
      most: fresh,
    },
    {
      name: 'new ES256 token',
      ask: (i) => withTokens.request?.(exchange(known, tokens[i] as string)),
      expected: 'allow',
      most: fresh,
    },
    {
      name: 'flooded',
      ask: () => withTokens.request?.(exchange(known, knownToken)),
      beside: (i) => {
        const stranger = pems[0] as string
        for (let k = 0; k < 10; k++)
          withTokens.request?.(exchange(stranger, junk[(i * 10 + k) % fresh] as string))
      },
      expected: 'allow',
    },
  ]
  return cases
    .filter(({ name }) => options.only === undefined || options.only === name)
    .map((each) => run(each, options.seconds))
}

interface Case {
  readonly name: string
  ask(index: number): unknown
  /** What else happens between two requests; its time is not the request's, its CPU is. */
  beside?(index: number): void
  readonly expected: string
  /** How often it can be asked. */
  readonly most?: number
}

function run({ name, ask, beside, expected, most = Number.POSITIVE_INFINITY }: Case, seconds: number): Row {
  let asked = 0
  if (most === Number.POSITIVE_INFINITY) for (; asked < 5000; asked++) judge(name, ask(asked), expected)
  const first = asked
  const tookUs: number[] = []
  const [cpu, began] = [process.cpuUsage(), performance.now()]
  while (performance.now() - began < seconds * 1000 && asked + batch - first <= most) {
    let spentMs = 0
    // In batches: a clock costs as much as what is measured. Beside a flood each request counts by itself.
    const size = beside === undefined ? batch : 1
    for (let each = 0; each < size; each++) {
      beside?.(asked)
      const start = beside === undefined && each > 0 ? 0 : performance.now()
      if (start > 0) spentMs = start
      judge(name, ask(asked - first), expected)
      asked++
    }
    tookUs.push(((performance.now() - spentMs) * 1000) / size)
  }
  const { user, system } = process.cpuUsage(cpu)
  const decisions = asked - first
  tookUs.sort((a, b) => a - b)
  const at = (share: number) => (tookUs[Math.floor((tookUs.length - 1) * share)] ?? 0) / 1000
  return {
    name,
    rps: decisions / ((performance.now() - began) / 1000),
    cpuUs: (user + system) / decisions,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    rssMb: process.memoryUsage().rss / 1e6,
    p50Us: at(0.5) * 1000,
    p99Us: at(0.99) * 1000,
  }
}

function judge(name: string, verdict: unknown, expected: string): void {
  const { kind } = verdict as { readonly kind: string }
  if (kind !== expected) throw new Error(`${name}: ${JSON.stringify(verdict)}`)
}

const resources = someResources({ epoch: 0 })

function exchange(pem: string, token?: string): Exchange {
  const headers = token === undefined ? [] : ([['authorization', `Bearer ${token}`]] as const)
  return anExchange({
    request: someRequest({ certificate: { pem, isChainValid: true }, headers }),
    resources,
  })
}

function validIssuer(file: string) {
  return {
    issuer,
    audience: 'models',
    profile: 'jwt' as const,
    algorithms: ['ES256'],
    jwks: { file },
    tenantClaim: 'tenant',
    userClaim: 'sub',
    maxLifetimeSeconds: 86_400,
    clockSkewSeconds: 30,
    requireBinding: false,
    refreshSeconds: 300,
    cooldownSeconds: 30,
    staleSeconds: 3600,
    allowedHosts: [],
    allowPrivateAddresses: false,
  }
}

function signed(key: Parameters<typeof sign>[2], more: object): string {
  const nowSeconds = Math.floor(Date.now() / 1000)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = {
    iss: issuer,
    aud: 'models',
    sub: 'alice',
    iat: nowSeconds,
    exp: nowSeconds + 3600,
    ...more,
  }
  const text = `${part({ alg: 'ES256', kid: 'k1', typ: 'JWT' })}.${part(claims)}`
  const signature = sign('sha256', Buffer.from(text), { key: key as never, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { issuersSchema } from '#config/issuer-schema.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import type { Verdict } from '#decision/verdict.ts'
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
const freshOnes = 2000

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
  await using verifier = createTokenVerifier({
    issuers: issuersSchema.parse([
      {
        ...{ issuer, audience: 'models', algorithms: ['ES256'], tenantClaim: 'tenant' },
        jwks: { file: join(folder, 'keys.json') },
      },
    ]),
  })
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
  const [known, stranger, knownToken] = [pemOf('app'), pemOf('stranger'), tokenOf()]

  const measured: Readonly<Record<string, () => Row>> = {
    'known caller': () => timeBatches(plain, () => exchange(known), options),
    'known token': () => timeBatches(withTokens, () => exchange(known, knownToken), options),
    'new certificate': () => timeBatches(plain, fresh(pemOf, exchange), { ...options, most: freshOnes }),
    'new ES256 token': () =>
      timeBatches(
        withTokens,
        fresh(
          (id) => tokenOf({ jti: id }),
          (token) => exchange(known, token),
        ),
        { ...options, most: freshOnes },
      ),
    flooded: () => {
      const junk = fresh(
        (id) => `${tokenOf({ jti: id }).slice(0, -4)}AAAA`,
        (token) => exchange(stranger, token),
      )
      const flood = () => {
        for (let each = 0; each < 10; each++) withTokens.request?.(junk())
      }
      return timeBeside(flood, withTokens, () => exchange(known, knownToken), options)
    },
  }
  return Object.entries(measured)
    .filter(([name]) => options.only === undefined || options.only === name)
    .map(([name, measure]) => ({ ...measure(), name }))
}

/** Gives what was made ahead of the measurement, one after another. */
function fresh<T>(make: (id: string) => T, use: (made: T) => Exchange): () => Exchange {
  const made = Array.from({ length: freshOnes }, (_, index) => make(`id-${index}`))
  let next = 0
  return () => use(made[next++ % freshOnes] as T)
}

/** In batches, whose exchanges are made before: a clock costs as much as what is measured. */
function timeBatches(
  stage: Stage,
  make: () => Exchange,
  { seconds, most = Number.POSITIVE_INFINITY }: { readonly seconds: number; readonly most?: number },
): Row {
  const batchOf = () => Array.from({ length: batch }, make)
  if (most === Number.POSITIVE_INFINITY) for (let each = 0; each < 50; each++) ask(stage, batchOf())
  const tookUs: number[] = []
  let cpuUs = 0
  const end = performance.now() + seconds * 1000
  while (performance.now() < end && (tookUs.length + 1) * batch <= most) {
    const exchanges = batchOf()
    const [cpu, began] = [process.cpuUsage(), performance.now()]
    ask(stage, exchanges)
    tookUs.push(((performance.now() - began) * 1000) / batch)
    cpuUs += spentUs(cpu)
  }
  return rowOf(tookUs, cpuUs / (tookUs.length * batch))
}

/** Each request by itself, with the flood between two of them. Its time is not theirs, its CPU is. */
function timeBeside(flood: () => void, stage: Stage, make: () => Exchange, { seconds }: BenchOptions): Row {
  const tookUs: number[] = []
  const [cpu, end] = [process.cpuUsage(), performance.now() + seconds * 1000]
  while (performance.now() < end) {
    flood()
    const exchanges = [make()]
    const began = performance.now()
    ask(stage, exchanges)
    tookUs.push((performance.now() - began) * 1000)
  }
  return rowOf(tookUs, spentUs(cpu) / tookUs.length)
}

function ask(stage: Stage, exchanges: readonly Exchange[]): void {
  for (const x of exchanges) {
    const verdict = stage.request?.(x) as Verdict
    if (verdict.kind !== 'allow') throw new Error(`not allowed: ${JSON.stringify(verdict)}`)
  }
}

function spentUs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since)
  return user + system
}

function rowOf(tookUs: number[], cpuUs: number): Row {
  const meanUs = tookUs.reduce((sum, each) => sum + each, 0) / tookUs.length
  tookUs.sort((a, b) => a - b)
  const at = (share: number) => tookUs[Math.floor((tookUs.length - 1) * share)] ?? 0
  const [p50Us, p99Us] = [at(0.5), at(0.99)]
  const rssMb = process.memoryUsage().rss / 1e6
  return { name: '', rps: 1e6 / meanUs, cpuUs, p50Ms: p50Us / 1000, p99Ms: p99Us / 1000, rssMb, p50Us, p99Us }
}

const resources = someResources({ epoch: 0 })

function exchange(pem: string, token?: string): Exchange {
  const headers = token === undefined ? [] : ([['authorization', flat(`Bearer ${token}`)]] as const)
  return anExchange({
    request: someRequest({ certificate: { pem: flat(pem), isChainValid: true }, headers }),
    resources,
  })
}

/** A text of its own in one piece, as a decoder makes it. */
function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
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

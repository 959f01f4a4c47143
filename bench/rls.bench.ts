import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startAgent } from '../test/harness/agent.ts'
import { startRatelimit } from '../test/harness/ratelimit.ts'
import { startValkey } from '../test/harness/valkey.ts'
import { type Contender, type Decider, measureBehindEnvoy } from './behind-envoy.ts'
import type { BenchOptions, Row } from './bench.ts'
import { rateLimitedEnvoy } from './bootstraps.ts'

/**
 * Envoy's rate limit filter, two limits a request (a tenant's, and a tenant's for a model), of few tenants and of many:
 * envoyproxy/ratelimit and Sluice with one Valkey, every request at the store or drawn from leases, and Sluice in memory.
 */
export async function measure(options: BenchOptions): Promise<Row[]> {
  await using valkey = await startValkey()
  /** Each begins with counters that nobody has used. */
  const limits = (keyPrefix: string) => ({
    store: `redis://127.0.0.1:${valkey.port}`,
    redis: { timeoutMs: 1000, keyPrefix },
  })
  const contenders = [few, many].flatMap((tenants) => [
    contender('envoyproxy-ratelimit', tenants, async (folder) => {
      mkdirSync(folder, { recursive: true })
      const env = { CACHE_KEY_PREFIX: `${tenants}:` }
      return await startRatelimit({ folder, files: { 'limits.yaml': rules }, valkeyPort: valkey.port, env })
    }),
    contender('sluice-strict', tenants, (folder) =>
      startSluice(folder, { limits: limits(`strict${tenants}`), rateLimit: { store: 'limits' } }),
    ),
    contender('sluice-leased', tenants, (folder) =>
      startSluice(folder, {
        limits: limits(`leased${tenants}`),
        rateLimit: { store: 'limits', mode: 'leased' },
      }),
    ),
    contender('sluice-memory', tenants, (folder) => startSluice(folder, { rateLimit: {} })),
  ])
  return await measureBehindEnvoy(contenders, options)
}

/** Leases serve counters that are busy; among many tenants none is. */
const [few, many] = [10, 1000]
const models = 2
/** More than is asked in any benchmark; nothing but `scarce` is refused. */
const plenty = 4_000_000_000

const rules = `domain: bench
descriptors:
  - key: tenant
    rate_limit: {unit: hour, requests_per_unit: ${plenty}}
    descriptors:
      - key: model
        rate_limit: {unit: minute, requests_per_unit: ${plenty}}
  - key: tenant
    value: scarce
    rate_limit: {unit: year, requests_per_unit: 1}
`

async function startSluice(
  folder: string,
  { rateLimit, ...config }: { readonly rateLimit: object; readonly [part: string]: object },
): Promise<Decider> {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'limits.yaml'), rules)
  const agent = await startAgent({
    folder,
    config: { rateLimit: { config: ['limits.yaml'], ...rateLimit }, ...config },
    isInstalled: true,
  })
  return {
    pid: agent.pid,
    address: `unix:${join(folder, 'agent.sock')}`,
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  }
}

function request(tenant: string, model: string): string {
  return `GET /v2/models/${model} HTTP/1.1\r\nhost: bench\r\nx-tenant: ${tenant}\r\nx-model: ${model}\r\n\r\n`
}

function contender(name: string, tenants: number, start: NonNullable<Contender['start']>): Contender {
  return {
    name,
    case: `${tenants} tenants`,
    start,
    bootstrap: (ports, decider) => rateLimitedEnvoy(ports, { decider, domain: 'bench' }),
    questions: { request: (index) => request(`t${index % tenants}`, `m${index % models}`) },
    checks: [
      { request: request('t1', 'm1'), status: '200' },
      { request: request('scarce', 'm1'), status: '200' },
      { request: request('scarce', 'm1'), status: '429' },
    ],
  }
}

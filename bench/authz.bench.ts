import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '#base/json.ts'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { typeUrls } from '#envoy/bootstrap/types.ts'
import { startAgent } from '../test/harness/agent.ts'
import { startEnvoy } from '../test/harness/envoy.ts'
import { http } from '../test/harness/http.ts'
import { buildBundle } from '../test/harness/opa.ts'
import { startOpaEnvoyPlugin } from '../test/harness/opa-envoy-plugin.ts'
import { freePorts } from '../test/harness/ports.ts'
import { temporaryFolder } from '../test/harness/temp.ts'
import type { BenchOptions, Row } from './bench.ts'
import { load } from './load.ts'
import { cpuSeconds, rssMb } from './process-usage.ts'

const tenants = 1000
const models = ['fraud', 'ocr', 'churn', 'risk', 'chat']
const rego = readFileSync(join(import.meta.dirname, 'authz', 'rbac.rego'), 'utf8')
const data = {
  rbac: Object.fromEntries(
    Array.from({ length: tenants }, (_, index) => [
      `t${index}`,
      Object.fromEntries(models.map((model) => [model, true])),
    ]),
  ),
}

/** A decider behind Envoy. `pid` absent: Envoy alone. */
interface Decider extends AsyncDisposable {
  readonly name: string
  readonly pid?: number
  /** `unix:/path` or `host:port` of its ext_authz service. */
  readonly address?: string
}

/**
 * ext_authz, one RBAC policy of 1,000 tenants by 5 models: Envoy alone, with the OPA Envoy plugin, with Sluice. Each in
 * turn, alone on the machine; the decider and Envoy on one core, the load on another, where there are two.
 */
export async function measure(options: BenchOptions): Promise<Row[]> {
  using folder = temporaryFolder()
  const rows: Row[] = []
  for (const start of [envoyAlone, opaEnvoyPlugin, sluice]) {
    await using decider = await start(folder.path)
    const [port] = (await freePorts(1)) as [number]
    await using envoy = await startEnvoy(envoyConfig(port, decider.address))
    if (decider.pid !== undefined) pin(decider.pid, '0')
    pin(envoy.pid, '0')
    pin(process.pid, '1')
    await checkDecisions(port, decider.address !== undefined)
    rows.push(await measureOne(decider, port, options))
  }
  return rows
}

async function measureOne(decider: Decider, port: number, options: BenchOptions): Promise<Row> {
  const request = (index: number) =>
    `POST /v2/models/${models[index % models.length]}/infer HTTP/1.1\r\nhost: models\r\nx-tenant: t${(index * 7919) % tenants}\r\ncontent-length: 0\r\n\r\n`
  await load({ port, connections: options.connections, seconds: Math.min(2, options.seconds), request })
  const before = decider.pid === undefined ? 0 : cpuSeconds(decider.pid)
  const result = await load({ port, connections: options.connections, seconds: options.seconds, request })
  const cpu = decider.pid === undefined ? 0 : cpuSeconds(decider.pid) - before
  const refused = [...result.statuses]
    .filter(([status]) => status !== 200)
    .reduce((sum, [, count]) => sum + count, 0)
  if (refused > 0) throw new Error(`${decider.name}: ${refused} of ${result.requests} requests were refused`)
  return {
    name: decider.name,
    rps: result.requests / result.seconds,
    cpuUs: (cpu / result.requests) * 1e6,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    rssMb: decider.pid === undefined ? 0 : rssMb(decider.pid),
    connections: options.connections,
  }
}

/** A benchmark of a decider that does not decide would be worth nothing. */
async function checkDecisions(port: number, isDecided: boolean): Promise<void> {
  const ask = async (tenant: string, model: string) =>
    (await http({ port, path: `/v2/models/${model}/infer`, method: 'POST', headers: { 'x-tenant': tenant } }))
      .status
  const found = [await ask('t1', 'fraud'), await ask('t1', 'other'), await ask('nobody', 'fraud')]
  const wanted = isDecided ? [200, 403, 403] : [200, 200, 200]
  if (found.join() !== wanted.join()) throw new Error(`decisions ${found.join()}, expected ${wanted.join()}`)
}

async function envoyAlone(): Promise<Decider> {
  return { name: 'envoy', [Symbol.asyncDispose]: async () => {} }
}

async function opaEnvoyPlugin(folder: string): Promise<Decider> {
  const files = { 'rbac.rego': rego, 'data.json': JSON.stringify(data) }
  const running = await startOpaEnvoyPlugin(join(folder, 'opa'), files)
  return {
    name: 'opa-envoy-plugin',
    pid: running.pid,
    address: `127.0.0.1:${running.port}`,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

async function sluice(folder: string): Promise<Decider> {
  const own = join(folder, 'sluice')
  mkdirSync(own, { recursive: true })
  const bundle = await buildBundle({ files: { 'rbac.rego': rego, 'data.json': JSON.stringify(data) } })
  writeFileSync(join(own, 'policy.tar.gz'), bundle)
  const agent = await startAgent({ folder: own, config: { policy: { bundle: 'policy.tar.gz' } } })
  return {
    name: 'sluice',
    pid: agent.pid,
    address: `unix:${join(own, 'agent.sock')}`,
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  }
}

/** Plain HTTP, ext_authz where there is a decider, and an answer from Envoy itself. */
function envoyConfig(port: number, decider: string | undefined): JsonObject {
  const filter = {
    name: 'envoy.filters.http.ext_authz',
    typed_config: {
      '@type': typeUrls.extAuthz,
      transport_api_version: 'V3',
      grpc_service: { envoy_grpc: { cluster_name: 'decider' }, timeout: '2s' },
    },
  }
  const manager = {
    '@type': typeUrls.httpConnectionManager,
    stat_prefix: 'bench',
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            { match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'ok' } } },
          ],
        },
      ],
    },
    http_filters: [
      ...(decider === undefined ? [] : [filter]),
      { name: 'envoy.filters.http.router', typed_config: { '@type': typeUrls.router } },
    ],
  }
  return {
    static_resources: {
      listeners: [
        {
          name: 'bench',
          address: { socket_address: { address: '127.0.0.1', port_value: port } },
          filter_chains: [
            { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
          ],
        },
      ],
      clusters: decider === undefined ? [] : [cluster({ name: 'decider', address: decider, isHttp2: true })],
    },
  }
}

/** Keeps all threads of a process to a core; without `taskset` the scheduler decides, and figures are noisier. */
function pin(pid: number, core: string): void {
  spawnSync('taskset', ['-a', '-c', '-p', core, String(pid)], { stdio: 'ignore' })
}

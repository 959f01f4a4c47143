import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { typeUrls } from '#envoy/bootstrap/types.ts'
import { startAgent } from '../harness/agent.ts'
import { startEnvoy } from '../harness/envoy.ts'
import { http } from '../harness/http.ts'
import { freePorts } from '../harness/ports.ts'
import { temporaryFolder } from '../harness/temp.ts'

const rules = `domain: models
descriptors:
  - key: tenant
    rate_limit: {unit: year, requests_per_unit: 3}
`

const router = { name: 'envoy.filters.http.router', typed_config: { '@type': typeUrls.router } }

function listener(name: string, port: number, host: JsonObject, filters: readonly JsonObject[]): JsonObject {
  const manager = {
    '@type': typeUrls.httpConnectionManager,
    stat_prefix: name,
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], ...host }] },
    http_filters: filters,
  }
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [
      { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
    ],
  }
}

/** A listener with the filter, and one that answers everything behind it: Envoy limits only what it forwards. */
function envoyConfig(port: number, upstreamPort: number, address: string): JsonObject {
  const rateLimit = {
    name: 'envoy.filters.http.ratelimit',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit',
      domain: 'models',
      failure_mode_deny: true,
      enable_x_ratelimit_headers: 'DRAFT_VERSION_03',
      rate_limit_service: {
        transport_api_version: 'V3',
        grpc_service: { envoy_grpc: { cluster_name: 'sluice' }, timeout: '20s' },
      },
      timeout: '20s',
    },
  }
  const tenant = { request_headers: { header_name: 'x-tenant', descriptor_key: 'tenant' } }
  const everything = { prefix: '/' }
  return {
    static_resources: {
      listeners: [
        listener(
          'main',
          port,
          {
            rate_limits: [{ actions: [tenant] }],
            routes: [{ match: everything, route: { cluster: 'upstream' } }],
          },
          [rateLimit, router],
        ),
        listener(
          'upstream',
          upstreamPort,
          { routes: [{ match: everything, direct_response: { status: 200 } }] },
          [router],
        ),
      ],
      clusters: [
        cluster({ name: 'sluice', address, isHttp2: true }),
        cluster({ name: 'upstream', address: `127.0.0.1:${upstreamPort}`, isHttp2: false }),
      ],
    },
  }
}

t.test(
  "Envoy's rate limit filter is answered: counted down, told, refused, and refused when nobody answers",
  async (t) => {
    using folder = temporaryFolder()
    writeFileSync(join(folder.path, 'limits.yaml'), rules)
    await using agent = await startAgent({
      folder: folder.path,
      config: { rateLimit: { config: ['limits.yaml'] } },
    })
    const [port, upstreamPort] = (await freePorts(2)) as [number, number]
    await using _ = await startEnvoy(
      envoyConfig(port, upstreamPort, `unix:${join(folder.path, 'agent.sock')}`),
    )
    const ask = async (tenant: string) => {
      const { status, headers } = await http({ port, path: '/', headers: { 'x-tenant': tenant } })
      return [status, headers['x-ratelimit-remaining']]
    }
    t.strictSame(await ask('acme'), [200, '2'])
    t.strictSame(await ask('acme'), [200, '1'])
    t.strictSame(await ask('other'), [200, '2'])
    t.strictSame(await ask('acme'), [200, '0'])
    t.strictSame((await ask('acme'))[0], 429)
    t.equal((await http({ port, path: '/' })).status, 200, 'without the descriptor nothing is asked')
    const { body } = await agent.probe('/metrics')
    t.match(body, /sluice_rate_limit_decisions_total\{code="over_limit"\} 1/)
    t.match(body, /sluice_rate_limit_hits_total\{limit="models.tenant",outcome="over"\} 1/)
    t.match(body, /sluice_grpc_streams_total \d/)
    agent.kill('SIGKILL')
    t.equal((await ask('new'))[0], 500)
  },
)

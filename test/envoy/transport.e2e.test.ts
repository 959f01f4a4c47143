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

/** ext_authz on a listener that answers what is let through. */
function envoyConfig(port: number, decider: JsonObject): JsonObject {
  const filter = {
    name: 'envoy.filters.http.ext_authz',
    typed_config: {
      '@type': typeUrls.extAuthz,
      transport_api_version: 'V3',
      grpc_service: { envoy_grpc: { cluster_name: 'sluice' }, timeout: '20s' },
      status_on_error: { code: 'ServiceUnavailable' },
    },
  }
  const manager = {
    '@type': typeUrls.httpConnectionManager,
    stat_prefix: 'main',
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
        },
      ],
    },
    http_filters: [filter, { name: 'envoy.filters.http.router', typed_config: { '@type': typeUrls.router } }],
  }
  const address = { socket_address: { address: '127.0.0.1', port_value: port } }
  return {
    static_resources: {
      listeners: [
        {
          name: 'main',
          address,
          filter_chains: [
            { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
          ],
        },
      ],
      clusters: [decider],
    },
  }
}

t.test('Envoy is answered alike on both transports', async (t) => {
  for (const transport of ['sluice', 'grpc-js']) {
    using folder = temporaryFolder()
    const address = `unix:${join(folder.path, 'agent.sock')}`
    const [port] = (await freePorts(1)) as [number]
    await using _agent = await startAgent({ folder: folder.path, config: { listen: { transport } } })
    await using _envoy = await startEnvoy(
      envoyConfig(port, cluster({ name: 'sluice', address, isHttp2: true })),
    )
    const ask = async (path: string) => (await http({ port, path })).status
    t.equal(await ask('/v2/models/fraud'), 200, transport)
    t.equal(await ask('/v2/repository/index'), 403, transport)
  }
})

t.test('an Envoy that asks without HTTP/2 is refused, counted, and named', async (t) => {
  using folder = temporaryFolder()
  const address = `unix:${join(folder.path, 'agent.sock')}`
  const [port] = (await freePorts(1)) as [number]
  await using agent = await startAgent({ folder: folder.path, config: {} })
  const http1 = cluster({ name: 'sluice', address, isHttp2: false })
  await using _envoy = await startEnvoy(envoyConfig(port, http1))
  t.equal((await http({ port, path: '/v2/models/fraud' })).status, 503)
  const { body } = await agent.probe('/metrics')
  t.match(body, /sluice_grpc_wrong_peers_total\{protocol="http\/1\.1"\} [1-9]/)
  t.match(agent.logs(), /"protocol":"http\/1\.1".*http2_protocol_options/)
})

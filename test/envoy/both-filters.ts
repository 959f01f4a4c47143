import { pino } from 'pino'
import type { JsonObject } from '#base/json.ts'
import type { Pipeline } from '#decision/pipeline.ts'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { typed } from '#envoy/bootstrap/types.ts'
import { startEnvoyServer } from '#envoy/envoy.ts'
import { startEnvoy } from '../harness/envoy.ts'
import { freePorts } from '../harness/ports.ts'

const service = { envoy_grpc: { cluster_name: 'sluice' } }

/** ext_authz and ext_proc, as in the generated configuration, at the cluster `sluice`. */
const bothFilters = [
  typed('envoy.filters.http.ext_authz', 'extAuthz', {
    transport_api_version: 'V3',
    grpc_service: { ...service, timeout: '10s' },
  }),
  // The message of a gRPC call comes without waiting for the answer to its headers.
  typed('envoy.filters.http.ext_proc', 'extProc', {
    grpc_service: service,
    message_timeout: '10s',
    processing_mode: { request_body_mode: 'STREAMED' },
    send_body_without_waiting_for_header_response: true,
  }),
]

/** A listener that answers 200 to what one filter lets through. */
function filteredListener(port: number, filter: JsonObject): JsonObject {
  const manager = typed('hcm', 'httpConnectionManager', {
    stat_prefix: 'main',
    http_filters: [filter, typed('router', 'router', {})],
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
        },
      ],
    },
  })
  const address = { socket_address: { address: '127.0.0.1', port_value: port } }
  return { name: `at-${port}`, address, filter_chains: [{ filters: [manager] }] }
}

/** A real Envoy with a listener for each of the two, and the agent's server with this pipeline behind them. */
export async function startBothFilters(
  pipeline: Pipeline,
  address: string,
): Promise<AsyncDisposable & { readonly ports: readonly [extAuthz: number, extProc: number] }> {
  await using opening = new AsyncDisposableStack()
  opening.use(
    await startEnvoyServer({
      listen: address,
      pipeline,
      isReady: () => true,
      maxMessageBytes: 1 << 20,
      firstMessageTimeoutMs: 10_000,
      log: pino({ level: 'silent' }),
    }),
  )
  const ports = (await freePorts(2)) as [number, number]
  opening.use(
    await startEnvoy({
      static_resources: {
        listeners: bothFilters.map((filter, index) => filteredListener(ports[index] as number, filter)),
        clusters: [cluster({ name: 'sluice', address, isHttp2: true })],
      },
    }),
  )
  const owned = opening.move()
  return { ports, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

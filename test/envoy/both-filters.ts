import type { JsonObject } from '#base/json.ts'
import { typed } from '#envoy/bootstrap/types.ts'

const service = { envoy_grpc: { cluster_name: 'sluice' } }

/** ext_authz and ext_proc, as in the generated configuration, at the cluster `sluice`. */
export const bothFilters = [
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
export function filteredListener(port: number, filter: JsonObject): JsonObject {
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

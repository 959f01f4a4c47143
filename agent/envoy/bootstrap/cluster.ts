import { splitHostPort } from '#base/address.ts'
import type { JsonObject } from '#base/json.ts'
import { typeUrls } from './types.ts'

/** Envoy's default of 1024 requests fails the next one; what the model server can bear is its own business. */
const maxRequests = 100_000

/** A cluster with one address, `host:port` or `unix:/path`. */
export function cluster(options: {
  readonly name: string
  readonly address: string
  readonly isHttp2: boolean
}): JsonObject {
  const endpoint = options.address.startsWith('unix:')
    ? { pipe: { path: options.address.slice('unix:'.length) } }
    : { socket_address: socketAddress(options.address) }
  const protocol: JsonObject = options.isHttp2
    ? { http2_protocol_options: { max_concurrent_streams: maxRequests } }
    : { http_protocol_options: {} }
  return {
    name: options.name,
    type: 'STATIC',
    // Envoy's own default. Less fails calls that would be served a moment later, where a burst fills the queue of a listener.
    connect_timeout: '5s',
    circuit_breakers: {
      thresholds: [
        {
          max_connections: maxRequests,
          max_pending_requests: maxRequests,
          max_requests: maxRequests,
          max_retries: 3,
        },
      ],
    },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': typeUrls.httpProtocolOptions,
        explicit_http_config: protocol,
      },
    },
    load_assignment: {
      cluster_name: options.name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: endpoint } }] }],
    },
  }
}

function socketAddress(address: string): JsonObject {
  const { host, port } = splitHostPort(address)
  // A static cluster wants an address, not a name.
  return { address: host === 'localhost' ? '127.0.0.1' : host, port_value: port }
}

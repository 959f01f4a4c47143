import { splitHostPort } from '#base/address.ts'
import type { JsonObject } from '#base/json.ts'
import type { Config } from '#config/config.ts'
import { downstreamTls } from './downstream-tls.ts'
import { typed } from './types.ts'

type EnvoySection = NonNullable<Config['envoy']>

/** Streams one connection may carry: Envoy's default of 1024 would refuse the next generation that is streamed. */
const maxStreams = 10_000

/** How much of a body Envoy keeps back to show it: of HTTP/1.1 by the buffer of the connection, of HTTP/2 by its window. */
const shownBytes = 1 << 20

/** An mTLS listener with filters in front of the router. */
export function listener(options: {
  readonly name: string
  readonly address: string
  /** Files of certificates; without them Envoy takes those of the agent. */
  readonly tls: EnvoySection['tls']
  /** How long a connection may last. */
  readonly maxConnectionSeconds: number
  readonly filters: readonly JsonObject[]
  /** Whether the agent reads what trusted gateways say of their clients' certificates. */
  readonly hasTrustedForwarders: boolean
  /** Whether bodies of requests are kept back until the agent has seen them. */
  readonly areBodiesShown?: boolean
  /** How routes differ from the filter. */
  readonly overrides?: { readonly grpc: JsonObject; readonly http: JsonObject }
}): JsonObject {
  const { host, port } = splitHostPort(options.address)
  return {
    name: options.name,
    address: { socket_address: { address: host, port_value: port } },
    filter_chains: [
      {
        transport_socket: typed('envoy.transport_sockets.tls', 'downstreamTls', downstreamTls(options.tls)),
        filters: [
          typed(
            'envoy.filters.network.http_connection_manager',
            'httpConnectionManager',
            connectionManager(options),
          ),
        ],
      },
    ],
    per_connection_buffer_limit_bytes: shownBytes,
  }
}

function connectionManager(options: Parameters<typeof listener>[0]): JsonObject {
  const { grpc, http } = options.overrides ?? {}
  const { maxConnectionSeconds, areBodiesShown = false } = options
  return {
    stat_prefix: options.name,
    codec_type: 'AUTO',
    use_remote_address: true,
    // A client's word about certificates is dropped. Where gateways are trusted Envoy appends whose word it is, and the
    // agent drops that of everybody else.
    forward_client_cert_details: options.hasTrustedForwarders ? 'APPEND_FORWARD' : 'SANITIZE',
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'REJECT_REQUEST',
    // One spelling of a host for policy, whatever the client wrote.
    strip_trailing_host_dot: true,
    strip_any_host_port: true,
    common_http_protocol_options: {
      headers_with_underscores_action: 'REJECT_REQUEST',
      idle_timeout: '3600s',
      // What is under way is not cut off, and the request that comes as the time is up is answered: the last one.
      max_connection_duration: `${maxConnectionSeconds}s`,
    },
    http1_safe_max_connection_duration: true,
    http2_protocol_options: {
      max_concurrent_streams: maxStreams,
      ...(areBodiesShown && { initial_stream_window_size: shownBytes }),
    },
    stream_idle_timeout: '3600s',
    request_headers_timeout: '10s',
    max_request_headers_kb: 60,
    route_config: {
      name: options.name,
      virtual_hosts: [
        {
          name: 'model_server',
          domains: ['*'],
          routes: [
            // Answers of a model take as long as they take; the filters have deadlines of their own.
            {
              name: 'grpc',
              match: { prefix: '/', grpc: {} },
              route: { cluster: 'model_server_grpc', timeout: '0s' },
              ...grpc,
            },
            {
              name: 'http',
              match: { prefix: '/' },
              route: { cluster: 'model_server_http', timeout: '0s' },
              ...http,
            },
          ],
        },
      ],
    },
    http_filters: [...options.filters, typed('envoy.filters.http.router', 'router', {})],
  }
}

import { splitHostPort } from '#base/address.ts'
import type { JsonObject } from '#base/json.ts'
import type { Config } from '#config/config.ts'
import { typed } from './types.ts'

type EnvoySection = NonNullable<Config['envoy']>

/** Streams one connection may carry: Envoy's default of 1024 would refuse the next generation that is streamed. */
const maxStreams = 10_000

/** An mTLS listener with one filter in front of the router. */
export function listener(options: {
  readonly name: string
  readonly address: string
  readonly tls: EnvoySection['tls']
  readonly filter: JsonObject
  readonly maxConnectionSeconds: number
  /** How routes differ from the filter. */
  readonly overrides?: { readonly grpc: JsonObject; readonly stream?: JsonObject | undefined }
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
    per_connection_buffer_limit_bytes: 1 << 20,
  }
}

function downstreamTls(tls: EnvoySection['tls']): JsonObject {
  const domains = Object.entries(tls.trustBundles).map(([name, path]) => ({
    name,
    trust_bundle: { filename: path },
  }))
  return {
    require_client_certificate: true,
    // A resumed session would not look at the certificate again after a bundle has changed.
    disable_stateless_session_resumption: true,
    disable_stateful_session_resumption: true,
    common_tls_context: {
      alpn_protocols: ['h2', 'http/1.1'],
      tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
      tls_certificates: [
        { certificate_chain: { filename: tls.certificate }, private_key: { filename: tls.privateKey } },
      ],
      validation_context: {
        custom_validator_config: typed('envoy.tls.cert_validator.spiffe', 'spiffeValidator', {
          trust_domains: domains,
        }),
      },
    },
  }
}

function connectionManager(options: Parameters<typeof listener>[0]): JsonObject {
  const { grpc, stream } = options.overrides ?? {}
  const toHttp: JsonObject = { cluster: 'model_server_http', timeout: '0s' }
  return {
    stat_prefix: options.name,
    codec_type: 'AUTO',
    use_remote_address: true,
    // A client's word about certificates is dropped; ours never goes through this header.
    forward_client_cert_details: 'SANITIZE',
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'REJECT_REQUEST',
    // One spelling of a host for policy, whatever the client wrote.
    strip_trailing_host_dot: true,
    strip_any_host_port: true,
    common_http_protocol_options: {
      headers_with_underscores_action: 'REJECT_REQUEST',
      idle_timeout: '3600s',
      // What is under way is not cut off: Envoy closes the connection when its last request has been answered.
      max_connection_duration: `${options.maxConnectionSeconds}s`,
    },
    http2_protocol_options: { max_concurrent_streams: maxStreams },
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
            ...(stream === undefined
              ? []
              : [
                  {
                    name: 'generate_stream',
                    match: { safe_regex: { regex: '/v2/models/.*/generate_stream' } },
                    route: toHttp,
                    ...stream,
                  },
                ]),
            { name: 'http', match: { prefix: '/' }, route: toHttp },
          ],
        },
      ],
    },
    http_filters: [options.filter, typed('envoy.filters.http.router', 'router', {})],
  }
}

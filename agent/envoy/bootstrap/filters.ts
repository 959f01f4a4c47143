import type { JsonObject } from '#base/json.ts'
import type { Config } from '#config/config.ts'
import { milliseconds, typed, typeUrls } from './types.ts'

export const agentCluster = 'sluice_agent'

/** What the pipeline reads of a request; asked for by name because Envoy sends no attribute by itself. */
export const requestAttributes = [
  'connection.peer_certificate',
  'connection.peer_certificate_valid',
  'connection.uri_san_peer_certificate',
  'connection.requested_server_name',
  'source.address',
  'request.protocol',
  'xds.route_name',
] as const

export const responseAttributes = ['upstream.address'] as const

const agentService = (timeoutMs: number): JsonObject => ({
  envoy_grpc: { cluster_name: agentCluster },
  timeout: milliseconds(timeoutMs),
})

/** The whole pipeline. Refuses (503) when the agent is dead, late or answers what does not fit. */
export function extProcFilter(config: Config, messageTimeoutMs: number, bodyBytes: number): JsonObject {
  return typed('envoy.filters.http.ext_proc', 'extProc', {
    // The stream lives as long as the request; the timeout of each answer is message_timeout.
    grpc_service: { envoy_grpc: { cluster_name: agentCluster }, timeout: '0s' },
    failure_mode_allow: false,
    status_on_error: { code: 'ServiceUnavailable' },
    message_timeout: milliseconds(messageTimeoutMs),
    // How long the agent may ask to wait for the first message of a gRPC call.
    max_message_timeout: milliseconds(config.decision.firstMessageTimeoutMs),
    processing_mode: processingMode({
      request: bodyBytes > 0 ? 'BUFFERED_PARTIAL' : 'NONE',
      response: isAnswerSeen(config) ? 'BUFFERED_PARTIAL' : 'NONE',
    }),
    // A gRPC call's model is in its message: the answer to the headers waits for it, so it must come without waiting.
    send_body_without_waiting_for_header_response: true,
    allow_mode_override: false,
    request_attributes: [...requestAttributes],
    response_attributes: [...responseAttributes],
    metadata_options: { receiving_namespaces: { untyped: ['sluice'] } },
    mutation_rules: { allow_all_routing: false, allow_envoy: false },
  })
}

/** Whether policy is shown the bodies of answers. */
export function isAnswerSeen({ policy }: Config): boolean {
  return policy?.response !== undefined && policy.response.body !== 'none'
}

/** How a route differs from the filter: gRPC calls name their model in a message, and streams of answers cannot wait. */
export function routeOverrides(kind: 'grpc' | 'stream', bodyBytes: number): JsonObject {
  const request = kind === 'grpc' ? 'STREAMED' : bodyBytes > 0 ? 'BUFFERED_PARTIAL' : 'NONE'
  return {
    typed_per_filter_config: {
      'envoy.filters.http.ext_proc': {
        '@type': typeUrls.extProcPerRoute,
        overrides: { processing_mode: processingMode({ request, response: 'NONE' }) },
      },
    },
  }
}

function processingMode(bodies: { readonly request: string; readonly response: string }): JsonObject {
  return {
    request_header_mode: 'SEND',
    response_header_mode: 'SEND',
    request_body_mode: bodies.request,
    response_body_mode: bodies.response,
    request_trailer_mode: 'SKIP',
    // An answer that has trailers and no body is judged there: Envoy sends no empty body.
    response_trailer_mode: bodies.response === 'NONE' ? 'SKIP' : 'SEND',
  }
}

/** Admission alone. */
export function extAuthzFilter(messageTimeoutMs: number, bodyBytes: number): JsonObject {
  return typed('envoy.filters.http.ext_authz', 'extAuthz', {
    transport_api_version: 'V3',
    grpc_service: agentService(messageTimeoutMs),
    failure_mode_allow: false,
    status_on_error: { code: 'ServiceUnavailable' },
    // Every value of a repeated header, and bytes as they came.
    encode_raw_headers: true,
    include_peer_certificate: true,
    include_tls_session: true,
    validate_mutations: true,
    clear_route_cache: false,
    ...(bodyBytes > 0 && {
      with_request_body: { max_request_bytes: bodyBytes, allow_partial_message: true, pack_as_bytes: true },
    }),
  })
}

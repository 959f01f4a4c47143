import type { JsonObject } from '#base/json.ts'
import type { Config } from '#config/config.ts'
import { milliseconds, typed, typeUrls } from './types.ts'

export const agentCluster = 'sluice_agent'

/** What the pipeline reads of a request; asked for by name because Envoy sends no attribute by itself. */
const requestAttributes = [
  'connection.peer_certificate',
  'connection.peer_certificate_valid',
  'connection.uri_san_peer_certificate',
  'connection.requested_server_name',
  'source.address',
  'request.protocol',
  'xds.route_name',
] as const

const responseAttributes = ['upstream.address'] as const

const agentService = (timeoutMs: number): JsonObject => ({
  envoy_grpc: { cluster_name: agentCluster },
  timeout: milliseconds(timeoutMs),
})

/** Names of the filters that ask the whole pipeline: about every request, or where there are two, about HTTP and gRPC. */
const pipeline = 'envoy.filters.http.ext_proc'
const grpcPipeline = 'envoy.filters.http.ext_proc.grpc'

/**
 * The whole pipeline. Refuses (503) when the agent is dead, late or answers what does not fit.
 *
 * Where bodies of answers are measured or judged there are two filters, of which each route switches one off: Envoy takes
 * from an answer how bodies are to come only where it does not send them without waiting, which calls over gRPC need.
 */
export function pipelineFilters(config: Config, messageTimeoutMs: number): JsonObject[] {
  if (!areAnswersRead(config)) return [extProcFilter(pipeline, config, messageTimeoutMs, asSent)]
  return [
    extProcFilter(pipeline, config, messageTimeoutMs, {
      ...asAsked,
      allowed_override_modes: askable(config),
    }),
    extProcFilter(grpcPipeline, config, messageTimeoutMs, asSent),
  ]
}

/** A gRPC call's model is in its message: the answer to the headers waits for it, so it must come without waiting. */
const asSent: JsonObject = { send_body_without_waiting_for_header_response: true, allow_mode_override: false }
const asAsked: JsonObject = {
  send_body_without_waiting_for_header_response: false,
  allow_mode_override: true,
}

function extProcFilter(
  name: string,
  config: Config,
  messageTimeoutMs: number,
  settings: JsonObject,
): JsonObject {
  return typed(name, 'extProc', {
    // The stream lives as long as the request; the timeout of each answer is message_timeout.
    grpc_service: { envoy_grpc: { cluster_name: agentCluster }, timeout: '0s' },
    failure_mode_allow: false,
    status_on_error: { code: 'ServiceUnavailable' },
    message_timeout: milliseconds(messageTimeoutMs),
    // How long the agent may ask to wait for the first message of a gRPC call.
    max_message_timeout: milliseconds(config.decision.firstMessageTimeoutMs),
    processing_mode: processingMode(httpBodies(config)),
    ...settings,
    request_attributes: [...requestAttributes],
    response_attributes: [...responseAttributes],
    metadata_options: { receiving_namespaces: { untyped: ['sluice'] } },
    mutation_rules: { allow_all_routing: false, allow_envoy: false },
  })
}

/** Whether policy is shown the bodies of answers. */
function isAnswerSeen({ policy }: Config): boolean {
  return policy?.response !== undefined && policy.response.body !== 'none'
}

/** Whether bodies of HTTP requests are shown: what a call costs at most stands in them, whatever policy is to see. */
export function areBodiesShown({ limits, envoy }: Config): boolean {
  return limits !== undefined || (envoy?.policyBodyBytes ?? 0) > 0
}

function areAnswersRead(config: Config): boolean {
  return config.limits !== undefined || isAnswerSeen(config)
}

interface Bodies {
  readonly request: string
  readonly response: string
}

function httpBodies(config: Config): Bodies {
  return {
    request: areBodiesShown(config) ? 'BUFFERED_PARTIAL' : 'NONE',
    response: isAnswerSeen(config) ? 'BUFFERED_PARTIAL' : 'NONE',
  }
}

/** What the agent may ask for, and nothing else: to be shown more, or that a stream which nobody can judge whole is not kept back. */
function askable(config: Config): JsonObject[] {
  const { request, response } = httpBodies(config)
  const measured = config.limits === undefined ? [] : ['STREAMED', 'FULL_DUPLEX_STREAMED']
  const released = isAnswerSeen(config) ? ['NONE'] : []
  return [...measured, ...released]
    .filter((mode) => mode !== response)
    .map((mode) => processingMode({ request, response: mode }))
}

/** How routes differ from the filters: gRPC calls name their model in a message, and streams of theirs cannot wait. */
export function routeOverrides(config: Config): { readonly grpc: JsonObject; readonly http: JsonObject } {
  // Envoy takes no other modes from an answer here, so that the bodies of all answers come where limits may need them.
  const response = config.limits === undefined ? 'NONE' : 'STREAMED'
  const overrides = { processing_mode: processingMode({ request: 'STREAMED', response }) }
  const disabled = perRoute({ disabled: true })
  return areAnswersRead(config)
    ? {
        grpc: perFilter({ [pipeline]: disabled, [grpcPipeline]: perRoute({ overrides }) }),
        http: perFilter({ [grpcPipeline]: disabled }),
      }
    : { grpc: perFilter({ [pipeline]: perRoute({ overrides }) }), http: {} }
}

const perRoute = (content: JsonObject): JsonObject => ({ '@type': typeUrls.extProcPerRoute, ...content })
const perFilter = (content: JsonObject): JsonObject => ({ typed_per_filter_config: content })

function processingMode(bodies: Bodies): JsonObject {
  return {
    request_header_mode: 'SEND',
    response_header_mode: 'SEND',
    request_body_mode: bodies.request,
    response_body_mode: bodies.response,
    request_trailer_mode: 'SKIP',
    // An answer that has trailers and no body is judged there: Envoy sends no empty body. Measured ones end there.
    response_trailer_mode: bodies.response === 'NONE' ? 'SKIP' : 'SEND',
  }
}

/**
 * Admission alone. Bodies only as far as policy asks for them: a gRPC stream whose client waits for an answer before it goes
 * on would never be decided.
 */
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

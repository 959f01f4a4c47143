import type { JsonObject } from '#base/json.ts'
import { typeOf } from './kinds.ts'
import { at } from './tree.ts'

/**
 * What a filter does with a request: only looks at, delays or refuses it; changes or copies it, or chooses where it goes;
 * answers in the model server's place.
 */
export type FilterRole = 'watches' | 'changes' | 'answers'

const http = (role: FilterRole, names: string): readonly (readonly [string, FilterRole])[] =>
  names
    .trim()
    .split(/\s+/)
    .map((name) => [`envoy.extensions.filters.http.${name}`, role])

/** Every HTTP filter that Envoy 1.40 has, by the type of its configuration. */
const httpFilterRoles: ReadonlyMap<string, FilterRole> = new Map([
  ...http(
    'watches',
    `adaptive_concurrency.v3.AdaptiveConcurrency admission_control.v3.AdmissionControl
     alternate_protocols_cache.v3.FilterConfig bandwidth_limit.v3.BandwidthLimit bandwidth_share.v3.BandwidthShare
     body_size_limit.v3.BodySizeLimit buffer.v3.Buffer compressor.v3.Compressor cors.v3.Cors csrf.v3.CsrfPolicy
     fault.v3.HTTPFault file_system_buffer.v3.FileSystemBufferFilterConfig grpc_stats.v3.FilterConfig
     health_check.v3.HealthCheck jwt_authn.v3.JwtAuthentication local_ratelimit.v3.LocalRateLimit
     original_src.v3.OriginalSrc rate_limit_quota.v3.RateLimitQuotaFilterConfig ratelimit.v3.RateLimit rbac.v3.RBAC
     router.v3.Router upstream_codec.v3.UpstreamCodec`,
  ),
  ...http(
    'answers',
    `aws_lambda.v3.Config cache.v3.CacheConfig cache_v2.v3.CacheV2Config custom_response.v3.CustomResponse
     file_server.v3.FileServerConfig mcp_router.v3.McpRouter`,
  ),
  ...http(
    'changes',
    `a2a.v3.A2a ai_protocol_manager.v3.AiProtocolManager api_key_auth.v3.ApiKeyAuth
     aws_eventstream_parser.v3.AwsEventstreamParser aws_request_signing.v3.AwsRequestSigning basic_auth.v3.BasicAuth
     cdn_loop.v3.CdnLoopConfig composite.v3.Composite connect_grpc_bridge.v3.FilterConfig
     credential_injector.v3.CredentialInjector decompressor.v3.Decompressor dynamic_forward_proxy.v3.FilterConfig
     dynamic_modules.v3.DynamicModuleFilter ext_authz.v3.ExtAuthz ext_proc.v3.ExternalProcessor
     filter_chain.v3.FilterChainConfig gcp_authn.v3.GcpAuthnFilterConfig geoip.v3.Geoip
     grpc_field_extraction.v3.GrpcFieldExtractionConfig grpc_http1_bridge.v3.Config
     grpc_http1_reverse_bridge.v3.FilterConfig grpc_json_reverse_transcoder.v3.GrpcJsonReverseTranscoder
     grpc_json_transcoder.v3.GrpcJsonTranscoder grpc_web.v3.GrpcWeb header_mutation.v3.HeaderMutation
     header_to_metadata.v3.Config ip_tagging.v3.IPTagging json_to_metadata.v3.JsonToMetadata lua.v3.Lua mcp.v3.Mcp
     mcp_json_rest_bridge.v3.McpJsonRestBridge oauth2.v3.OAuth2 on_demand.v3.OnDemand
     proto_api_scrubber.v3.ProtoApiScrubberConfig proto_message_extraction.v3.ProtoMessageExtractionConfig
     set_filter_state.v3.Config set_metadata.v3.Config sse_to_metadata.v3.SseToMetadata
     stateful_session.v3.StatefulSession tap.v3.Tap thrift_to_metadata.v3.ThriftToMetadata transform.v3.TransformConfig
     wasm.v3.Wasm`,
  ),
  ['envoy.extensions.common.matching.v3.ExtensionWithMatcher', 'changes'],
])

export const routerType = 'envoy.extensions.filters.http.router.v3.Router'

/** `undefined` for a filter that is not known, or whose configuration is not there to be read. */
export function httpFilterRole(configuration: JsonObject | undefined): FilterRole | undefined {
  const type = typeOf(configuration)
  return type === undefined ? undefined : httpFilterRoles.get(type)
}

const network = 'envoy.extensions.filters.network.'
export const connectionManagerType = `${network}http_connection_manager.v3.HttpConnectionManager`
export const tcpProxyType = `${network}tcp_proxy.v3.TcpProxy`

/** Network filters that pass nothing on to anybody, or nothing but what the next one judges. */
const harmlessNetworkFilters: ReadonlySet<string> = new Set(
  [
    ...[
      'connection_limit.v3.ConnectionLimit',
      'direct_response.v3.Config',
      'echo.v3.Echo',
      'ext_authz.v3.ExtAuthz',
    ],
    ...['geoip.v3.Geoip', 'local_ratelimit.v3.LocalRateLimit', 'ratelimit.v3.RateLimit', 'rbac.v3.RBAC'],
    ...['set_filter_state.v3.Config', 'tcp_bandwidth_limit.v3.TcpBandwidthLimit'],
  ].map((name) => `${network}${name}`),
)

export function isHarmlessNetworkFilter(filter: JsonObject): boolean {
  return harmlessNetworkFilters.has(typeOf(at(filter, 'typed_config')) ?? '')
}

const listener = 'envoy.extensions.filters.listener.'
/** Listener filters after which the connection is still the one that the caller opened. */
const harmlessListenerFilters: ReadonlySet<string> = new Set(
  [
    'http_inspector.v3.HttpInspector',
    'local_ratelimit.v3.LocalRateLimit',
    'original_dst.v3.OriginalDst',
    'tls_inspector.v3.TlsInspector',
  ].map((name) => `${listener}${name}`),
)

export function isHarmlessListenerFilter(filter: JsonObject): boolean {
  return harmlessListenerFilters.has(typeOf(at(filter, 'typed_config')) ?? '')
}

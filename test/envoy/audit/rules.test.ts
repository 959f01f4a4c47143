import t from 'tap'
import type { JsonObject, JsonValue } from '#base/json.ts'
import { auditAreas, auditEnvoyConfig, expectationsOf } from '#envoy/audit/audit.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { agentConfig, changed, dumpOf, goodBootstrap, type Part, parts } from './good.ts'

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
const good = goodBootstrap(folder.path)
const expected = expectationsOf(agentConfig(folder.path))

type Change = JsonValue | undefined | ((old: JsonValue | undefined) => JsonValue | undefined)
type Row = readonly [rule: string, part: Part, way: string, change: Change]

const type = (name: string, more: JsonObject = {}): JsonObject => ({
  '@type': `type.googleapis.com/envoy.${name}`,
  ...more,
})
const extension = (name: string, more?: JsonObject) => type(`extensions.${name}`, more)
const filter = (name: string, more?: JsonObject): JsonObject => ({
  name: name.split('.')[0] as string,
  typed_config: extension(`filters.http.${name}`, more),
})
const before =
  (added: JsonObject): Change =>
  (old) => [added, ...(old as JsonObject[])]
const behind =
  (added: JsonObject): Change =>
  (old) => [...(old as JsonObject[]).slice(0, -1), added, ...(old as JsonObject[]).slice(-1)]

const extAuthzRoute = (more: JsonObject): JsonObject => ({
  'envoy.filters.http.ext_authz': extension('filters.http.ext_authz.v3.ExtAuthzPerRoute', more),
})
const grpcFilter = 'envoy.filters.http.ext_proc.grpc'
const extProcOverride =
  (more: JsonObject): Change =>
  (old) => {
    const { [grpcFilter]: route, ...others } = old as Record<string, Record<string, JsonObject>>
    const all = { ...(route?.['overrides'] as JsonObject), ...more }
    return { ...others, [grpcFilter]: { ...route, overrides: all } } as JsonObject
  }
const own = (key: string): readonly JsonValue[] => [{ header: { key, value: 'x' } }]
const pem = (name: string) => `-----BEGIN ${name}-----\nAA==\n-----END ${name}-----\n`

const jwtProvider = { issuer: 'i', audiences: ['a'], require_expiration: true, remote_jwks: {} }
const jwt = (provider: JsonObject, requires: JsonObject = { provider_name: 'p' }, more: JsonObject = {}) =>
  before(
    filter('jwt_authn.v3.JwtAuthentication', {
      providers: { p: provider },
      rules: [{ match: { prefix: '/' }, requires }],
      ...more,
    }),
  )
const without = (key: string): JsonObject => {
  const { [key]: _, ...rest } = jwtProvider as Record<string, JsonValue>
  return rest
}

const rows: readonly Row[] = [
  ['ext_authz_failure_mode_allow', 'extAuthz', 'typed_config.failure_mode_allow', true],
  ['ext_authz_failure_mode_allow', 'extAuthz', 'typed_config.failure_mode_allow', 'true'],
  ['ext_authz_failure_mode_allow_header', 'extAuthz', 'typed_config.failure_mode_allow_header_add', true],
  ['ext_authz_shadow_mode', 'extAuthz', 'typed_config.shadow_mode', true],
  [
    'ext_authz_filter_enabled',
    'extAuthz',
    'typed_config.filter_enabled',
    { default_value: { numerator: 50 } },
  ],
  ['ext_authz_filter_enabled', 'extAuthz', 'typed_config.filter_enabled_metadata', { filter: 'x' }],
  ['ext_authz_deny_at_disable', 'extAuthz', 'typed_config.deny_at_disable', { runtime_key: 'x' }],
  ['ext_authz_status_on_error', 'extAuthz', 'typed_config.status_on_error', { code: 'OK' }],
  ['ext_authz_status_on_error', 'extAuthz', 'typed_config.status_on_error', { code: 200 }],
  ['ext_authz_timeout', 'extAuthz', 'typed_config.grpc_service.timeout', '0s'],
  ['ext_authz_timeout', 'extAuthz', 'typed_config.grpc_service.timeout', '61s'],
  ['ext_authz_timeout', 'extAuthz', 'typed_config.grpc_service.timeout', '0.15s'],
  ['ext_authz_timeout', 'extAuthz', 'typed_config.grpc_service.timeout', 'soon'],
  ['ext_authz_partial_body', 'extAuthz', 'typed_config.with_request_body', { allow_partial_message: true }],
  ['ext_authz_raw_headers', 'extAuthz', 'typed_config.encode_raw_headers', undefined],
  ['ext_authz_hidden_headers', 'extAuthz', 'typed_config.allowed_headers', { patterns: [{ exact: 'a' }] }],
  ['ext_authz_hidden_headers', 'extAuthz', 'typed_config.disallowed_headers', { patterns: [{ exact: 'a' }] }],
  ['ext_authz_peer_certificate', 'extAuthz', 'typed_config.include_peer_certificate', false],
  ['ext_authz_validate_mutations', 'extAuthz', 'typed_config.validate_mutations', undefined],
  [
    'ext_authz_mutations_dropped',
    'extAuthz',
    'typed_config.decoder_header_mutation_rules',
    { disallow_expression: { regex: '.*' } },
  ],
  ['ext_authz_clear_route_cache', 'extAuthz', 'typed_config.clear_route_cache', true],
  ['ext_authz_clear_route_cache', 'extAuthz', 'typed_config.clear_route_cache_headers', ['x']],
  [
    'ext_authz_route_disabled',
    'admissionRoute',
    'typed_per_filter_config',
    extAuthzRoute({ disabled: true }),
  ],
  [
    'ext_authz_route_service',
    'admissionRoute',
    'typed_per_filter_config',
    extAuthzRoute({ check_settings: { grpc_service: { envoy_grpc: { cluster_name: 'other' } } } }),
  ],
  [
    'ext_authz_route_body',
    'admissionRoute',
    'typed_per_filter_config',
    extAuthzRoute({ check_settings: { disable_request_body_buffering: true } }),
  ],

  ['ext_proc_failure_mode_allow', 'extProc', 'typed_config.failure_mode_allow', true],
  ['ext_proc_observability_mode', 'extProc', 'typed_config.observability_mode', true],
  ['ext_proc_request_headers_skipped', 'extProc', 'typed_config.processing_mode.request_header_mode', 'SKIP'],
  ['ext_proc_immediate_response_disabled', 'extProc', 'typed_config.disable_immediate_response', true],
  ['ext_proc_mode_override', 'extProc', 'typed_config.allowed_override_modes', undefined],
  ['ext_proc_mode_override', 'extProc', 'typed_config.allowed_override_modes', [{}]],
  [
    'ext_proc_mode_override',
    'extProc',
    'typed_config.allowed_override_modes.0.request_body_mode',
    'STREAMED',
  ],
  ['ext_proc_mode_override', 'extProc', 'typed_config.allowed_override_modes.0.response_header_mode', 'SKIP'],
  ['ext_proc_status_on_error', 'extProc', 'typed_config.status_on_error.code', 'Found'],
  ['ext_proc_message_timeout', 'extProc', 'typed_config.message_timeout', '0s'],
  ['ext_proc_message_timeout', 'extProc', 'typed_config.message_timeout', '0.1s'],
  [
    'ext_proc_peer_certificate',
    'extProc',
    'typed_config.request_attributes',
    ['connection.peer_certificate_valid'],
  ],
  [
    'ext_proc_peer_certificate_valid',
    'extProc',
    'typed_config.request_attributes',
    ['connection.peer_certificate'],
  ],
  ['ext_proc_hidden_headers', 'extProc', 'typed_config.forward_rules', { disallowed_headers: {} }],
  ['ext_proc_message_rewritten', 'extProc', 'typed_config.on_processing_response', { name: 'x' }],
  ['ext_proc_mutations_dropped', 'extProc', 'typed_config.mutation_rules.disallow_all', true],
  ['ext_proc_routing_mutations', 'extProc', 'typed_config.mutation_rules.allow_all_routing', true],
  ['ext_proc_routing_mutations', 'extProc', 'typed_config.mutation_rules.allow_envoy', true],
  ['ext_proc_route_cache_cleared', 'extProc', 'typed_config.route_cache_action', 'CLEAR'],
  [
    'ext_proc_route_failure_mode_allow',
    'grpcRoute',
    'typed_per_filter_config',
    extProcOverride({ failure_mode_allow: true }),
  ],
  ['ext_proc_route_service', 'grpcRoute', 'typed_per_filter_config', extProcOverride({ grpc_service: {} })],
  [
    'ext_proc_route_attributes',
    'grpcRoute',
    'typed_per_filter_config',
    extProcOverride({ request_attributes: ['source.address'] }),
  ],
  [
    'ext_proc_request_headers_skipped',
    'grpcRoute',
    'typed_per_filter_config',
    extProcOverride({ processing_mode: { request_header_mode: 'SKIP' } }),
  ],
  [
    'ext_proc_response_headers_skipped',
    'grpcRoute',
    'typed_per_filter_config',
    extProcOverride({ processing_mode: { response_header_mode: 'SKIP' } }),
  ],
  // Each route has a filter of its own: without that of HTTP nobody decides there.
  ['ext_proc_route_disabled', 'manager', 'http_filters', (old) => (old as JsonValue[]).slice(1)],
  [
    'ext_proc_response_headers_skipped',
    'extProc',
    'typed_config.processing_mode.response_header_mode',
    'SKIP',
  ],
  [
    'ext_proc_response_trailers_skipped',
    'extProc',
    'typed_config.processing_mode.response_trailer_mode',
    'SKIP',
  ],
  [
    'ext_proc_response_body_skipped',
    'grpcExtProc',
    'typed_config.processing_mode.response_body_mode',
    'NONE',
  ],

  [
    'filter_disabled',
    'admissionManager',
    'http_filters',
    before({
      name: 'second',
      disabled: true,
      typed_config: extension('filters.http.ext_authz.v3.ExtAuthz', goodExtAuthz()),
    }),
  ],
  ['filter_optional', 'extAuthz', 'is_optional', true],
  [
    'filter_unknown',
    'manager',
    'http_filters',
    before({ name: 'new', typed_config: extension('filters.http.new.v3.New') }),
  ],
  ['filter_unknown', 'manager', 'http_filters', before({ name: 'elsewhere', config_discovery: {} })],
  [
    'filter_unknown',
    'manager',
    'http_filters',
    before({ name: 'wrapped', typed_config: { '@type': 'type.googleapis.com/xds.type.v3.TypedStruct' } }),
  ],
  ['filter_answers_before', 'manager', 'http_filters', before(filter('cache.v3.CacheConfig'))],
  ['filter_changes_before', 'manager', 'http_filters', before(filter('lua.v3.Lua'))],
  [
    'filter_changes_before',
    'manager',
    'http_filters',
    before(
      filter('ext_proc.v3.ExternalProcessor', {
        grpc_service: { envoy_grpc: { cluster_name: 'other' } },
        failure_mode_allow: true,
      }),
    ),
  ],
  ['filter_changes_behind', 'manager', 'http_filters', behind(filter('lua.v3.Lua'))],
  ['filter_changes_behind', 'manager', 'http_filters', behind(filter('cache.v3.CacheConfig'))],
  [
    'upstream_filter_changes',
    'modelCluster',
    'typed_extension_protocol_options.options',
    extension('upstreams.http.v3.HttpProtocolOptions', {
      http_filters: [filter('header_mutation.v3.HeaderMutation')],
    }),
  ],
  ['jwt_unverified', 'manager', 'http_filters', jwt(jwtProvider, { extract_only_without_validation: {} })],
  [
    'jwt_optional',
    'manager',
    'http_filters',
    jwt(jwtProvider, {
      requires_any: { requirements: [{ provider_name: 'p' }, { allow_missing_or_failed: {} }] },
    }),
  ],
  ['jwt_optional', 'manager', 'http_filters', jwt(jwtProvider, { allow_missing: {} })],
  ['jwt_preflight', 'manager', 'http_filters', jwt(jwtProvider, undefined, { bypass_cors_preflight: true })],
  [
    'jwt_route_disabled',
    'admissionRoute',
    'typed_per_filter_config',
    { jwt: extension('filters.http.jwt_authn.v3.PerRouteConfig', { disabled: true }) },
  ],
  ['jwt_no_issuer', 'manager', 'http_filters', jwt(without('issuer'))],
  ['jwt_no_audiences', 'manager', 'http_filters', jwt(without('audiences'))],
  ['jwt_no_expiration', 'manager', 'http_filters', jwt(without('require_expiration'))],

  ['unguarded_listener', 'manager', 'http_filters', (old) => (old as JsonValue[]).slice(-1)],
  ['unguarded_listener', 'manager', 'http_filters', (old) => (old as JsonValue[]).toReversed()],
  ['unguarded_listener', 'extAuthz', 'typed_config.grpc_service.envoy_grpc.cluster_name', 'other'],
  [
    'unguarded_listener',
    'chain',
    'filters',
    [
      {
        name: 'tcp',
        typed_config: extension('filters.network.tcp_proxy.v3.TcpProxy', { cluster: 'model_server_http' }),
      },
    ],
  ],
  ['plain_text_listener', 'chain', 'transport_socket', undefined],
  [
    'plain_text_listener',
    'chain',
    'transport_socket.typed_config',
    extension('transport_sockets.raw_buffer.v3.RawBuffer'),
  ],
  [
    'plain_text_listener',
    'chain',
    'transport_socket.typed_config',
    extension('transport_sockets.starttls.v3.StartTlsConfig'),
  ],
  [
    'transport_unknown',
    'chain',
    'transport_socket.typed_config',
    extension('transport_sockets.alts.v3.Alts'),
  ],
  [
    'network_filter_unknown',
    'chain',
    'filters',
    before({ name: 'w', typed_config: extension('filters.network.wasm.v3.Wasm') }),
  ],
  [
    'source_address_claimed',
    'listener',
    'listener_filters',
    [{ name: 'pp', typed_config: extension('filters.listener.proxy_protocol.v3.ProxyProtocol') }],
  ],
  [
    'agent_cluster_in_clear',
    'agentCluster',
    'load_assignment.endpoints.0.lb_endpoints.0.endpoint.address',
    { socket_address: { address: '10.1.2.3', port_value: 15010 } },
  ],

  ['tls_client_certificate_optional', 'tls', 'require_client_certificate', undefined],
  ['tls_client_certificate_optional', 'tls', 'require_client_certificate', false],
  ['tls_no_validation', 'tls', 'common_tls_context.validation_context', undefined],
  ['tls_no_validation', 'tls', 'common_tls_context.validation_context', {}],
  [
    'tls_no_validation',
    'tls',
    'common_tls_context.validation_context',
    { trust_chain_verification: 'VERIFY_TRUST_CHAIN' },
  ],
  ['tls_no_identity', 'tls', 'common_tls_context.validation_context', { trusted_ca: { filename: 'ca.pem' } }],
  [
    'tls_other_validator',
    'tls',
    'common_tls_context.validation_context.custom_validator_config.typed_config',
    extension('transport_sockets.tls.cert_validators.dynamic_modules.v3.DynamicModuleCertValidatorConfig'),
  ],
  ['tls_system_roots', 'tls', 'common_tls_context.validation_context.system_root_certs', {}],
  [
    'tls_accept_untrusted',
    'tls',
    'common_tls_context.validation_context.trust_chain_verification',
    'ACCEPT_UNTRUSTED',
  ],
  [
    'tls_expired_certificates',
    'tls',
    'common_tls_context.validation_context.allow_expired_certificate',
    true,
  ],
  ['tls_crl_leaf_only', 'tls', 'common_tls_context.validation_context.only_verify_leaf_cert_crl', true],
  [
    'tls_crl_of_some_cas',
    'tls',
    'common_tls_context.validation_context',
    (old) => ({
      ...(old as JsonObject),
      trusted_ca: { inline_string: pem('CERTIFICATE').repeat(2) },
      crl: { inline_bytes: Buffer.from(pem('X509 CRL')).toString('base64') },
    }),
  ],
  ['tls_stateless_resumption', 'tls', 'disable_stateless_session_resumption', false],
  ['tls_stateful_resumption', 'tls', 'disable_stateful_session_resumption', undefined],
  ['tls_session_timeout', 'tls', 'session_timeout', '3600s'],
  ['tls_session_ticket_keys', 'tls', 'session_ticket_keys', { keys: [{ filename: 'keys' }] }],
  ['tls_old_version', 'tls', 'common_tls_context.tls_params.tls_minimum_protocol_version', 'TLSv1_1'],
  ['tls_no_new_version', 'tls', 'common_tls_context.tls_params.tls_maximum_protocol_version', 'TLSv1_2'],
  ['tls_key_log', 'tls', 'common_tls_context.key_log', { path: '/tmp/keys' }],
  [
    'private_key_in_clear',
    'tls',
    'common_tls_context.tls_certificates.0.private_key',
    { inline_string: pem('PRIVATE KEY') },
  ],
  [
    'private_key_in_clear',
    'tls',
    'common_tls_context.tls_certificates.0.private_key',
    { inline_bytes: Buffer.from('not redacted').toString('base64') },
  ],

  ['xfcc_forwarded', 'manager', 'forward_client_cert_details', 'APPEND_FORWARD'],
  ['xfcc_forwarded', 'manager', 'forward_client_cert_details', 'FORWARD_ONLY'],
  ['xfcc_forwarded', 'manager', 'forward_client_cert_details', 'ALWAYS_FORWARD_ONLY'],
  ['xfcc_forwarded', 'manager', 'forward_client_cert_details', 1],
  ['xfcc_by_request', 'manager', 'forward_client_cert_matcher', {}],
  ['path_not_normalized', 'manager', 'normalize_path', undefined],
  ['slashes_not_merged', 'manager', 'merge_slashes', false],
  ['escaped_slashes', 'manager', 'path_with_escaped_slashes_action', 'KEEP_UNCHANGED'],
  ['escaped_slashes', 'manager', 'path_with_escaped_slashes_action', undefined],
  [
    'underscores_in_headers',
    'manager',
    'common_http_protocol_options.headers_with_underscores_action',
    undefined,
  ],
  ['host_trailing_dot', 'manager', 'strip_trailing_host_dot', false],
  ['host_port', 'manager', 'strip_any_host_port', undefined],
  ['remote_address', 'manager', 'use_remote_address', undefined],
  ['trusted_hops', 'manager', 'xff_num_trusted_hops', 1],
  ['trusted_hops', 'manager', 'original_ip_detection_extensions', [{ name: 'x' }]],
  [
    'internal_addresses',
    'manager',
    'internal_address_config',
    { cidr_ranges: [{ address_prefix: '10.0.0.0' }] },
  ],
  ['early_header_mutation', 'manager', 'early_header_mutation_extensions', [{ name: 'x' }]],
  ['connection_duration', 'manager', 'common_http_protocol_options.max_connection_duration', undefined],
  ['connection_duration', 'manager', 'common_http_protocol_options.max_connection_duration', '0s'],
  ['connection_duration', 'manager', 'common_http_protocol_options.max_connection_duration', '1801s'],
  ['upgrades', 'manager', 'upgrade_configs', [{ upgrade_type: 'websocket' }]],
  ['upgrades', 'manager', 'http2_protocol_options.allow_connect', true],
  ['local_reply_hides_refusals', 'manager', 'local_reply_config', { mappers: [{ status_code: 200 }] }],
  ['http_10', 'manager', 'http_protocol_options.accept_http_10', true],
  ['chunked_with_length', 'manager', 'http_protocol_options.allow_chunked_length', true],
  ['custom_methods', 'manager', 'http_protocol_options.allow_custom_methods', true],
  [
    'invalid_messages',
    'manager',
    'http2_protocol_options.override_stream_error_on_invalid_http_message',
    true,
  ],
  ['invalid_messages', 'manager', 'stream_error_on_invalid_http_message', true],
  ['http2_metadata', 'manager', 'http2_protocol_options.allow_metadata', true],

  [
    'route_filter_disabled',
    'admissionRoute',
    'typed_per_filter_config',
    { 'envoy.filters.http.ext_authz': type('config.route.v3.FilterConfig', { disabled: true }) },
  ],
  [
    'route_filter_unreadable',
    'admissionRoute',
    'typed_per_filter_config',
    { 'envoy.filters.http.ext_authz': type('extensions.filters.http.ext_authz.v4.New') },
  ],
  [
    'route_filter_unreadable',
    'admissionRoute',
    'typed_per_filter_config',
    {
      'envoy.filters.http.ext_authz': type('config.route.v3.FilterConfig', {
        config: type('extensions.filters.http.composite.v3.CompositePerRoute'),
      }),
    },
  ],
  [
    'ext_authz_route_disabled',
    'admissionRoute',
    'typed_per_filter_config',
    {
      'envoy.filters.http.ext_authz': type('config.route.v3.FilterConfig', {
        config: type('extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute', { disabled: true }),
      }),
    },
  ],
  ['route_by_header', 'admissionRoute', 'route', { cluster_header: 'x-where', timeout: '0s' }],
  ['path_rewritten', 'admissionRoute', 'route.prefix_rewrite', '/v2/models/other'],
  ['path_rewritten', 'admissionRoute', 'route.regex_rewrite', { pattern: { regex: 'a' } }],
  ['internal_redirects', 'admissionRoute', 'route.internal_redirect_policy', {}],
  ['requests_mirrored', 'admissionRoute', 'route.request_mirror_policies', [{ cluster: 'other' }]],
  ['route_upgrades', 'admissionRoute', 'route.upgrade_configs', [{ upgrade_type: 'CONNECT' }]],
  ['route_upgrades', 'admissionRoute', 'match', { connect_matcher: {} }],
  ['own_headers_added', 'admissionRoute', 'request_headers_to_add', own('X-Sluice-Tenant')],
  ['own_headers_added', 'admissionManager', 'route_config.request_headers_to_add', own('x-sluice-tenant')],
  ['own_headers_removed', 'admissionRoute', 'request_headers_to_remove', ['x-sluice-tenant']],

  ['admin_on_network', 'admin', 'address', { socket_address: { address: '0.0.0.0', port_value: 9901 } }],
  [
    'admin_on_network',
    'admin',
    'address',
    { socket_address: { address: '127.0.0.1.example', port_value: 9901 } },
  ],
  ['admin_on_tcp', 'admin', 'address', { socket_address: { address: '127.0.0.1', port_value: 9901 } }],
  ['admin_on_tcp', 'admin', 'address', { socket_address: { address: '::1', port_value: 9901 } }],
  ['admin_socket_mode', 'admin', 'address.pipe.mode', 0o666],
  [
    'runtime_features',
    'bootstrap',
    'layered_runtime',
    {
      layers: [
        { name: 'a', static_layer: { 'envoy.reloadable_features.no_extension_lookup_by_name': false } },
      ],
    },
  ],
  ['unknown_setting', 'extAuthz', 'typed_config.failureModeAllow', true],
  ['unknown_setting', 'tls', 'common_tls_context.custom_handshaker', {}],
  ['unknown_setting', 'bootstrap', 'new_in_envoy', {}],
]

/** Where limits need to see what calls cost. */
const measured = { limits: {}, resources: { dir: '.' }, policy: { bundle: 'policy.tar.gz' } }
const measuredGood = envoyConfig(agentConfig(folder.path, {}, measured))
const measuredExpected = expectationsOf(agentConfig(folder.path, {}, measured))
const measuredRows: readonly Row[] = [
  [
    'ext_proc_request_body_skipped',
    'grpcRoute',
    'typed_per_filter_config',
    extProcOverride({ processing_mode: { request_body_mode: 'NONE', response_body_mode: 'STREAMED' } }),
  ],
  [
    'ext_proc_answers_unmeasured',
    'grpcRoute',
    'typed_per_filter_config',
    extProcOverride({ processing_mode: { request_body_mode: 'STREAMED' } }),
  ],
  ['calls_tried_again', 'grpcRoute', 'route.retry_policy', { retry_on: '5xx' }],
  ['calls_tried_again', 'grpcRoute', 'route.hedge_policy', { hedge_on_per_try_timeout: true }],
  ['ext_proc_mode_override', 'extProc', 'typed_config.allowed_override_modes.0.response_body_mode', 'NONE'],
]

function goodExtAuthz(): JsonObject {
  let found: unknown = good
  for (const key of parts.extAuthz.split('.')) found = (found as Record<string, unknown>)[key]
  const { '@type': _, ...config } = (found as Record<string, JsonObject>)['typed_config'] as JsonObject
  return config
}

t.test('what Sluice generates has no finding, as a bootstrap and as a dump', async (t) => {
  t.same(auditEnvoyConfig(good, expected), [])
  t.same(auditEnvoyConfig(dumpOf(good), expected), [])
  t.same(auditEnvoyConfig(good), [], 'nor where nothing is known of the agent')
  t.same(auditEnvoyConfig(measuredGood, measuredExpected), [])
  t.same(auditEnvoyConfig(dumpOf(measuredGood), measuredExpected), [])
})

t.test('one change breaks exactly one rule, in a bootstrap and in a dump', async (t) => {
  const all = [
    ...rows.map((row) => ({ row, from: good, needs: expected })),
    ...measuredRows.map((row) => ({ row, from: measuredGood, needs: measuredExpected })),
  ]
  for (const { row, from, needs } of all) {
    const [rule, part, way, change] = row
    const config = changed(from, [parts[part], way].filter((each) => each !== '').join('.'), change)
    for (const [form, document] of [
      ['bootstrap', config],
      ['dump', dumpOf(config)],
    ] as const) {
      const found = auditEnvoyConfig(document, needs)
      const name = `${rule}: ${part}.${way} (${form})`
      t.same([...new Set(found.map(({ id }) => id))], [rule], name)
      t.equal(found.length, 1, `${name}, told once`)
      t.match(found[0], { place: /./, setting: /./, why: /\.$/, fix: /\.$/, severity: /^(opens|weakens)$/ })
    }
  }
})

t.test('a switch that is off on every level around a route is off for it', async (t) => {
  const off = extension('filters.http.ext_proc.v3.ExtProcPerRoute', { disabled: true })
  const host = `${parts.manager}.route_config.virtual_hosts.0.typed_per_filter_config`
  const idsOf = (config: JsonObject) => auditEnvoyConfig(config, expected).map(({ id }) => id)
  const both = { 'envoy.filters.http.ext_proc': off, [grpcFilter]: off }
  t.same(
    idsOf(changed(good, `${parts.grpcRoute}.typed_per_filter_config`, both)),
    ['ext_proc_route_disabled', 'ext_proc_route_disabled'],
    'each of them',
  )
  t.same(idsOf(changed(good, host, { [grpcFilter]: off })), ['ext_proc_route_disabled'])
  t.same(idsOf(changed(good, host, { 'envoy.filters.http.other': off })), [])
})

t.test(
  'a filter that shows no answers and takes no modes from them is told, as is the one beside it',
  async (t) => {
    const silent = changed(measuredGood, `${parts.extProc}.typed_config.allow_mode_override`, false)
    const found = auditEnvoyConfig(silent, measuredExpected).map(({ id }) => id)
    t.same(found, ['ext_proc_answers_unmeasured', 'ext_proc_answers_unmeasured'])
    t.same(auditEnvoyConfig(silent), [], 'nobody else needs them')
  },
)

t.test('every rule has a row', async (t) => {
  // These need another form than a change of one value; forms.test.ts has them.
  const elsewhere = ['tls_validation_unseen', 'unreadable_configuration']
  const ids = auditAreas.flatMap(({ rules }) => rules.map(({ id }) => id))
  t.same([...new Set(ids)], ids, 'names are unique')
  const tested = new Set([...rows, ...measuredRows].map(([rule]) => rule))
  t.same(
    ids.filter((id) => !tested.has(id)),
    elsewhere,
  )
})

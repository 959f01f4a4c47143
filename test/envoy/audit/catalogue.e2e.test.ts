import t from 'tap'
import { httpFilterRole } from '#envoy/audit/filters.ts'
import { knownFields } from '#envoy/audit/known-fields.ts'
import { envoyBinary } from '../../harness/components.ts'
import { startEnvoy } from '../../harness/envoy.ts'
import { messageFields } from '../../harness/envoy-descriptors.ts'

const extensions = 'envoy.extensions.'
const tls = `${extensions}transport_sockets.tls.v3.`
const http = `${extensions}filters.http.`
const manager = `${extensions}filters.network.http_connection_manager.v3.`
const route = 'envoy.config.route.v3.'
const core = 'envoy.config.core.v3.'

/** The message of each kind, and its fields that are left out because nothing can be said for them. */
const messages: Readonly<Record<string, readonly [message: string, ...leftOut: string[]]>> = {
  bootstrap: ['envoy.config.bootstrap.v3.Bootstrap'],
  staticResources: ['envoy.config.bootstrap.v3.Bootstrap.StaticResources'],
  admin: ['envoy.config.bootstrap.v3.Admin'],
  listener: ['envoy.config.listener.v3.Listener', 'fcds_config', 'api_listener', 'deprecated_v1'],
  listenerFilter: ['envoy.config.listener.v3.ListenerFilter', 'config_discovery'],
  filterChain: ['envoy.config.listener.v3.FilterChain', 'use_proxy_proto'],
  networkFilter: ['envoy.config.listener.v3.Filter', 'config_discovery'],
  downstreamTls: [`${tls}DownstreamTlsContext`],
  commonTls: [
    `${tls}CommonTlsContext`,
    'custom_handshaker',
    'validation_context_certificate_provider',
    'validation_context_certificate_provider_instance',
  ],
  combinedValidation: [
    `${tls}CommonTlsContext.CombinedCertificateValidationContext`,
    'validation_context_certificate_provider',
    'validation_context_certificate_provider_instance',
  ],
  validationContext: [`${tls}CertificateValidationContext`, 'ca_certificate_provider_instance'],
  tlsParameters: [`${tls}TlsParameters`],
  spiffeValidator: [`${tls}SPIFFECertValidatorConfig`],
  httpConnectionManager: [
    `${manager}HttpConnectionManager`,
    'path_normalization_options',
    'typed_header_validation_config',
  ],
  httpFilter: [`${manager}HttpFilter`],
  httpOptions: [`${core}HttpProtocolOptions`],
  http1Options: [`${core}Http1ProtocolOptions`],
  http2Options: [`${core}Http2ProtocolOptions`],
  http3Options: [`${core}Http3ProtocolOptions`],
  extAuthz: [`${http}ext_authz.v3.ExtAuthz`],
  extAuthzPerRoute: [`${http}ext_authz.v3.ExtAuthzPerRoute`],
  checkSettings: [`${http}ext_authz.v3.CheckSettings`],
  extProc: [`${http}ext_proc.v3.ExternalProcessor`],
  extProcPerRoute: [`${http}ext_proc.v3.ExtProcPerRoute`],
  extProcOverrides: [`${http}ext_proc.v3.ExtProcOverrides`, 'async_mode'],
  processingMode: [`${http}ext_proc.v3.ProcessingMode`],
  jwtAuthn: [`${http}jwt_authn.v3.JwtAuthentication`],
  jwtProvider: [`${http}jwt_authn.v3.JwtProvider`],
  jwtPerRoute: [`${http}jwt_authn.v3.PerRouteConfig`],
  filterConfig: [`${route}FilterConfig`],
  routeConfiguration: [`${route}RouteConfiguration`, 'route_specifiers', 'vhost_header'],
  virtualHost: [`${route}VirtualHost`, 'route_specifiers'],
  route: [`${route}Route`, 'route_specifiers', 'filter_action'],
  routeAction: [`${route}RouteAction`, 'cluster_specifier_plugin', 'inline_cluster_specifier_plugin'],
  weightedClusters: [`${route}WeightedCluster`],
  clusterWeight: [`${route}WeightedCluster.ClusterWeight`],
}

const files = [
  ...[
    'bootstrap/v3/bootstrap',
    'core/v3/protocol',
    'listener/v3/listener',
    'listener/v3/listener_components',
  ],
  ...['route/v3/route', 'route/v3/route_components'],
].map((name) => `envoy/config/${name}.proto`)
const extensionFiles = [
  ...[
    'ext_authz/v3/ext_authz',
    'ext_proc/v3/ext_proc',
    'ext_proc/v3/processing_mode',
    'jwt_authn/v3/config',
  ].map((name) => `filters/http/${name}`),
  'filters/network/http_connection_manager/v3/http_connection_manager',
  ...['tls', 'common', 'tls_spiffe_validator_config'].map((name) => `transport_sockets/tls/v3/${name}`),
].map((name) => `envoy/extensions/${name}.proto`)

t.test('of every field that the real Envoy has it is known what it does, or it is a finding', async (t) => {
  const fields = messageFields(await envoyBinary(), [...files, ...extensionFiles])
  const known = new Map(Object.entries(knownFields))
  t.same([...known.keys()].sort(), Object.keys(messages).sort(), 'every kind has its message')
  for (const [kind, [message, ...leftOut]] of Object.entries(messages))
    t.same([...(known.get(kind) ?? []), ...leftOut].sort(), [...(fields.get(message) ?? [])].sort(), message)
})

t.test('of every HTTP filter that the real Envoy has it is known what it does with requests', async (t) => {
  await using envoy = await startEnvoy({})
  const { configs } = JSON.parse(await envoy.admin('/config_dump'))
  const all: { category: string; name: string; type_urls?: string[] }[] = configs[0].bootstrap.node.extensions
  for (const category of ['envoy.filters.http', 'envoy.filters.http.upstream'])
    for (const { name, type_urls: types = [] } of all.filter((each) => each.category === category)) {
      // Older names of the same filters have no types.
      if (types.length === 0) continue
      const isKnown = types.some(
        (type) => httpFilterRole({ '@type': `type.googleapis.com/${type}` }) !== undefined,
      )
      t.ok(isKnown, `${name}: ${types}`)
    }
})

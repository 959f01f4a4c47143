import type { JsonObject } from '#base/json.ts'

/** What an object of Envoy's configuration is. */
export type Kind =
  | 'bootstrap'
  | 'staticResources'
  | 'admin'
  | 'layeredRuntime'
  | 'bootstrapDump'
  | 'listener'
  | 'listenerFilter'
  | 'filterChain'
  | 'networkFilter'
  | 'downstreamTls'
  | 'quicTransport'
  | 'commonTls'
  | 'combinedValidation'
  | 'validationContext'
  | 'tlsParameters'
  | 'spiffeValidator'
  | 'httpConnectionManager'
  | 'httpOptions'
  | 'http1Options'
  | 'http2Options'
  | 'http3Options'
  | 'scopedRoutes'
  | 'scopedRouteList'
  | 'scopedRoute'
  | 'httpFilter'
  | 'extAuthz'
  | 'extAuthzPerRoute'
  | 'checkSettings'
  | 'extProc'
  | 'extProcPerRoute'
  | 'extProcOverrides'
  | 'processingMode'
  | 'filterConfig'
  | 'jwtAuthn'
  | 'jwtProviders'
  | 'jwtProvider'
  | 'jwtPerRoute'
  | 'routeConfiguration'
  | 'virtualHost'
  | 'route'
  | 'routeAction'
  | 'weightedClusters'
  | 'clusterWeight'
  | 'overrides'
  | 'cluster'
  | 'upstreamHttpOptions'
  | 'upstreamFilter'
  | 'endpoints'
  | 'secret'
  | 'namedExtension'

const kindsByType: ReadonlyMap<string, Kind> = new Map([
  ['envoy.admin.v3.BootstrapConfigDump', 'bootstrapDump'],
  ['envoy.config.listener.v3.Listener', 'listener'],
  ['envoy.config.route.v3.RouteConfiguration', 'routeConfiguration'],
  ['envoy.config.route.v3.ScopedRouteConfiguration', 'scopedRoute'],
  ['envoy.config.route.v3.VirtualHost', 'virtualHost'],
  ['envoy.config.route.v3.Route', 'route'],
  ['envoy.config.route.v3.FilterConfig', 'filterConfig'],
  ['envoy.config.cluster.v3.Cluster', 'cluster'],
  ['envoy.config.endpoint.v3.ClusterLoadAssignment', 'endpoints'],
  ['envoy.config.core.v3.TypedExtensionConfig', 'namedExtension'],
  ['envoy.extensions.transport_sockets.tls.v3.Secret', 'secret'],
  ['envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', 'downstreamTls'],
  ['envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig', 'spiffeValidator'],
  ['envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport', 'quicTransport'],
  ['envoy.extensions.upstreams.http.v3.HttpProtocolOptions', 'upstreamHttpOptions'],
  [
    'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    'httpConnectionManager',
  ],
  ['envoy.extensions.filters.http.ext_authz.v3.ExtAuthz', 'extAuthz'],
  ['envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute', 'extAuthzPerRoute'],
  ['envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor', 'extProc'],
  ['envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute', 'extProcPerRoute'],
  ['envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', 'jwtAuthn'],
  ['envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig', 'jwtPerRoute'],
])

const routeScope = { typed_per_filter_config: 'overrides' } as const

/** What the fields of an object are, where they carry no type of their own. */
const kindsByField: Readonly<Partial<Record<Kind, Readonly<Record<string, Kind>>>>> = {
  bootstrapDump: { bootstrap: 'bootstrap' },
  bootstrap: { admin: 'admin', layered_runtime: 'layeredRuntime', static_resources: 'staticResources' },
  staticResources: { listeners: 'listener', clusters: 'cluster', secrets: 'secret' },
  listener: {
    filter_chains: 'filterChain',
    default_filter_chain: 'filterChain',
    listener_filters: 'listenerFilter',
  },
  filterChain: { filters: 'networkFilter' },
  quicTransport: { downstream_tls_context: 'downstreamTls' },
  downstreamTls: { common_tls_context: 'commonTls' },
  commonTls: {
    tls_params: 'tlsParameters',
    validation_context: 'validationContext',
    combined_validation_context: 'combinedValidation',
  },
  combinedValidation: { default_validation_context: 'validationContext' },
  httpConnectionManager: {
    http_filters: 'httpFilter',
    route_config: 'routeConfiguration',
    scoped_routes: 'scopedRoutes',
    common_http_protocol_options: 'httpOptions',
    http_protocol_options: 'http1Options',
    http2_protocol_options: 'http2Options',
    http3_protocol_options: 'http3Options',
  },
  scopedRoutes: { scoped_route_configurations_list: 'scopedRouteList' },
  scopedRouteList: { scoped_route_configurations: 'scopedRoute' },
  scopedRoute: { route_configuration: 'routeConfiguration' },
  extAuthzPerRoute: { check_settings: 'checkSettings' },
  extProc: { processing_mode: 'processingMode' },
  extProcPerRoute: { overrides: 'extProcOverrides' },
  extProcOverrides: { processing_mode: 'processingMode' },
  jwtAuthn: { providers: 'jwtProviders' },
  routeConfiguration: { virtual_hosts: 'virtualHost', ...routeScope },
  virtualHost: { routes: 'route', ...routeScope },
  route: { route: 'routeAction', ...routeScope },
  routeAction: { weighted_clusters: 'weightedClusters' },
  weightedClusters: { clusters: 'clusterWeight' },
  clusterWeight: routeScope,
  cluster: { load_assignment: 'endpoints' },
  upstreamHttpOptions: { http_filters: 'upstreamFilter' },
}

const prefix = 'type.googleapis.com/'

/** The full name of the message an object says it is, without what stands before the slash. */
export function typeOf(object: unknown): string | undefined {
  const type = typeof object === 'object' && object !== null && (object as JsonObject)['@type']
  if (typeof type !== 'string') return undefined
  return type.startsWith(prefix) ? type.slice(prefix.length) : type
}

/** What an object is: by the type it carries, or by the field it stands in. */
export function kindOf(object: JsonObject, parent: Kind | undefined, field: string): Kind | undefined {
  const type = typeOf(object)
  if (type !== undefined) return kindsByType.get(type)
  if (parent === undefined) return undefined
  // A map of providers by name.
  if (parent === 'jwtProviders') return 'jwtProvider'
  const fields = kindsByField[parent]
  return fields !== undefined && Object.hasOwn(fields, field) ? fields[field] : undefined
}

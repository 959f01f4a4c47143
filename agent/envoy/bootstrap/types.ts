import type { JsonObject } from '#base/json.ts'

const prefix = 'type.googleapis.com/'

/** Type URLs of Envoy's extensions, by the names used here. */
export const typeUrls = {
  httpConnectionManager: `${prefix}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
  extProc: `${prefix}envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor`,
  extProcPerRoute: `${prefix}envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute`,
  extAuthz: `${prefix}envoy.extensions.filters.http.ext_authz.v3.ExtAuthz`,
  router: `${prefix}envoy.extensions.filters.http.router.v3.Router`,
  downstreamTls: `${prefix}envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext`,
  spiffeValidator: `${prefix}envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig`,
  httpProtocolOptions: `${prefix}envoy.extensions.upstreams.http.v3.HttpProtocolOptions`,
} as const

export function typed(name: string, type: keyof typeof typeUrls, config: JsonObject): JsonObject {
  return { name, typed_config: { '@type': typeUrls[type], ...config } }
}

export function milliseconds(ms: number): string {
  return `${ms / 1000}s`
}

import type { JsonObject } from '#base/json.ts'
import { typed } from '#envoy/bootstrap/types.ts'

const toUpstream: readonly JsonObject[] = [{ match: { prefix: '/' }, route: { cluster: 'upstream' } }]

/** A plain HTTP listener on the loopback address with one filter before the router. */
export function plainListener(options: {
  readonly name: string
  readonly port: number
  readonly filter: JsonObject
  /** By default everything goes to the cluster `upstream`. */
  readonly routes?: readonly JsonObject[]
  /** More of the route configuration. */
  readonly routeConfig?: JsonObject
  /** More of the listener. */
  readonly listener?: JsonObject
}): JsonObject {
  const { name, port, filter, routes = toUpstream, routeConfig, listener } = options
  const manager = typed('hcm', 'httpConnectionManager', {
    stat_prefix: name,
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }], ...routeConfig },
    http_filters: [filter, typed('router', 'router', {})],
  })
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    ...listener,
    filter_chains: [{ filters: [manager] }],
  }
}

/** ext_authz asked of the cluster of that name. */
export function extAuthzFilter(cluster: string, more: JsonObject = {}): JsonObject {
  return typed('envoy.filters.http.ext_authz', 'extAuthz', {
    transport_api_version: 'V3',
    grpc_service: { envoy_grpc: { cluster_name: cluster }, timeout: '20s' },
    ...more,
  })
}

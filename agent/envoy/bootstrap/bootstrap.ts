import { splitHostPort } from '#base/address.ts'
import { SluiceError } from '#base/errors.ts'
import type { JsonObject } from '#base/json.ts'
import type { Config } from '#config/config.ts'
import { cluster } from './cluster.ts'
import { maxConnectionSeconds } from './downstream-tls.ts'
import { agentCluster, areBodiesShown, extAuthzFilter, pipelineFilters, routeOverrides } from './filters.ts'
import { listener } from './listener.ts'

/**
 * A complete bootstrap for Envoy 1.40: an mTLS listener that asks the agent over ext_proc, one over ext_authz where it is
 * wanted, the model server behind them, and nothing that lets a request pass undecided. Without files of certificates it
 * takes those that the agent serves.
 *
 * @throws SluiceError when the configuration has no `envoy` section.
 */
export function envoyConfig(config: Config): JsonObject {
  const { envoy } = config
  if (envoy === undefined) {
    throw new SluiceError({
      code: 'envoy_section_missing',
      place: 'envoy',
      found: 'nothing',
      expected: 'listeners, TLS files and upstreams',
    })
  }
  const { tls, upstream, messageTimeoutMs, policyBodyBytes } = envoy
  const common = {
    tls,
    maxConnectionSeconds: maxConnectionSeconds(config),
    hasTrustedForwarders: (config.identity?.trustedForwarders.length ?? 0) > 0,
  }
  const main = listener({
    ...common,
    name: 'main',
    address: envoy.main,
    filters: pipelineFilters(config, messageTimeoutMs),
    areBodiesShown: areBodiesShown(config),
    overrides: routeOverrides(config),
  })
  const admission =
    envoy.admission === undefined
      ? []
      : [
          listener({
            ...common,
            name: 'admission',
            address: envoy.admission,
            filters: [extAuthzFilter(messageTimeoutMs, policyBodyBytes)],
          }),
        ]
  return {
    // Whoever asks for secrets says who it is.
    ...(tls === undefined && { node: { id: 'sluice', cluster: 'sluice' } }),
    ...(envoy.admin !== undefined && { admin: { address: adminAddress(envoy.admin) } }),
    static_resources: {
      listeners: [main, ...admission],
      clusters: [
        cluster({ name: agentCluster, address: config.listen.agent, isHttp2: true }),
        cluster({ name: 'model_server_http', address: upstream.http, isHttp2: false }),
        cluster({ name: 'model_server_grpc', address: upstream.grpc, isHttp2: true }),
      ],
    },
  }
}

function adminAddress(address: string): JsonObject {
  if (address.startsWith('unix:')) return { pipe: { path: address.slice('unix:'.length), mode: 0o660 } }
  const { host, port } = splitHostPort(address)
  return { socket_address: { address: host, port_value: port } }
}

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject, JsonValue } from '#base/json.ts'
import { type Config, loadConfig } from '#config/config.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'

/** A configuration of the agent that asks everything of its Envoy, with files and sockets in `folder`. */
export function agentConfig(folder: string, envoy: object = {}, more: object = {}): Config {
  const path = join(folder, 'sluice.yaml')
  const config = {
    listen: { agent: `unix:${folder}/agent.sock` },
    policy: { bundle: 'policy.tar.gz', response: { body: 'json' } },
    envoy: {
      main: '0.0.0.0:8443',
      admission: '0.0.0.0:8444',
      admin: `unix:${folder}/admin.sock`,
      tls: { certificate: 'tls.pem', privateKey: 'tls.key', trustBundles: { 'example.org': 'ca.pem' } },
      upstream: { http: '127.0.0.1:8000', grpc: 'localhost:8001' },
      ...envoy,
    },
    ...more,
  }
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(config))
  return loadConfig(path)
}

export const goodBootstrap = (folder: string): JsonObject => envoyConfig(agentConfig(folder))

/** Where the parts of a generated bootstrap are. `main` is first, `admission` second; the plain route is the last. */
export const parts = {
  bootstrap: '',
  admin: 'admin',
  listener: 'static_resources.listeners.0',
  chain: 'static_resources.listeners.0.filter_chains.0',
  tls: 'static_resources.listeners.0.filter_chains.0.transport_socket.typed_config',
  manager: 'static_resources.listeners.0.filter_chains.0.filters.0.typed_config',
  extProc: 'static_resources.listeners.0.filter_chains.0.filters.0.typed_config.http_filters.0',
  grpcExtProc: 'static_resources.listeners.0.filter_chains.0.filters.0.typed_config.http_filters.1',
  grpcRoute:
    'static_resources.listeners.0.filter_chains.0.filters.0.typed_config.route_config.virtual_hosts.0.routes.0',
  admissionManager: 'static_resources.listeners.1.filter_chains.0.filters.0.typed_config',
  extAuthz: 'static_resources.listeners.1.filter_chains.0.filters.0.typed_config.http_filters.0',
  admissionRoute:
    'static_resources.listeners.1.filter_chains.0.filters.0.typed_config.route_config.virtual_hosts.0.routes.1',
  agentCluster: 'static_resources.clusters.0',
  modelCluster: 'static_resources.clusters.1',
} as const

export type Part = keyof typeof parts

/** A copy with one value changed: `undefined` removes it, a function is given what was there. */
export function changed(
  config: JsonObject,
  way: string,
  value: JsonValue | undefined | ((old: JsonValue | undefined) => JsonValue | undefined),
): JsonObject {
  // Not structuredClone: routes share objects, which would be changed together.
  const copy = JSON.parse(JSON.stringify(config)) as JsonObject
  const keys = way.split('.').filter((key) => key !== '')
  const last = keys.pop() as string
  let owner = copy as Record<string, unknown>
  for (const key of keys) {
    owner[key] ??= {}
    owner = owner[key] as Record<string, unknown>
  }
  const next = typeof value === 'function' ? value(owner[last] as JsonValue | undefined) : value
  if (next === undefined) delete owner[last]
  else owner[last] = next
  return copy
}

/** What `/config_dump` shows of a bootstrap, by the form that a real Envoy has; see live.e2e.test.ts for the real one. */
export function dumpOf(bootstrap: JsonObject): { readonly configs: readonly JsonObject[] } {
  const { static_resources: resources } = bootstrap as { static_resources: Record<string, JsonObject[]> }
  const admin = (name: string, content: JsonObject) => ({
    '@type': `type.googleapis.com/envoy.admin.v3.${name}`,
    ...content,
  })
  const typed = (type: string, objects: readonly JsonObject[] = []) =>
    objects.map((object) => ({ '@type': `type.googleapis.com/envoy.config.${type}`, ...object }))
  const routes = (resources['listeners'] ?? []).flatMap((listener) => {
    const chains = listener['filter_chains'] as readonly JsonObject[]
    return chains.flatMap((chain) =>
      (chain['filters'] as JsonObject[]).flatMap((filter) => {
        const config = (filter['typed_config'] as JsonObject)['route_config'] as JsonObject | undefined
        return config === undefined ? [] : [config]
      }),
    )
  })
  return {
    configs: [
      admin('BootstrapConfigDump', { bootstrap }),
      admin('ClustersConfigDump', {
        static_clusters: typed('cluster.v3.Cluster', resources['clusters']).map((cluster) => ({ cluster })),
      }),
      admin('ListenersConfigDump', {
        static_listeners: typed('listener.v3.Listener', resources['listeners']).map((listener) => ({
          listener,
        })),
      }),
      admin('ScopedRoutesConfigDump', {}),
      admin('RoutesConfigDump', {
        static_route_configs: typed('route.v3.RouteConfiguration', routes).map((route_config) => ({
          route_config,
        })),
      }),
      admin('SecretsConfigDump', {}),
    ],
  }
}

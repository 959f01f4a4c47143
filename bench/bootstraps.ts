import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '#base/json.ts'
import { loadConfig } from '#config/config.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { typed, typeUrls } from '#envoy/bootstrap/types.ts'
import { temporaryFolder } from '../test/harness/temp.ts'
import type { Ports } from './behind-envoy.ts'
import { type Pki, trustDomain } from './scene.ts'

/** More than any body that is sent. */
const maxBodyBytes = 64 << 20
/** Envoy's patience: figures show what is slow, a busy machine must not end the benchmark. */
const messageTimeoutMs = 10_000

/**
 * Plain HTTP and an answer from Envoy itself, with ext_authz before it where there is a decider. The filter is the least
 * that every peer understands.
 */
export function plainEnvoy({ port }: Ports, decider: string | undefined): JsonObject {
  const filter = typed('envoy.filters.http.ext_authz', 'extAuthz', {
    transport_api_version: 'V3',
    grpc_service: { envoy_grpc: { cluster_name: 'decider' }, timeout: `${messageTimeoutMs / 1000}s` },
  })
  return {
    static_resources: {
      listeners: [answering('bench', port, decider === undefined ? [] : [filter])],
      clusters: decider === undefined ? [] : [cluster({ name: 'decider', address: decider, isHttp2: true })],
    },
  }
}

/**
 * What `sluice envoy config` generates, in front of a model server that is one more listener of the same Envoy. Without a
 * PKI the TLS is taken off.
 */
export function generatedEnvoy(
  { port, upstreamPort, sparePort }: Ports,
  options: {
    readonly decider: string
    /** Which of the generated listeners is asked. */
    readonly measured: 'main' | 'admission'
    readonly pki?: Pki
  },
): JsonObject {
  const { decider, measured, pki } = options
  const upstream = `127.0.0.1:${upstreamPort}`
  const noFiles = { certificate: 'none', privateKey: 'none', trustBundles: {} }
  using folder = temporaryFolder()
  const path = join(folder.path, 'sluice.yaml')
  const config = {
    listen: { agent: decider },
    ...(pki && { identity: { trustDomains: [trustDomain] } }),
    envoy: {
      main: `127.0.0.1:${measured === 'main' ? port : sparePort}`,
      admission: `127.0.0.1:${measured === 'main' ? sparePort : port}`,
      tls: pki?.files ?? noFiles,
      upstream: { http: upstream, grpc: upstream },
      messageTimeoutMs,
    },
  }
  // JSON is YAML.
  writeFileSync(path, JSON.stringify(config))
  const generated = envoyConfig(loadConfig(path)) as {
    readonly static_resources: { readonly listeners: readonly Listener[] } & JsonObject
  }
  const { static_resources: resources } = generated
  const listeners = pki === undefined ? resources.listeners.map(withoutTls) : resources.listeners
  return {
    static_resources: { ...resources, listeners: [...listeners, answering('upstream', upstreamPort, [])] },
  }
}

/** The rate limit filter in front of one more listener of the same Envoy: it asks only about what is forwarded. */
export function rateLimitedEnvoy(
  { port, upstreamPort }: Ports,
  options: { readonly decider: string; readonly domain: string },
): JsonObject {
  const filter = {
    name: 'envoy.filters.http.ratelimit',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit',
      domain: options.domain,
      failure_mode_deny: true,
      timeout: `${messageTimeoutMs / 1000}s`,
      rate_limit_service: {
        transport_api_version: 'V3',
        grpc_service: { envoy_grpc: { cluster_name: 'decider' }, timeout: `${messageTimeoutMs / 1000}s` },
      },
    },
  }
  const header = (name: string) => ({ request_headers: { header_name: `x-${name}`, descriptor_key: name } })
  const rateLimits = [{ actions: [header('tenant')] }, { actions: [header('tenant'), header('model')] }]
  const routes = [{ match: { prefix: '/' }, route: { cluster: 'upstream', rate_limits: rateLimits } }]
  return {
    static_resources: {
      listeners: [listenerOf('bench', port, routes, [filter]), answering('upstream', upstreamPort, [])],
      clusters: [
        cluster({ name: 'decider', address: options.decider, isHttp2: true }),
        cluster({ name: 'upstream', address: `127.0.0.1:${upstreamPort}`, isHttp2: false }),
      ],
    },
  }
}

interface Listener extends JsonObject {
  readonly filter_chains: readonly JsonObject[]
}

function withoutTls(listener: Listener): JsonObject {
  const chains = listener.filter_chains.map(({ transport_socket: _, ...chain }) => chain)
  return { ...listener, filter_chains: chains }
}

/** Reads each request to its end and answers 200, a gRPC call with OK and no message. */
function answering(name: string, port: number, filters: readonly JsonObject[]): JsonObject {
  const grpcOk = {
    header: { key: 'grpc-status', value: '0' },
    append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
  }
  const buffer = {
    name: 'envoy.filters.http.buffer',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer',
      max_request_bytes: maxBodyBytes,
    },
  }
  const routes = [
    {
      match: { prefix: '/', grpc: {} },
      direct_response: { status: 200 },
      response_headers_to_add: [grpcOk],
    },
    { match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'ok' } } },
  ]
  return listenerOf(name, port, routes, [...filters, buffer])
}

function listenerOf(
  name: string,
  port: number,
  routes: readonly JsonObject[],
  filters: readonly JsonObject[],
): JsonObject {
  const manager = {
    '@type': typeUrls.httpConnectionManager,
    stat_prefix: name,
    codec_type: 'AUTO',
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [...filters, typed('envoy.filters.http.router', 'router', {})],
  }
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [
      { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
    ],
  }
}

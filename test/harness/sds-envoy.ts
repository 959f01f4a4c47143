import { join } from 'node:path'
import type { JsonObject } from '#base/json.ts'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { typed } from '#envoy/bootstrap/types.ts'
import { openSecretDiscovery, type SecretDiscovery } from '#envoy/sds/sds.ts'
import { startGrpcServer } from '#grpc/grpc.ts'
import type { Method } from '#grpc/service.ts'
import type { IdentitySource } from '#identity/source/source.ts'
import { createLogger } from '#telemetry/telemetry.ts'
import { type Envoy, startEnvoy } from './envoy.ts'
import { freePorts } from './ports.ts'

/** How Envoy asks: in the state-of-the-world form, or in the incremental one. */
export type SdsForm = 'GRPC' | 'DELTA_GRPC'

export interface SdsServer extends AsyncDisposable {
  readonly address: string
  readonly discovery: SecretDiscovery
  readonly logged: readonly string[]
}

/** Our secret discovery service alone on a socket. */
export async function startSds(options: {
  readonly folder: string
  readonly source: IdentitySource
  /** In the place of the real methods' way in and out, to see or change what passes. */
  readonly through?: (method: Method) => Method
}): Promise<SdsServer> {
  const { folder, source, through = (method) => method } = options
  await using opening = new AsyncDisposableStack()
  const logged: string[] = []
  const log = createLogger('debug', { write: (line: string) => void logged.push(line) })
  const discovery = opening.use(openSecretDiscovery({ source, log }))
  const address = `unix:${join(folder, 'sds.sock')}`
  opening.use(
    await startGrpcServer({
      listen: address,
      methods: discovery.methods.map(through),
      maxMessageBytes: 1 << 20,
      drainMs: 0,
      onHandlerFault: (cause) => void logged.push(String(cause)),
    }),
  )
  const owned = opening.move()
  return { address, discovery, logged, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

export interface SdsEnvoy extends AsyncDisposable {
  readonly port: number
  readonly envoy: Envoy
}

export interface SdsEnvoyOptions {
  readonly address: string
  readonly form?: SdsForm
  readonly certificate?: string
  readonly context?: string
  /** More of the DownstreamTlsContext. */
  readonly tls?: JsonObject
  readonly node?: JsonObject
  readonly filters?: readonly JsonObject[]
  readonly initialFetchTimeout?: string
  readonly isReady?: boolean
}

/** A secret by its name, asked of the cluster `sds`. */
export function secretConfig(name: string, form: SdsForm, initialFetchTimeout = '0s'): JsonObject {
  return {
    name,
    sds_config: {
      resource_api_version: 'V3',
      initial_fetch_timeout: initialFetchTimeout,
      api_config_source: {
        api_type: form,
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'sds' } }],
      },
    },
  }
}

/** The real Envoy with one mTLS listener that answers every request itself, its certificates from SDS. */
export async function startSdsEnvoy(options: SdsEnvoyOptions): Promise<SdsEnvoy> {
  const { form = 'GRPC', certificate = 'default', context = 'ALL', initialFetchTimeout } = options
  const [port] = (await freePorts(1)) as [number]
  const manager = typed('hcm', 'httpConnectionManager', {
    stat_prefix: 'main',
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            { match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'ok' } } },
          ],
        },
      ],
    },
    http_filters: [...(options.filters ?? []), typed('router', 'router', {})],
  })
  const envoy = await startEnvoy(
    {
      node: { id: 'test', cluster: 'test', ...options.node },
      static_resources: {
        clusters: [cluster({ name: 'sds', address: options.address, isHttp2: true })],
        listeners: [
          {
            name: 'main',
            address: { socket_address: { address: '127.0.0.1', port_value: port } },
            filter_chains: [
              {
                filters: [manager],
                transport_socket: typed('tls', 'downstreamTls', {
                  require_client_certificate: true,
                  disable_stateless_session_resumption: true,
                  disable_stateful_session_resumption: true,
                  common_tls_context: {
                    alpn_protocols: ['h2', 'http/1.1'],
                    tls_certificate_sds_secret_configs: [
                      secretConfig(certificate, form, initialFetchTimeout),
                    ],
                    validation_context_sds_secret_config: secretConfig(context, form, initialFetchTimeout),
                  },
                  ...options.tls,
                }),
              },
            ],
          },
        ],
      },
    },
    { ...(options.isReady === false && { untilReady: false }) },
  )
  return { port, envoy, [Symbol.asyncDispose]: () => envoy[Symbol.asyncDispose]() }
}

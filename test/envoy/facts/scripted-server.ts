import { join } from 'node:path'
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { JsonObject } from '#base/json.ts'
import { typed, typeUrls } from '#envoy/bootstrap/types.ts'
import {
  type CheckRequest,
  CheckRequestSchema,
  CheckResponseSchema,
} from '#gen/envoy/service/auth/v3/external_auth_pb.js'
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import { startGrpcServer } from '#grpc/grpc.ts'
import { type Envoy, startEnvoy } from '../../harness/envoy.ts'
import { freePorts } from '../../harness/ports.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { startUpstream, type Upstream } from '../../harness/upstream.ts'

type CheckAnswer = MessageInitShape<typeof CheckResponseSchema>
type ProcessAnswer = MessageInitShape<typeof ProcessingResponseSchema>

/** What a scripted ext_proc stream does with a message: answers, or ends the stream with OK. */
export type ProcessScript = (
  message: ProcessingRequest,
  stream: { send(answer: ProcessAnswer): void; close(): void },
) => void

export interface Bench extends AsyncDisposable {
  readonly port: number
  readonly envoy: Envoy
  readonly upstream: Upstream
  /** Everything Envoy sent over ext_proc. */
  readonly messages: ProcessingRequest[]
  /** How each ext_proc stream ended: `half-closed` first or not. */
  readonly endings: string[]
}

/** A real Envoy with the given filters, a scripted server behind them and a recording upstream. Plain text throughout. */
export async function startBench(options: {
  readonly authz?: (request: CheckRequest) => CheckAnswer | Promise<CheckAnswer>
  readonly process?: ProcessScript
  /** Settings of the filters over the smallest ones; one entry for each filter. */
  readonly filters: readonly { readonly kind: 'extAuthz' | 'extProc'; readonly settings?: JsonObject }[]
  readonly isHttp2?: boolean
  readonly perRoute?: JsonObject
  readonly clusterSettings?: JsonObject
  /** Of a server of the test's own, in place of the recording one. */
  readonly upstreamPort?: number
}): Promise<Bench> {
  await using opening = new AsyncDisposableStack()
  const { path: folder } = opening.use(temporaryFolder())
  const socket = join(folder, 'scripted.sock')
  const messages: ProcessingRequest[] = []
  const endings: string[] = []
  opening.use(
    await startGrpcServer({
      listen: `unix:${socket}`,
      maxMessageBytes: 64 << 20,
      drainMs: 100,
      methods: [
        {
          kind: 'unary',
          path: '/envoy.service.auth.v3.Authorization/Check',
          handle: async (bytes) => {
            const answer = await options.authz?.(fromBinary(CheckRequestSchema, bytes))
            return toBinary(CheckResponseSchema, create(CheckResponseSchema, answer ?? {}))
          },
        },
        {
          kind: 'stream',
          path: '/envoy.service.ext_proc.v3.ExternalProcessor/Process',
          open: (writer) => {
            let isHalfClosed = false
            return {
              message: (bytes) => {
                const message = fromBinary(ProcessingRequestSchema, bytes)
                messages.push(message)
                options.process?.(message, {
                  send: (answer) =>
                    writer.send(toBinary(ProcessingResponseSchema, create(ProcessingResponseSchema, answer))),
                  close: () => writer.close(),
                })
              },
              halfClosed: () => {
                isHalfClosed = true
              },
              ended: () => endings.push(isHalfClosed ? 'half-closed' : 'reset'),
            }
          },
        },
      ],
    }),
  )
  const upstream = opening.use(await startUpstream({ isHttp2: options.isHttp2 === true }))
  const [port] = (await freePorts(1)) as [number]
  const service = { envoy_grpc: { cluster_name: 'scripted' } }
  const filters = options.filters.map(({ kind, settings }, index) =>
    kind === 'extAuthz'
      ? typed('envoy.filters.http.ext_authz', kind, {
          transport_api_version: 'V3',
          grpc_service: { ...service, timeout: '20s' },
          ...settings,
        })
      : typed(index === 0 ? 'envoy.filters.http.ext_proc' : `envoy.filters.http.ext_proc.${index}`, kind, {
          grpc_service: service,
          message_timeout: '20s',
          ...settings,
        }),
  )
  const envoy = opening.use(
    await startEnvoy({
      static_resources: {
        listeners: [
          {
            name: 'facts',
            address: { socket_address: { address: '127.0.0.1', port_value: port } },
            filter_chains: [
              {
                filters: [
                  typed('hcm', 'httpConnectionManager', {
                    stat_prefix: 'facts',
                    http_filters: [...filters, typed('router', 'router', {})],
                    route_config: {
                      virtual_hosts: [
                        {
                          name: 'all',
                          domains: ['*'],
                          routes: [
                            {
                              match: { prefix: '/' },
                              route: { cluster: 'upstream', timeout: '0s' },
                              ...(options.perRoute && { typed_per_filter_config: options.perRoute }),
                            },
                          ],
                        },
                      ],
                    },
                  }),
                ],
              },
            ],
          },
        ],
        clusters: [
          cluster('scripted', { pipe: { path: socket } }, true, options.clusterSettings),
          cluster(
            'upstream',
            {
              socket_address: { address: '127.0.0.1', port_value: options.upstreamPort ?? upstream.port },
            },
            options.isHttp2 === true,
          ),
        ],
      },
    }),
  )
  const owned = opening.move()
  return { port, envoy, upstream, messages, endings, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function cluster(name: string, address: JsonObject, isHttp2: boolean, settings: JsonObject = {}): JsonObject {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': typeUrls.httpProtocolOptions,
        explicit_http_config: isHttp2 ? { http2_protocol_options: {} } : { http_protocol_options: {} },
      },
    },
    ...settings,
  }
}

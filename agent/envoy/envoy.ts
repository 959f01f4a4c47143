import type { Pipeline } from '#decision/pipeline.ts'
import { type GrpcServer, startGrpcServer } from '#grpc/grpc.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import { extAuthzMethod } from './ext-authz.ts'
import { extProcMethod } from './ext-proc.ts'
import { healthMethods } from './health.ts'
import { rateLimitMethod } from './rate-limit.ts'
import type { SecretDiscovery } from './sds/sds.ts'

/**
 * Answers Envoy on one socket: ext_authz and ext_proc from one pipeline, the rate limit service,
 * certificates and trust bundles, gRPC health.
 *
 * @throws SluiceError when `listen` cannot be bound.
 */
export function startEnvoyServer(options: {
  /** `unix:/path` or `host:port`. */
  readonly listen: string
  readonly transport?: 'sluice' | 'grpc-js'
  readonly pipeline: Pipeline
  readonly isReady: () => boolean
  readonly maxMessageBytes: number
  readonly firstMessageTimeoutMs: number
  /** Where rate limits are configured; otherwise the service is not there. */
  readonly rateLimit?: Omit<Parameters<typeof rateLimitMethod>[0], 'log'>
  /** Where the agent has identities to give; otherwise the service is not there. */
  readonly sds?: Pick<SecretDiscovery, 'methods'>
  readonly log: Logger
}): Promise<GrpcServer> {
  const { listen, maxMessageBytes, isReady, log } = options
  const methods = [
    extAuthzMethod(options),
    extProcMethod(options),
    ...(options.rateLimit ? [rateLimitMethod({ ...options.rateLimit, log })] : []),
    ...(options.sds?.methods ?? []),
  ]
  const services = methods.map(({ path }) => path.slice(1, path.lastIndexOf('/')))
  methods.push(...healthMethods(isReady, services))
  return startGrpcServer({
    listen,
    ...(options.transport && { transport: options.transport }),
    methods,
    maxMessageBytes,
    onHandlerFault: (cause) => log.error({ err: cause }, 'a call failed'),
    onWrongPeer: (protocol) =>
      log.warn(
        { protocol },
        'a peer that speaks no HTTP/2; its Envoy cluster needs http2_protocol_options, without TLS',
      ),
  })
}

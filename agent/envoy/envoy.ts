import type { Pipeline } from '#decision/pipeline.ts'
import { type GrpcServer, startGrpcServer } from '#grpc/grpc.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import { extAuthzMethod } from './ext-authz.ts'
import { extProcMethod } from './ext-proc.ts'
import { healthMethods } from './health.ts'

/**
 * Answers Envoy: ext_authz, ext_proc and gRPC health on one socket, all from one pipeline.
 *
 * @throws SluiceError when `listen` cannot be bound.
 */
export function startEnvoyServer(options: {
  /** `unix:/path` or `host:port`. */
  readonly listen: string
  readonly pipeline: Pipeline
  readonly isReady: () => boolean
  readonly maxMessageBytes: number
  readonly firstMessageTimeoutMs: number
  readonly log: Logger
}): Promise<GrpcServer> {
  const { listen, maxMessageBytes, isReady, log } = options
  const methods = [extAuthzMethod(options), extProcMethod(options), ...healthMethods(isReady)]
  return startGrpcServer({
    listen,
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

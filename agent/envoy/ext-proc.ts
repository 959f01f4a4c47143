import { fromBinary } from '@bufbuild/protobuf'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import type { Pipeline } from '#decision/pipeline.ts'
import {
  ExternalProcessor,
  type ProcessingRequest,
  ProcessingRequestSchema,
} from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import type { Method, StreamWriter } from '#grpc/service.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import { ProcessSession } from './process-session.ts'

export const extProcService = ExternalProcessor.typeName

const invalidArgument = 3
const internal = 13

/** `envoy.service.ext_proc.v3.ExternalProcessor/Process`: one stream for each HTTP stream. */
export function extProcMethod(options: {
  readonly pipeline: Pipeline
  readonly log: Logger
  readonly firstMessageTimeoutMs: number
  readonly clock?: Clock
}): Method {
  const { log, clock = systemClock } = options
  return {
    kind: 'stream',
    path: `/${extProcService}/${ExternalProcessor.method.process.name}`,
    open: (writer: StreamWriter) => {
      const session = new ProcessSession({ ...options, clock, writer })
      return {
        message: (bytes) => {
          let message: ProcessingRequest
          try {
            message = fromBinary(ProcessingRequestSchema, bytes)
          } catch (thrown) {
            log.warn({ problem: messageOf(thrown) }, 'ext_proc: a message that cannot be read')
            return writer.close({ code: invalidArgument, message: 'malformed ProcessingRequest' })
          }
          try {
            session.message(message)
          } catch (thrown) {
            log.error({ err: thrown }, 'ext_proc: session failed')
            writer.close({ code: internal, message: 'session failed' })
          }
        },
        halfClosed: () => session.halfClosed(),
        ended: () => session.ended(),
      }
    },
  }
}

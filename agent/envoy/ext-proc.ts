import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import type { Pipeline } from '#decision/pipeline.ts'
import type { Method, StreamWriter } from '#grpc/service.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import { ProcessSession } from './process-session.ts'
import { decodeProcessing, type ProcessingMessage } from './processing-message.ts'

export const extProcService = 'envoy.service.ext_proc.v3.ExternalProcessor'

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
  const overrides = { areTaken: false }
  return {
    kind: 'stream',
    path: `/${extProcService}/Process`,
    open: (writer: StreamWriter) => {
      const session = new ProcessSession({ ...options, clock, writer, overrides })
      return {
        message: (bytes) => {
          let message: ProcessingMessage
          try {
            message = decodeProcessing(bytes)
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

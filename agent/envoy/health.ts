import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from '#gen/grpc/health/v1/health_pb.js'
import type { Method, StreamWriter } from '#grpc/service.ts'
import { extAuthzService } from './ext-authz.ts'
import { extProcService } from './ext-proc.ts'

const notFound = 5
const invalidArgument = 3

/** `liveness` serves while the process runs; every other name serves when the agent is ready. */
const readinessNames = new Set(['', 'readiness', extAuthzService, extProcService])

/** `grpc.health.v1.Health`. `Watch` looks again every half second. */
export function healthMethods(isReady: () => boolean): Method[] {
  const status = (service: string): HealthCheckResponse_ServingStatus | undefined => {
    if (service === 'liveness') return HealthCheckResponse_ServingStatus.SERVING
    if (!readinessNames.has(service)) return undefined
    return isReady()
      ? HealthCheckResponse_ServingStatus.SERVING
      : HealthCheckResponse_ServingStatus.NOT_SERVING
  }
  const encode = (value: HealthCheckResponse_ServingStatus) =>
    toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status: value }))
  const read = (message: Uint8Array): string | undefined => {
    try {
      return fromBinary(HealthCheckRequestSchema, message).service
    } catch {
      return undefined
    }
  }
  return [
    {
      kind: 'unary',
      path: `/${Health.typeName}/${Health.method.check.name}`,
      handle: (message) => {
        const service = read(message)
        if (service === undefined) return { code: invalidArgument, message: 'malformed HealthCheckRequest' }
        const found = status(service)
        return found === undefined ? { code: notFound, message: 'unknown service' } : encode(found)
      },
    },
    {
      kind: 'stream',
      path: `/${Health.typeName}/${Health.method.watch.name}`,
      open: (writer: StreamWriter) => {
        let timer: NodeJS.Timeout | undefined
        return {
          message: (message) => {
            const service = read(message)
            if (service === undefined)
              return writer.close({ code: invalidArgument, message: 'malformed HealthCheckRequest' })
            let told: HealthCheckResponse_ServingStatus | undefined
            const tell = () => {
              const now = status(service) ?? HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN
              if (now === told) return
              told = now
              writer.send(encode(now))
            }
            clearInterval(timer)
            tell()
            timer = setInterval(tell, 500).unref()
          },
          halfClosed: () => {},
          ended: () => clearInterval(timer),
        }
      },
    },
  ]
}

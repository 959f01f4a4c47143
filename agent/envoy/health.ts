import type { Method, StreamWriter } from '#grpc/service.ts'
import { Reader, WireFault } from './wire/reader.ts'

const healthService = 'grpc.health.v1.Health'
/** HealthCheckResponse.ServingStatus */
const servingStatus = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const
type ServingStatus = (typeof servingStatus)[keyof typeof servingStatus]

const notFound = 5
const invalidArgument = 3

/**
 * `grpc.health.v1.Health`. `liveness` serves while the process runs; the empty name, `readiness` and each of `services`
 * serve when the agent is ready. `Watch` looks again every half second.
 */
export function healthMethods(isReady: () => boolean, services: readonly string[]): Method[] {
  const readinessNames = new Set(['', 'readiness', ...services])
  const status = (service: string): ServingStatus | undefined => {
    if (service === 'liveness') return servingStatus.SERVING
    if (!readinessNames.has(service)) return undefined
    return isReady() ? servingStatus.SERVING : servingStatus.NOT_SERVING
  }
  const encode = (value: ServingStatus) => Uint8Array.of(0x08, value)
  const read = (message: Buffer): string | undefined => {
    try {
      const reader = new Reader(message)
      let service = ''
      while (reader.at < reader.end) {
        const tag = reader.tag()
        if (tag === 0x0a) service = reader.string()
        else reader.skip(tag)
      }
      return service
    } catch (thrown) {
      if (thrown instanceof WireFault) return undefined
      throw thrown
    }
  }
  return [
    {
      kind: 'unary',
      path: `/${healthService}/Check`,
      handle: (message) => {
        const service = read(message)
        if (service === undefined) return { code: invalidArgument, message: 'malformed HealthCheckRequest' }
        const found = status(service)
        return found === undefined ? { code: notFound, message: 'unknown service' } : encode(found)
      },
    },
    {
      kind: 'stream',
      path: `/${healthService}/Watch`,
      open: (writer: StreamWriter) => {
        let timer: NodeJS.Timeout | undefined
        return {
          message: (message) => {
            const service = read(message)
            if (service === undefined)
              return writer.close({ code: invalidArgument, message: 'malformed HealthCheckRequest' })
            let told: ServingStatus | undefined
            const tell = () => {
              const now = status(service) ?? servingStatus.SERVICE_UNKNOWN
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

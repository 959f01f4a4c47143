import { messageOf } from '#base/errors.ts'
import type { Method, Status } from '#grpc/service.ts'
import type { RateLimitAnswer, RateLimiter, RateLimitFault } from '#limits/rls/rls.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import { decodeRateLimit, encodeRateLimit } from './wire/rate-limit.ts'

export const rateLimitService = 'envoy.service.ratelimit.v3.RateLimitService'

/** google.rpc.Code of each fault; Envoy refuses where `failure_mode_deny` is set. */
const faultCodes: Readonly<Record<RateLimitFault['fault'], number>> = {
  invalid: 3,
  not_loaded: 14,
  unavailable: 14,
  lost: 14,
}
const malformed: Status = { code: 3, message: 'malformed RateLimitRequest' }

/** `envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit` */
export function rateLimitMethod(options: {
  readonly limiter: RateLimiter
  readonly log: Logger
  /** Told of each answer, for metrics. */
  observe(code: 'ok' | 'over_limit' | RateLimitFault['fault']): void
}): Method {
  const { limiter, log, observe } = options
  const encoded = (answer: RateLimitAnswer): Uint8Array | Status => {
    if ('fault' in answer) {
      observe(answer.fault)
      return { code: faultCodes[answer.fault], message: answer.why }
    }
    observe(answer.isOverLimit ? 'over_limit' : 'ok')
    return encodeRateLimit(answer)
  }
  return {
    kind: 'unary',
    path: `/${rateLimitService}/ShouldRateLimit`,
    handle: (message) => {
      let request: ReturnType<typeof decodeRateLimit>
      try {
        request = decodeRateLimit(message)
      } catch (thrown) {
        log.warn({ problem: messageOf(thrown) }, 'rate limit: a request that cannot be read')
        observe('invalid')
        return malformed
      }
      const answer = limiter.shouldRateLimit(request)
      return answer instanceof Promise ? answer.then(encoded) : encoded(answer)
    },
  }
}

import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Decision, Pipeline } from '#decision/pipeline.ts'
import { deny } from '#decision/verdict.ts'
import type { Method, Status } from '#grpc/service.ts'
import { createFrameGuard } from '#inference/inference.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import { decodeCheck } from './decode-check.ts'
import { callFailure } from './denial.ts'
import { encodeCheck } from './encode-check.ts'

export const extAuthzService = 'envoy.service.auth.v3.Authorization'

const malformed: Status = { code: 3, message: 'malformed CheckRequest' }
const internal = 13

/** `envoy.service.auth.v3.Authorization/Check`: may this request go on? */
export function extAuthzMethod(options: {
  readonly pipeline: Pipeline
  readonly log: Logger
  readonly clock?: Clock
}): Method {
  const { pipeline, log, clock = systemClock } = options
  return {
    kind: 'unary',
    path: `/${extAuthzService}/Check`,
    handle: (message) => {
      let x: Exchange
      try {
        x = pipeline.open(decodeCheck(message, clock.nowMs()))
      } catch (thrown) {
        // Without facts there is nothing to decide; Envoy takes a failed call as its own error and refuses.
        log.warn({ problem: messageOf(thrown) }, 'ext_authz: a check that cannot be read')
        return malformed
      }
      try {
        const decision = pipeline.request(x)
        return decision instanceof Promise
          ? decision.then((late) => answer(x, late)).catch(failed)
          : answer(x, decision)
      } catch (thrown) {
        return failed(thrown)
      }
    },
  }

  function answer(x: Exchange, decision: Decision): Uint8Array | Status {
    const fault = decision.kind === 'allow' ? unjudgedMessage(x) : undefined
    const final = fault === undefined ? decision : pipeline.refuse(x, deny('request_malformed', fault))
    pipeline.end(x)
    return callFailure(final) ?? encodeCheck(x, final)
  }

  function failed(thrown: unknown): Status {
    log.error({ err: thrown }, 'ext_authz: check failed')
    return { code: internal, message: 'check failed' }
  }
}

/**
 * Why a gRPC message cannot be vouched for by what was seen of it: protobuf takes the last of a repeated name, so one
 * that names its model again, in what follows or in what Envoy did not send, would run another model than was judged.
 */
function unjudgedMessage(x: Exchange): string | undefined {
  const { body, isBodyComplete } = x.request
  if (x.call?.protocol !== 'v2-grpc' || x.call.model === undefined || body === undefined) return undefined
  return isBodyComplete ? createFrameGuard().feed(body) : 'only a part of the message that names the model'
}

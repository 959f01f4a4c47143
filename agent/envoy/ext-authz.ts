import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Decision, Pipeline } from '#decision/pipeline.ts'
import { reasons } from '#decision/reasons.ts'
import { deny, type Header } from '#decision/verdict.ts'
import {
  HeaderValueOption_HeaderAppendAction,
  type HeaderValueOptionSchema,
} from '#gen/envoy/config/core/v3/base_pb.js'
import {
  Authorization,
  CheckResponseSchema,
  type DeniedHttpResponseSchema,
} from '#gen/envoy/service/auth/v3/external_auth_pb.js'
import type { Method, Status } from '#grpc/service.ts'
import { createFrameGuard } from '#inference/inference.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import { decodeCheck } from './decode-check.ts'
import { type Denial, denialOf } from './denial.ts'
import { upstreamHeaders } from './upstream-headers.ts'
import { upstreamPath } from './upstream-path.ts'

export const extAuthzService = Authorization.typeName

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
    path: `/${extAuthzService}/${Authorization.method.check.name}`,
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

  function answer(x: Exchange, decision: Decision): Uint8Array {
    const fault = decision.kind === 'allow' ? unjudgedMessage(x) : undefined
    const final = fault === undefined ? decision : pipeline.refuse(x, deny('request_malformed', fault))
    pipeline.end(x)
    return encodeCheck(x, final)
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

/** The only way from a decision to a CheckResponse. */
export function encodeCheck(x: Exchange, decision: Decision): Uint8Array {
  return toBinary(CheckResponseSchema, create(CheckResponseSchema, checkResponse(x, decision)))
}

function checkResponse(x: Exchange, decision: Decision): MessageInitShape<typeof CheckResponseSchema> {
  if (decision.kind === 'allow') {
    const { mutations } = decision
    const { set, remove } = upstreamHeaders(x, mutations)
    // Not in `query_parameters_to_*`: there Envoy rejects escapes, and does not see through a client's.
    const path = upstreamPath(x, mutations)
    const moved: Header[] = path === x.request.path ? [] : [[':path', path]]
    return {
      status: { code: 0 },
      httpResponse: {
        case: 'okResponse',
        value: {
          headers: [...moved, ...set].map(overwrite),
          headersToRemove: [...remove],
          responseHeadersToAdd: (mutations.addResponseHeaders ?? []).map(overwrite),
        },
      },
      ...(mutations.dynamicMetadata && { dynamicMetadata: mutations.dynamicMetadata as never }),
    }
  }
  const denial = denialOf(decision, x.request.client, x.id)
  const status = { code: reasons[decision.reason].grpcStatus, message: decision.reason }
  // Our own failure is no denial: Envoy counts it apart, and it stays a refusal because failure_mode_allow is off.
  if (decision.kind === 'error')
    return { status, httpResponse: { case: 'errorResponse', value: denied(denial) } }
  return {
    status,
    httpResponse: { case: 'deniedResponse', value: denied(denial) },
    ...(decision.own?.dynamicMetadata && { dynamicMetadata: decision.own.dynamicMetadata as never }),
  }
}

function denied(denial: Denial): MessageInitShape<typeof DeniedHttpResponseSchema> {
  // Envoy derives a gRPC client's status from the HTTP one, which has no word for RESOURCE_EXHAUSTED; the header wins.
  const grpc: Header[] = denial.grpcStatus === undefined ? [] : [['grpc-status', String(denial.grpcStatus)]]
  return {
    status: { code: denial.httpStatus },
    headers: [...denial.headers, ...grpc].map(overwrite),
    body: denial.body,
  }
}

/** ext_authz reads `value`; both switches are set because Envoy's defaults for them contradict each other. */
function overwrite([key, value]: Header): MessageInitShape<typeof HeaderValueOptionSchema> {
  return {
    header: { key, value },
    append: false,
    appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
  }
}

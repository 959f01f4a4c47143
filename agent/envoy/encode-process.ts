import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { durationFromMs } from '@bufbuild/protobuf/wkt'
import type { Exchange } from '#decision/exchange.ts'
import type { Decision } from '#decision/pipeline.ts'
import type { Header } from '#decision/verdict.ts'
import {
  HeaderValueOption_HeaderAppendAction,
  type HeaderValueOptionSchema,
} from '#gen/envoy/config/core/v3/base_pb.js'
import {
  type BodyMutationSchema,
  type CommonResponseSchema,
  type HeaderMutationSchema,
  ProcessingResponseSchema,
} from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import { denialOf } from './denial.ts'
import { upstreamHeaders } from './upstream-headers.ts'
import { upstreamPath } from './upstream-path.ts'

type Response = MessageInitShape<typeof ProcessingResponseSchema>
type Common = MessageInitShape<typeof CommonResponseSchema>
type HeaderMutation = MessageInitShape<typeof HeaderMutationSchema>
type Permitted = Extract<Decision, { kind: 'allow' }>

/** Metadata that policies set stands under this namespace. */
export const metadataNamespace = 'sluice'

function encode(response: Response): Uint8Array {
  return toBinary(ProcessingResponseSchema, create(ProcessingResponseSchema, response))
}

/** Go on, nothing to change: the answers that most messages get, made once. */
export const unchanged = {
  requestHeaders: encode({ response: { case: 'requestHeaders', value: {} } }),
  requestBody: encode({ response: { case: 'requestBody', value: {} } }),
  requestTrailers: encode({ response: { case: 'requestTrailers', value: {} } }),
  responseHeaders: encode({ response: { case: 'responseHeaders', value: {} } }),
  responseBody: encode({ response: { case: 'responseBody', value: {} } }),
  responseTrailers: encode({ response: { case: 'responseTrailers', value: {} } }),
}

/** What an allowed request carries upstream. `more` are set as well. */
function permittedHeaders(x: Exchange, decision: Permitted, more: readonly Header[]): HeaderMutation {
  const { set, remove } = upstreamHeaders(x, decision.mutations)
  const path = upstreamPath(x, decision.mutations)
  const moved: Header[] = path === x.request.path ? [] : [[':path', path]]
  return { setHeaders: [...moved, ...set, ...more].map(overwrite), removeHeaders: [...remove] }
}

export function requestHeadersAnswer(x: Exchange, decision: Permitted): Uint8Array {
  const response: Common = { headerMutation: permittedHeaders(x, decision, []) }
  return encode({ response: { case: 'requestHeaders', value: { response } }, ...metadata(decision) })
}

/** A buffered body's answer may still change the headers, and must where the length changes. */
export function bufferedBodyAnswer(
  x: Exchange,
  decision: Permitted,
  body: Uint8Array | undefined,
): Uint8Array {
  const length: Header[] = body === undefined ? [] : [['content-length', String(body.length)]]
  const response: Common = {
    headerMutation: permittedHeaders(x, decision, length),
    ...(body !== undefined && { bodyMutation: { mutation: { case: 'body', value: body } } }),
  }
  return encode({ response: { case: 'requestBody', value: { response } }, ...metadata(decision) })
}

export function bodyAnswer(
  direction: 'requestBody' | 'responseBody',
  bodyMutation: MessageInitShape<typeof BodyMutationSchema>,
): Uint8Array {
  return encode({ response: { case: direction, value: { response: { bodyMutation } } } })
}

export function responseHeadersAnswer(added: readonly Header[]): Uint8Array {
  if (added.length === 0) return unchanged.responseHeaders
  const response: Common = { headerMutation: { setHeaders: added.map(overwrite) } }
  return encode({ response: { case: 'responseHeaders', value: { response } } })
}

/** Asks Envoy to wait longer for the pending answer. It may be asked once for each. */
export function moreTime(ms: number): Uint8Array {
  return encode({ overrideMessageTimeout: durationFromMs(ms) })
}

/** Ends the request with a refusal in the client's own protocol. */
export function refusal(x: Exchange, decision: Exclude<Decision, { kind: 'allow' }>): Uint8Array {
  const denial = denialOf(decision, x.request.client, x.id)
  const own = decision.kind === 'deny' ? decision.own?.dynamicMetadata : undefined
  return encode({
    response: {
      case: 'immediateResponse',
      value: {
        status: { code: denial.httpStatus },
        headers: { setHeaders: denial.headers.map(overwrite) },
        body: Buffer.from(denial.body),
        ...(denial.grpcStatus !== undefined && { grpcStatus: { status: denial.grpcStatus } }),
        details: `sluice_${decision.reason}`,
      },
    },
    ...(own && { dynamicMetadata: { [metadataNamespace]: own } as never }),
  })
}

function metadata(decision: Permitted): Pick<Response, 'dynamicMetadata'> {
  const { dynamicMetadata } = decision.mutations
  return dynamicMetadata === undefined
    ? {}
    : { dynamicMetadata: { [metadataNamespace]: dynamicMetadata } as never }
}

/** ext_proc reads `raw_value`; both switches are set because Envoy's defaults for them differ between its APIs. */
function overwrite([key, value]: Header): MessageInitShape<typeof HeaderValueOptionSchema> {
  return {
    header: { key, rawValue: Buffer.from(value) },
    append: false,
    appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
  }
}

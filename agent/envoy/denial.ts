import type { ClientKind, Exchange } from '#decision/exchange.ts'
import { problemType, reasons } from '#decision/reasons.ts'
import type { Header, OwnDenial, Refusal, Verdict } from '#decision/verdict.ts'
import { encodeGrpcMessage, type Status } from '#grpc/service.ts'
import { openAiHeaders, rateLimitHeaders } from '#limits/answer/answer.ts'
import { challengeHeaders } from './authenticate-header.ts'
import { grpcDetails } from './grpc-details.ts'
import { isOpenAi, openAiError, retryHeaders } from './openai-error.ts'

/** What the OPA Envoy plugin fails with. @see google.rpc.Code */
const unknown = 2

/** A refusal as a client of one kind reads it. */
export interface Denial {
  readonly httpStatus: number
  /** Only for gRPC clients. */
  readonly grpcStatus?: number
  readonly headers: readonly Header[]
  readonly body: string
}

/** Who is refused. */
export interface Refused {
  readonly client: ClientKind
  readonly decisionId: string
  /** Whether it reads errors as OpenAI's API writes them. */
  readonly isOpenAi?: boolean
}

export function refusedOf(x: Exchange): Refused {
  return { client: x.request.client, decisionId: x.id, isOpenAi: isOpenAi(x) }
}

/**
 * The one place where a refusal becomes an answer. Clients read the reason's text and the decision id; why exactly, is in
 * the record under that id.
 *
 * @see RFC 9457 for JSON, the gRPC over HTTP/2 and gRPC-Web protocol descriptions for the others
 */
export function denialOf(refusal: Refusal, refused: Refused): Denial {
  const { client, decisionId } = refused
  const reason = reasons[refusal.reason]
  const own = writtenDenial(refusal)
  const challenge = refusal.kind === 'deny' ? refusal.challenge : undefined
  const { retryAfterSeconds: retry, quotas = [] } = refusal.kind === 'deny' ? refusal : {}
  const ours: Header[] = [
    ['x-sluice-decision-id', decisionId],
    ...(retry === undefined ? [] : [['retry-after', String(retry)] as const]),
    ...(challenge === undefined ? [] : challengeHeaders(challenge)),
  ]
  /** A policy's own header stands in place of ours. */
  const withOwn = (...more: readonly Header[]): Header[] => {
    const written = new Set(own?.headers?.map(([name]) => name))
    return [...(own?.headers ?? []), ...[...more, ...ours].filter(([name]) => !written.has(name))]
  }
  // What a policy wrote goes out as it wrote it, nothing included.
  const text = own === undefined ? shown(reason.text, refusal.clientDetail) : (own.body ?? '')
  const httpStatus = own?.httpStatus ?? reason.httpStatus
  const grpcStatus =
    own?.httpStatus === undefined
      ? reason.grpcStatus
      : (grpcStatuses.get(own.httpStatus) ?? reason.grpcStatus)
  if (refused.isOpenAi === true && own === undefined && (client === 'json' || client === 'http')) {
    const headers = withOwn(
      ['content-type', 'application/json'],
      ...retryHeaders(httpStatus, retry),
      ...rateLimitHeaders(quotas),
      ...openAiHeaders(quotas),
    )
    return { httpStatus, headers, body: openAiError(refusal.reason, httpStatus, text) }
  }
  const details = own === undefined ? grpcDetails(refusal, text) : []
  switch (client) {
    case 'grpc':
      return { httpStatus, grpcStatus, headers: withoutType(withOwn(...details)), body: text }
    case 'grpc-web':
      return {
        httpStatus: 200,
        headers: [
          ...withoutType(withOwn(...details)),
          ['content-type', 'application/grpc-web+proto'],
          ['grpc-status', String(grpcStatus)],
          ['grpc-message', encodeGrpcMessage(text)],
        ],
        body: '',
      }
    case 'json': {
      if (own !== undefined) return { httpStatus, headers: withOwn(), body: text }
      const violated = quotas.map(({ name }) => name)
      const problem = {
        type: problemType(refusal.reason),
        title: reason.text,
        status: httpStatus,
        instance: `urn:uuid:${decisionId}`,
        ...(refusal.clientDetail !== undefined && { detail: refusal.clientDetail }),
        ...(violated.length > 0 && { 'violated-policies': violated }),
        // Where V2 clients look.
        error: reason.text,
      }
      return {
        httpStatus,
        headers: withOwn(['content-type', 'application/problem+json'], ...rateLimitHeaders(quotas)),
        body: JSON.stringify(problem),
      }
    }
    case 'http': {
      if (own !== undefined) return { httpStatus, headers: withOwn(), body: text }
      const headers = withOwn(['content-type', 'text/plain; charset=utf-8'], ...rateLimitHeaders(quotas))
      return { httpStatus, headers, body: `${text}\n` }
    }
    default:
      return client satisfies never
  }
}

/** What a policy wrote. Where it only says what a better token must have, the answer is ours. */
function writtenDenial(refusal: Refusal): OwnDenial | undefined {
  if (refusal.kind !== 'deny') return undefined
  const { own, demand } = refusal
  const isWritten = own?.httpStatus !== undefined || own?.headers !== undefined || own?.body !== undefined
  return demand === undefined || isWritten ? own : undefined
}

/** The status of a call that is to fail, where whoever runs this leaves our own failures to Envoy's failure mode. */
export function callFailure(decision: Verdict): Status | undefined {
  if (decision.kind !== 'error' || decision.failsCall !== true) return undefined
  return { code: unknown, message: reasons[decision.reason].text }
}

function shown(text: string, detail: string | undefined): string {
  return detail === undefined ? text : `${text} ${detail}`
}

/** A gRPC client takes an answer of another type for a broken server, whatever a policy says. */
function withoutType(headers: readonly Header[]): readonly Header[] {
  return headers.filter(([name]) => name !== 'content-type')
}

/** The gRPC status of a refusal for which a policy chose the HTTP one. @see google.rpc.Code */
const grpcStatuses: ReadonlyMap<number, number> = new Map([
  [400, 3],
  [401, 16],
  [403, 7],
  [404, 5],
  [409, 10],
  [412, 9],
  [429, 8],
  [500, 13],
  [501, 12],
  [503, 14],
  [504, 4],
])

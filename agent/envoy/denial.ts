import type { ClientKind } from '#decision/exchange.ts'
import { problemType, reasons } from '#decision/reasons.ts'
import type { Header, Refusal } from '#decision/verdict.ts'
import { encodeGrpcMessage } from '#grpc/service.ts'

/** A refusal as a client of one kind reads it. */
export interface Denial {
  readonly httpStatus: number
  /** Only for gRPC clients. */
  readonly grpcStatus?: number
  readonly headers: readonly Header[]
  readonly body: string
}

/**
 * The one place where a refusal becomes an answer. Clients read the reason's text and the decision id; why exactly, is in
 * the record under that id.
 *
 * @see RFC 9457 for JSON, the gRPC over HTTP/2 and gRPC-Web protocol descriptions for the others
 */
export function denialOf(refusal: Refusal, client: ClientKind, decisionId: string): Denial {
  const reason = reasons[refusal.reason]
  const own = refusal.kind === 'deny' ? refusal.own : undefined
  const retry = refusal.kind === 'deny' ? refusal.retryAfterSeconds : undefined
  const ours: Header[] = [
    ['x-sluice-decision-id', decisionId],
    ...(retry === undefined ? [] : [['retry-after', String(retry)] as const]),
  ]
  /** A policy's own header stands in place of ours. */
  const withOwn = (...more: readonly Header[]): Header[] => {
    const written = new Set(own?.headers?.map(([name]) => name))
    return [...(own?.headers ?? []), ...[...more, ...ours].filter(([name]) => !written.has(name))]
  }
  const text = own?.body ?? reason.text
  const httpStatus = own?.httpStatus ?? reason.httpStatus
  const grpcStatus =
    own?.httpStatus === undefined
      ? reason.grpcStatus
      : (grpcStatuses.get(own.httpStatus) ?? reason.grpcStatus)
  switch (client) {
    case 'grpc':
      return { httpStatus, grpcStatus, headers: withoutType(withOwn()), body: text }
    case 'grpc-web':
      return {
        httpStatus: 200,
        headers: [
          ...withoutType(withOwn()),
          ['content-type', 'application/grpc-web+proto'],
          ['grpc-status', String(grpcStatus)],
          ['grpc-message', encodeGrpcMessage(text)],
        ],
        body: '',
      }
    case 'json': {
      if (own?.body !== undefined) return { httpStatus, headers: withOwn(), body: own.body }
      const problem = {
        type: problemType(refusal.reason),
        title: reason.text,
        status: httpStatus,
        instance: `urn:uuid:${decisionId}`,
        // Where V2 clients look.
        error: reason.text,
      }
      return {
        httpStatus,
        headers: withOwn(['content-type', 'application/problem+json']),
        body: JSON.stringify(problem),
      }
    }
    case 'http':
      return {
        httpStatus,
        headers: withOwn(['content-type', 'text/plain; charset=utf-8']),
        body: own?.body ?? `${text}\n`,
      }
    default:
      return client satisfies never
  }
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

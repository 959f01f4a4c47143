import type { ClientKind } from '#decision/exchange.ts'
import { problemType, reasons } from '#decision/reasons.ts'
import type { Header, Refusal } from '#decision/verdict.ts'

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
  const headers: Header[] = [
    ...(own?.headers ?? []),
    ['x-sluice-decision-id', decisionId],
    ...(retry === undefined ? [] : [['retry-after', String(retry)] as const]),
  ]
  const text = own?.body ?? reason.text
  const httpStatus = own?.httpStatus ?? reason.httpStatus
  switch (client) {
    case 'grpc':
      return { httpStatus, grpcStatus: reason.grpcStatus, headers, body: text }
    case 'grpc-web':
      return {
        httpStatus: 200,
        headers: [
          ...headers,
          ['content-type', 'application/grpc-web+proto'],
          ['grpc-status', String(reason.grpcStatus)],
          ['grpc-message', encodeGrpcMessage(text)],
        ],
        body: '',
      }
    case 'json': {
      if (own?.body !== undefined) return { httpStatus, headers, body: own.body }
      const problem = {
        type: problemType(refusal.reason),
        title: reason.text,
        status: httpStatus,
        instance: `urn:uuid:${decisionId}`,
      }
      return {
        httpStatus,
        headers: [...headers, ['content-type', 'application/problem+json']],
        body: JSON.stringify(problem),
      }
    }
    case 'http':
      return {
        httpStatus,
        headers: [...headers, ['content-type', 'text/plain; charset=utf-8']],
        body: own?.body ?? `${text}\n`,
      }
    default:
      return client satisfies never
  }
}

/** Percent-encodes what a `grpc-message` may not hold. */
export function encodeGrpcMessage(text: string): string {
  let encoded = ''
  for (const byte of Buffer.from(text)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}

import type { ClientKind } from '#decision/exchange.ts'
import type { RequestHeaders } from '#decision/request-headers.ts'

/** How the caller expects to be refused, from what it sends and accepts. */
export function clientKind(headers: RequestHeaders): ClientKind {
  const type = headers.single('content-type') ?? ''
  if (type.startsWith('application/grpc-web')) return 'grpc-web'
  if (type.startsWith('application/grpc')) return 'grpc'
  return type.includes('json') || headers.all('accept').some((value) => value.includes('json'))
    ? 'json'
    : 'http'
}

import type { ClientKind } from '#decision/exchange.ts'
import type { RequestHeaders } from '#decision/request-headers.ts'

const grpcWeb = /^application\/grpc-web(-text)?([+;]|$)/i
const grpc = /^application\/grpc([+;]|$)/i

/** How the caller expects to be refused, from what it sends and accepts. */
export function clientKind(headers: RequestHeaders): ClientKind {
  const types = headers.all('content-type')
  if (types.some((type) => grpcWeb.test(type))) return 'grpc-web'
  if (types.some((type) => grpc.test(type))) return 'grpc'
  // A V2 client that sends binary tensors names no JSON, and reads errors as JSON all the same.
  if (headers.has('inference-header-content-length')) return 'json'
  return [...types, ...headers.all('accept')].some((value) => value.includes('json')) ? 'json' : 'http'
}

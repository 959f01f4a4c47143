import type { JsonObject, JsonValue } from '#base/json.ts'
import type { RequestFacts, ServedFacts } from '#decision/exchange.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import type { HeaderMap } from '#gen/envoy/config/core/v3/base_pb.js'
import type { ProcessingRequest } from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import { isWholeBody } from './body-facts.ts'
import { clientKind } from './client-kind.ts'

/** Where Envoy puts the attributes that it was asked for. */
const attributesKey = 'envoy.filters.http.ext_proc'

/** Everything about a request but its body, as `request_headers` brings it. */
export type HeaderFacts = Omit<RequestFacts, 'body' | 'isBodyComplete' | 'attributes'>

export function decodeRequestHeaders(
  message: ProcessingRequest,
  headerMap: HeaderMap | undefined,
  nowMs: number,
): HeaderFacts {
  const headers = decodeHeaders(headerMap)
  const attributes = attributesOf(message)
  const pem = text(attributes['connection.peer_certificate'])
  const isChainValid = attributes['connection.peer_certificate_valid']
  const sni = text(attributes['connection.requested_server_name'])
  return {
    api: 'ext_proc',
    requestId: headers.single('x-request-id') ?? '',
    method: headers.single(':method') ?? '',
    path: headers.single(':path') ?? '',
    authority: headers.single(':authority') ?? '',
    scheme: headers.single(':scheme') ?? '',
    protocol: text(attributes['request.protocol']),
    headers,
    client: clientKind(headers),
    ...(pem !== '' && { certificate: { pem, ...(typeof isChainValid === 'boolean' && { isChainValid }) } }),
    ...(sni !== '' && { sni }),
    sourceAddress: text(attributes['source.address']),
    contextExtensions: {},
    receivedAtMs: nowMs,
  }
}

/** The facts with what was seen of the body. */
export function withBody(
  facts: HeaderFacts,
  principal: string,
  body: Uint8Array | undefined,
  isEnd: boolean,
): RequestFacts {
  return {
    ...facts,
    ...(body !== undefined && { body }),
    isBodyComplete: isEnd || (body === undefined && isWholeBody(facts.headers, 0)),
    attributes: () => attributesJson(facts, principal),
  }
}

export function principalOf(message: ProcessingRequest): string {
  return text(attributesOf(message)['connection.uri_san_peer_certificate'])
}

export function decodeServed(message: ProcessingRequest, headerMap: HeaderMap | undefined): ServedFacts {
  const headers = decodeHeaders(headerMap)
  const grpcStatus = headers.single('grpc-status')
  const upstreamAddress = text(attributesOf(message)['upstream.address'])
  return {
    httpStatus: Number(headers.single(':status') ?? 0),
    ...(grpcStatus !== undefined && { grpcStatus: Number(grpcStatus) }),
    ...(upstreamAddress !== '' && { upstreamAddress }),
  }
}

/** ext_proc fills `raw_value`. Latin-1 keeps every byte apart. */
function decodeHeaders(headerMap: HeaderMap | undefined): RequestHeaders {
  const headers = new RequestHeaders()
  for (const { key, value, rawValue } of headerMap?.headers ?? []) {
    headers.add(key, rawValue.length > 0 ? Buffer.from(rawValue).toString('latin1') : value)
  }
  return headers
}

function attributesOf(message: ProcessingRequest): JsonObject {
  return (message.attributes[attributesKey] ?? {}) as JsonObject
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

/** The document that ext_authz would have brought, from what ext_proc does: a policy need not know the difference. */
function attributesJson(facts: HeaderFacts, principal: string): JsonObject {
  const headers: Record<string, string> = {}
  for (const [name, values] of facts.headers.entries()) headers[name] = values.join(',')
  const colon = facts.sourceAddress.lastIndexOf(':')
  const size = facts.headers.single('content-length')
  return {
    source: {
      ...(colon > 0 && {
        address: {
          socketAddress: {
            address: facts.sourceAddress.slice(0, colon),
            portValue: Number(facts.sourceAddress.slice(colon + 1)),
          },
        },
      }),
      ...(principal !== '' && { principal }),
      ...(facts.certificate && { certificate: encodeURIComponent(facts.certificate.pem) }),
    },
    request: {
      time: {
        seconds: Math.floor(facts.receivedAtMs / 1000),
        nanos: (facts.receivedAtMs % 1000) * 1_000_000,
      },
      http: {
        ...(facts.requestId !== '' && { id: facts.requestId }),
        method: facts.method,
        headers,
        path: facts.path,
        host: facts.authority,
        scheme: facts.scheme,
        size: size === undefined ? -1 : Number(size),
        ...(facts.protocol !== '' && { protocol: facts.protocol }),
      },
    },
    metadataContext: {},
    ...(facts.sni !== undefined && { tlsSession: { sni: facts.sni } }),
  }
}

import type { JsonObject, JsonValue } from '#base/json.ts'
import type { RequestFacts, ServedFacts } from '#decision/exchange.ts'
import { isWholeBody } from './body-facts.ts'
import { clientKind } from './client-kind.ts'
import { encodedPem } from './pem-text.ts'
import type { ProcessingMessage } from './processing-message.ts'
import { joinedHeaders } from './wire/common.ts'

/** Everything about a request but its body, as `request_headers` brings it. */
export type HeaderFacts = Omit<RequestFacts, 'body' | 'isBodyComplete' | 'attributes'>

/** What `request_headers` says of a request. */
export function headerFacts({ headers, attributes }: ProcessingMessage, nowMs: number): HeaderFacts {
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
    routeName: text(attributes['xds.route_name']),
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

export function principalOf({ attributes }: ProcessingMessage): string {
  return text(attributes['connection.uri_san_peer_certificate'])
}

/** What `response_headers` says of an answer. */
export function servedFacts({ headers, attributes, endOfStream }: ProcessingMessage): ServedFacts {
  const grpcStatus = headers.single('grpc-status')
  const upstreamAddress = text(attributes['upstream.address'])
  return {
    httpStatus: Number(headers.single(':status') ?? 0),
    headers,
    isBodyComplete: endOfStream,
    ...(grpcStatus !== undefined && { grpcStatus: Number(grpcStatus) }),
    ...(upstreamAddress !== '' && { upstreamAddress }),
  }
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

/** The document that ext_authz would have brought, from what ext_proc does: a policy need not know the difference. */
function attributesJson(facts: HeaderFacts, principal: string): JsonObject {
  const headers = joinedHeaders(facts.headers)
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
      ...(facts.certificate && { certificate: encodedPem(facts.certificate.pem) }),
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

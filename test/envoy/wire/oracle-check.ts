import { fromBinary } from '@bufbuild/protobuf'
import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { isWholeBody } from '#envoy/body-facts.ts'
import { clientKind } from '#envoy/client-kind.ts'
import type { Address } from '#gen/envoy/config/core/v3/address_pb.js'
import type { Metadata } from '#gen/envoy/config/core/v3/base_pb.js'
import type {
  AttributeContext,
  AttributeContext_HttpRequest,
  AttributeContext_Peer,
} from '#gen/envoy/service/auth/v3/attribute_context_pb.js'
import { CheckRequestSchema } from '#gen/envoy/service/auth/v3/external_auth_pb.js'

/**
 * The oracle: the same facts by way of protobuf-es' message objects.
 *
 * @throws Error when the bytes are no such message or say nothing of an HTTP request.
 */
export function oracleCheck(bytes: Uint8Array, nowMs: number): RequestFacts {
  const { attributes } = fromBinary(CheckRequestSchema, bytes)
  const http = attributes?.request?.http
  if (attributes === undefined || http === undefined) throw new Error('no attributes.request.http')
  const headers = headersOf(http)
  const client = clientKind(headers)
  const isBodyText = http.body !== '' && !(http.rawBody.length > 0 && client === 'grpc')
  const body = isBodyText ? Buffer.from(http.body) : http.rawBody.length > 0 ? http.rawBody : undefined
  const pem = attributes.source?.certificate ?? ''
  return {
    api: 'ext_authz',
    requestId: headers.single('x-request-id') ?? '',
    method: http.method,
    path: http.path,
    authority: http.host,
    scheme: http.scheme,
    protocol: http.protocol,
    headers,
    client,
    ...(pem !== '' && { certificate: { pem: decodeURIComponent(pem) } }),
    ...(attributes.tlsSession !== undefined && { sni: attributes.tlsSession.sni }),
    sourceAddress: addressText(attributes.source?.address),
    ...(body !== undefined && { body }),
    isBodyText,
    isBodyComplete: isWholeBody(headers, body?.length ?? 0),
    routeName: attributes.contextExtensions['route'] ?? '',
    contextExtensions: attributes.contextExtensions,
    receivedAtMs: nowMs,
    attributes: () => attributesJson(attributes, headers),
  }
}

/** `header_map` keeps every value as it came; `headers` is there when Envoy was not asked for raw ones. */
function headersOf(http: AttributeContext_HttpRequest): RequestHeaders {
  const headers = new RequestHeaders()
  for (const { key, value, rawValue } of http.headerMap?.headers ?? []) {
    headers.add(key, rawValue.length > 0 ? Buffer.from(rawValue).toString('latin1') : value)
  }
  for (const [key, value] of Object.entries(http.headers)) {
    if (!headers.has(key.toLowerCase())) headers.add(key, value)
  }
  return headers
}

function addressText(address: Address | undefined): string {
  if (address?.address.case !== 'socketAddress') return ''
  const { address: host, portSpecifier } = address.address.value
  return portSpecifier.case === 'portValue' ? `${host}:${portSpecifier.value}` : host
}

/**
 * `input.attributes` as the OPA Envoy plugin writes it: lowerCamelCase, only what is populated, 64-bit numbers and enums
 * as numbers, bytes as base64, the time as seconds and nanoseconds.
 */
function attributesJson(context: AttributeContext, all: RequestHeaders): JsonObject {
  const {
    source,
    destination,
    request,
    contextExtensions,
    metadataContext,
    routeMetadataContext,
    tlsSession,
  } = context
  return {
    ...(source && { source: peerJson(source) }),
    ...(destination && { destination: peerJson(destination) }),
    ...(request && {
      request: {
        ...(request.time && {
          time: populated({ seconds: Number(request.time.seconds), nanos: request.time.nanos }),
        }),
        ...(request.http && { http: httpJson(request.http, all) }),
      },
    }),
    ...(Object.keys(contextExtensions).length > 0 && { contextExtensions }),
    ...(metadataContext && { metadataContext: metadataJson(metadataContext) }),
    ...(routeMetadataContext && { routeMetadataContext: metadataJson(routeMetadataContext) }),
    ...(tlsSession && { tlsSession: populated({ sni: tlsSession.sni }) }),
  }
}

function peerJson(peer: AttributeContext_Peer): JsonObject {
  const { service, labels, principal, certificate } = peer
  return {
    ...(peer.address && { address: addressJson(peer.address) }),
    ...populated({ service, labels, principal, certificate }),
  }
}

function addressJson(address: Address): JsonObject {
  const { case: kind, value } = address.address
  if (kind === 'socketAddress') {
    const { portSpecifier } = value
    return {
      socketAddress: {
        ...populated({
          protocol: value.protocol,
          address: value.address,
          resolverName: value.resolverName,
          ipv4Compat: value.ipv4Compat,
          networkNamespaceFilepath: value.networkNamespaceFilepath,
        }),
        ...(portSpecifier.case !== undefined && { [portSpecifier.case]: portSpecifier.value }),
      },
    }
  }
  if (kind === 'pipe') return { pipe: populated({ path: value.path, mode: value.mode }) }
  if (kind === 'envoyInternalAddress') {
    const { addressNameSpecifier, endpointId } = value
    const name =
      addressNameSpecifier.case === undefined ? {} : { serverListenerName: addressNameSpecifier.value }
    return { envoyInternalAddress: { ...name, ...populated({ endpointId }) } }
  }
  return {}
}

function httpJson(http: AttributeContext_HttpRequest, all: RequestHeaders): JsonObject {
  const isRaw = http.headerMap !== undefined && Object.keys(http.headers).length === 0
  const joined = [...all.entries()].map(([name, values]) => [name, values.join(',')])
  const raw = http.headerMap?.headers.map(({ key, value, rawValue }) =>
    populated({ key, value, rawValue: Buffer.from(rawValue).toString('base64') }),
  )
  const plain = populated({
    id: http.id,
    method: http.method,
    headers: isRaw ? Object.fromEntries(joined) : http.headers,
    path: http.path,
    host: http.host,
    scheme: http.scheme,
    query: http.query,
    fragment: http.fragment,
    size: Number(http.size),
    protocol: http.protocol,
    body: http.body,
    rawBody: Buffer.from(http.rawBody).toString('base64'),
  })
  return { ...plain, ...(raw && { headerMap: raw.length === 0 ? {} : { headers: raw } }) }
}

function metadataJson(metadata: Metadata): JsonObject {
  const typed = Object.entries(metadata.typedFilterMetadata).map(([name, { typeUrl, value }]) => [
    name,
    populated({ typeUrl, value: Buffer.from(value).toString('base64') }),
  ])
  return populated({
    filterMetadata: metadata.filterMetadata as JsonObject,
    typedFilterMetadata: Object.fromEntries(typed),
  })
}

/** Leaves out what proto3 would: zero, empty text, empty maps. */
function populated(fields: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => {
      if (value === undefined || value === '' || value === 0 || value === false) return false
      return !(isJsonObject(value) && Object.keys(value).length === 0)
    }),
  )
}

import type { JsonObject, JsonValue } from '#base/json.ts'
import type { ClientKind, PeerCertificate, RequestFacts } from '#decision/exchange.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { isWholeBody } from './body-facts.ts'
import { clientKind } from './client-kind.ts'
import { decodedPem } from './pem-text.ts'
import { populate, populated } from './populated.ts'
import { joinedHeaders, setOwn } from './wire/common.ts'

/** One end of the connection, as a CheckRequest describes it. */
export interface PeerFacts {
  address: AddressFacts | undefined
  service: string
  labels: Record<string, string>
  principal: string
  /** URL-encoded PEM. */
  certificate: string
}

/** envoy.config.core.v3.Address in the form of `input.attributes`; `kind` names the member of its oneof. */
export type AddressFacts =
  | {
      readonly kind: 'socketAddress'
      protocol: number
      address: string
      portValue: number | undefined
      namedPort: string | undefined
      resolverName: string
      ipv4Compat: boolean
      networkNamespaceFilepath: string
    }
  | { readonly kind: 'pipe'; path: string; mode: number }
  | { readonly kind: 'envoyInternalAddress'; serverListenerName: string | undefined; endpointId: string }
  | { readonly kind: 'none' }

/** envoy.config.core.v3.HeaderValue, with its octets where they were sent raw. */
export interface RawHeader {
  readonly key: string
  readonly value: string
  readonly rawValue: Buffer
}

/** What a CheckRequest says, filled by its decoder field by field. */
export class CheckFacts implements RequestFacts {
  readonly api = 'ext_authz'
  readonly receivedAtMs: number
  source: PeerFacts | undefined
  destination: PeerFacts | undefined
  hasRequest = false
  hasHttp = false
  time: { seconds: number; nanos: number } | undefined
  id = ''
  method = ''
  path = ''
  authority = ''
  scheme = ''
  query = ''
  fragment = ''
  size = 0
  protocol = ''
  textBody = ''
  rawBody: Buffer | undefined
  /** `headers`: keys and values of the map, each key once. */
  readonly headerKeys: string[] = []
  readonly headerValues: string[] = []
  /** `header_map`, where Envoy was asked for raw headers. */
  headerMap: RawHeader[] | undefined
  contextExtensions: Record<string, string> = {}
  metadataContext: JsonObject | undefined
  routeMetadataContext: JsonObject | undefined
  sni: string | undefined
  readonly headers = new RequestHeaders()
  client: ClientKind = 'http'
  certificate: PeerCertificate | undefined
  body: Buffer | undefined
  isBodyText = false
  isBodyComplete = false

  /** Envoy does not say it here; the route's own extension may. */
  get routeName(): string {
    return this.contextExtensions['route'] ?? ''
  }

  constructor(receivedAtMs: number) {
    this.receivedAtMs = receivedAtMs
  }

  /** What follows from the fields, once all of them are there. @throws URIError for a certificate that is not URL-encoded. */
  complete(): this {
    const { headers, headerKeys, headerValues } = this
    // `header_map` keeps every value as it came; `headers` is there when Envoy was not asked for raw ones.
    if (this.headerMap !== undefined) {
      for (const { key, value, rawValue } of this.headerMap)
        headers.add(key, rawValue.length > 0 ? rawValue.toString('latin1') : value)
      for (const [index, key] of headerKeys.entries())
        if (!headers.has(key.toLowerCase())) headers.add(key, headerValues[index] as string)
    } else {
      for (let i = 0; i < headerKeys.length; i++)
        headers.add(headerKeys[i] as string, headerValues[i] as string)
    }
    this.client = clientKind(headers)
    const hasRaw = this.rawBody !== undefined && this.rawBody.length > 0
    // A message of gRPC is only whole in `raw_body`; of anything else `body` comes first, as in the plugin.
    this.isBodyText = this.textBody !== '' && !(hasRaw && this.client === 'grpc')
    if (this.isBodyText) this.body = Buffer.from(this.textBody)
    else if (hasRaw) this.body = this.rawBody
    this.isBodyComplete = isWholeBody(headers, this.body?.length ?? 0)
    const pem = this.source?.certificate ?? ''
    if (pem !== '') this.certificate = { pem: decodedPem(pem) }
    return this
  }

  get requestId(): string {
    return this.headers.single('x-request-id') ?? ''
  }

  get sourceAddress(): string {
    const address = this.source?.address
    if (address?.kind !== 'socketAddress') return ''
    return address.portValue === undefined ? address.address : `${address.address}:${address.portValue}`
  }

  /**
   * `input.attributes` as the OPA Envoy plugin writes it: lowerCamelCase, only what is populated, 64-bit numbers and enums
   * as numbers, bytes as base64, the time as seconds and nanoseconds.
   */
  attributes(): JsonObject {
    const document: Record<string, JsonValue> = {}
    if (this.source !== undefined) document['source'] = peerJson(this.source)
    if (this.destination !== undefined) document['destination'] = peerJson(this.destination)
    if (this.hasRequest) {
      const request: Record<string, JsonValue> = {}
      if (this.time !== undefined)
        request['time'] = populated({ seconds: this.time.seconds, nanos: this.time.nanos })
      if (this.hasHttp) request['http'] = this.#httpJson()
      document['request'] = request
    }
    if (Object.keys(this.contextExtensions).length > 0) document['contextExtensions'] = this.contextExtensions
    if (this.metadataContext !== undefined) document['metadataContext'] = this.metadataContext
    if (this.routeMetadataContext !== undefined) document['routeMetadataContext'] = this.routeMetadataContext
    if (this.sni !== undefined) document['tlsSession'] = populated({ sni: this.sni })
    return document
  }

  #httpJson(): JsonObject {
    // Envoy sends raw headers in their place; a policy that reads `headers` must not find an empty map for that.
    const isRaw = this.headerMap !== undefined && this.headerKeys.length === 0
    const headers: Record<string, string> = isRaw ? joinedHeaders(this.headers) : {}
    for (let i = 0; i < this.headerKeys.length; i++)
      setOwn(headers, this.headerKeys[i] as string, this.headerValues[i] as string)
    const http: Record<string, JsonValue> = {}
    populate(http, {
      id: this.id,
      method: this.method,
      headers,
      path: this.path,
      host: this.authority,
      scheme: this.scheme,
      query: this.query,
      fragment: this.fragment,
      size: this.size,
      protocol: this.protocol,
      body: this.textBody,
      rawBody: this.rawBody?.toString('base64'),
    })
    if (this.headerMap === undefined) return http
    const raw = this.headerMap.map(rawHeaderJson)
    http['headerMap'] = raw.length === 0 ? {} : { headers: raw }
    return http
  }
}

/** Field by field, as below: there are a dozen of them in each check. */
function rawHeaderJson({ key, value, rawValue }: RawHeader): JsonObject {
  const fields: Record<string, JsonValue> = {}
  if (key !== '') fields['key'] = key
  if (value !== '') fields['value'] = value
  if (rawValue.length > 0) fields['rawValue'] = rawValue.toString('base64')
  return fields
}

function peerJson({ address, service, labels, principal, certificate }: PeerFacts): JsonObject {
  if (address === undefined) return populated({ service, labels, principal, certificate })
  // An address with nothing in it is there all the same.
  const peer: Record<string, JsonValue> = { address: addressJson(address) }
  return populate(peer, { service, labels, principal, certificate })
}

function addressJson(address: AddressFacts): JsonObject {
  switch (address.kind) {
    case 'socketAddress':
      return { socketAddress: socketJson(address) }
    case 'pipe':
      return { pipe: populated({ path: address.path, mode: address.mode }) }
    case 'envoyInternalAddress': {
      const { serverListenerName, endpointId } = address
      // A member of a oneof is there when it was set, to nothing too.
      const name = serverListenerName === undefined ? {} : { serverListenerName }
      return { envoyInternalAddress: { ...name, ...populated({ endpointId }) } }
    }
    case 'none':
      return {}
    default:
      return address satisfies never
  }
}

/** Field by field: with rest and spread the two of each check cost 1.3 µs more (`bench -- authz`). */
function socketJson(socket: Extract<AddressFacts, { kind: 'socketAddress' }>): JsonObject {
  const { protocol, address, resolverName, ipv4Compat, networkNamespaceFilepath } = socket
  const fields: Record<string, JsonValue> = {}
  if (protocol !== 0) fields['protocol'] = protocol
  if (address !== '') fields['address'] = address
  if (resolverName !== '') fields['resolverName'] = resolverName
  if (ipv4Compat) fields['ipv4Compat'] = ipv4Compat
  if (networkNamespaceFilepath !== '') fields['networkNamespaceFilepath'] = networkNamespaceFilepath
  // A member of a oneof is there when it was set, to nothing too.
  if (socket.portValue !== undefined) fields['portValue'] = socket.portValue
  else if (socket.namedPort !== undefined) fields['namedPort'] = socket.namedPort
  return fields
}

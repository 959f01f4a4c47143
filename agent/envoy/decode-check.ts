import type { JsonValue } from '#base/json.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import { type AddressFacts, CheckFacts, type PeerFacts, type RawHeader } from './check-facts.ts'
import { populated } from './populated.ts'
import { readStruct, readTextEntry, setOwn } from './wire/common.ts'
import { Reader, WireFault } from './wire/reader.ts'

/**
 * Reads a CheckRequest into facts, in one walk over its bytes.
 *
 * @throws WireFault when the bytes are no such message or say nothing of an HTTP request; URIError for a certificate that
 *   is not URL-encoded.
 * @see envoy/service/auth/v3/attribute_context.proto for the field numbers
 */
export function decodeCheck(bytes: Buffer, nowMs: number): RequestFacts {
  const reader = new Reader(bytes)
  const facts = new CheckFacts(nowMs)
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) readAttributes(reader, facts)
    else reader.skip(tag)
  }
  if (!facts.hasHttp) throw new WireFault('no attributes.request.http', bytes.length)
  return facts.complete()
}

function readAttributes(reader: Reader, facts: CheckFacts): void {
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    switch (tag) {
      case 0x0a:
        facts.source = readPeer(reader, facts.source)
        break
      case 0x12:
        facts.destination = readPeer(reader, facts.destination)
        break
      case 0x22:
        readRequest(reader, facts)
        break
      case 0x52:
        readTextEntry(reader, facts.contextExtensions)
        break
      case 0x5a:
        facts.metadataContext = readMetadata(reader, facts.metadataContext)
        break
      case 0x62:
        readTlsSession(reader, facts)
        break
      case 0x6a:
        facts.routeMetadataContext = readMetadata(reader, facts.routeMetadataContext)
        break
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
}

function readPeer(reader: Reader, before: PeerFacts | undefined): PeerFacts {
  const peer = before ?? { address: undefined, service: '', labels: {}, principal: '', certificate: '' }
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    switch (tag) {
      case 0x0a:
        peer.address = readAddress(reader, peer.address)
        break
      case 0x12:
        peer.service = reader.string()
        break
      case 0x1a:
        readTextEntry(reader, peer.labels)
        break
      case 0x22:
        peer.principal = reader.string()
        break
      case 0x2a:
        peer.certificate = reader.string()
        break
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
  return peer
}

function readAddress(reader: Reader, before: AddressFacts | undefined): AddressFacts {
  let address: AddressFacts = before ?? { kind: 'none' }
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) address = readSocketAddress(reader, address)
    else if (tag === 0x12) address = readPipe(reader, address)
    else if (tag === 0x1a) address = readInternalAddress(reader, address)
    else reader.skip(tag)
  }
  reader.leave(outer)
  return address
}

function readSocketAddress(reader: Reader, before: AddressFacts): AddressFacts {
  const socket: Extract<AddressFacts, { kind: 'socketAddress' }> =
    before.kind === 'socketAddress'
      ? before
      : {
          kind: 'socketAddress',
          protocol: 0,
          address: '',
          portValue: undefined,
          namedPort: undefined,
          resolverName: '',
          ipv4Compat: false,
          networkNamespaceFilepath: '',
        }
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    switch (tag) {
      case 0x08:
        socket.protocol = reader.int32()
        break
      case 0x12:
        socket.address = reader.string()
        break
      case 0x18:
        socket.portValue = reader.uint32()
        socket.namedPort = undefined
        break
      case 0x22:
        socket.namedPort = reader.string()
        socket.portValue = undefined
        break
      case 0x2a:
        socket.resolverName = reader.string()
        break
      case 0x30:
        socket.ipv4Compat = reader.bool()
        break
      case 0x3a:
        socket.networkNamespaceFilepath = reader.string()
        break
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
  return socket
}

function readPipe(reader: Reader, before: AddressFacts): AddressFacts {
  const pipe: Extract<AddressFacts, { kind: 'pipe' }> =
    before.kind === 'pipe' ? before : { kind: 'pipe', path: '', mode: 0 }
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) pipe.path = reader.string()
    else if (tag === 0x10) pipe.mode = reader.uint32()
    else reader.skip(tag)
  }
  reader.leave(outer)
  return pipe
}

function readInternalAddress(reader: Reader, before: AddressFacts): AddressFacts {
  const internal: Extract<AddressFacts, { kind: 'envoyInternalAddress' }> =
    before.kind === 'envoyInternalAddress'
      ? before
      : { kind: 'envoyInternalAddress', serverListenerName: undefined, endpointId: '' }
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) internal.serverListenerName = reader.string()
    else if (tag === 0x12) internal.endpointId = reader.string()
    else reader.skip(tag)
  }
  reader.leave(outer)
  return internal
}

function readRequest(reader: Reader, facts: CheckFacts): void {
  facts.hasRequest = true
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) readTime(reader, facts)
    else if (tag === 0x12) readHttp(reader, facts)
    else reader.skip(tag)
  }
  reader.leave(outer)
}

function readTime(reader: Reader, facts: CheckFacts): void {
  facts.time ??= { seconds: 0, nanos: 0 }
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x08) facts.time.seconds = reader.int64()
    else if (tag === 0x10) facts.time.nanos = reader.int32()
    else reader.skip(tag)
  }
  reader.leave(outer)
}

function readHttp(reader: Reader, facts: CheckFacts): void {
  facts.hasHttp = true
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    switch (tag) {
      case 0x0a:
        facts.id = reader.string()
        break
      case 0x12:
        facts.method = reader.string()
        break
      case 0x1a:
        readHeaderEntry(reader, facts)
        break
      case 0x22:
        facts.path = reader.string()
        break
      case 0x2a:
        facts.authority = reader.string()
        break
      case 0x32:
        facts.scheme = reader.string()
        break
      case 0x3a:
        facts.query = reader.string()
        break
      case 0x42:
        facts.fragment = reader.string()
        break
      case 0x48:
        facts.size = reader.int64()
        break
      case 0x52:
        facts.protocol = reader.string()
        break
      case 0x5a:
        facts.textBody = reader.string()
        break
      case 0x62:
        facts.rawBody = reader.view()
        break
      case 0x6a:
        readHeaderMap(reader, facts)
        break
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
}

/** One entry of the map `headers`. Of a key that stands there twice the last counts. */
function readHeaderEntry(reader: Reader, { headerKeys, headerValues }: CheckFacts): void {
  const outer = reader.enter()
  let key = ''
  let value = ''
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) key = reader.string()
    else if (tag === 0x12) value = reader.string()
    else reader.skip(tag)
  }
  reader.leave(outer)
  const known = headerKeys.indexOf(key)
  if (known === -1) {
    headerKeys.push(key)
    headerValues.push(value)
  } else headerValues[known] = value
}

function readHeaderMap(reader: Reader, facts: CheckFacts): void {
  facts.headerMap ??= []
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) facts.headerMap.push(readRawHeader(reader))
    else reader.skip(tag)
  }
  reader.leave(outer)
}

function readRawHeader(reader: Reader): RawHeader {
  const outer = reader.enter()
  let key = ''
  let value = ''
  let rawValue: Buffer = nothing
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) key = reader.string()
    else if (tag === 0x12) value = reader.string()
    else if (tag === 0x1a) rawValue = reader.view()
    else reader.skip(tag)
  }
  reader.leave(outer)
  return { key, value, rawValue }
}

const nothing = Buffer.alloc(0)

/** envoy.config.core.v3.Metadata in the form of `input.attributes`, added to what an earlier piece of it said. */
function readMetadata(reader: Reader, before: object | undefined) {
  const merged = before as { filterMetadata?: object; typedFilterMetadata?: object } | undefined
  const filters: Record<string, JsonValue> = { ...merged?.filterMetadata }
  const typed: Record<string, JsonValue> = { ...merged?.typedFilterMetadata }
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) readFilterMetadata(reader, filters)
    else if (tag === 0x12) readTypedMetadata(reader, typed)
    else reader.skip(tag)
  }
  reader.leave(outer)
  return populated({ filterMetadata: filters, typedFilterMetadata: typed })
}

function readFilterMetadata(reader: Reader, into: Record<string, JsonValue>): void {
  const outer = reader.enter()
  let key = ''
  let value = {}
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) key = reader.string()
    else if (tag === 0x12) value = readStruct(reader, value)
    else reader.skip(tag)
  }
  reader.leave(outer)
  setOwn(into, key, value)
}

/** google.protobuf.Any stays closed: its type's name, and its bytes in base64. */
function readTypedMetadata(reader: Reader, into: Record<string, JsonValue>): void {
  const outer = reader.enter()
  let key = ''
  let typeUrl = ''
  let value: Buffer = nothing
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) key = reader.string()
    else if (tag !== 0x12) reader.skip(tag)
    else {
      const any = reader.enter()
      while (reader.at < reader.end) {
        const inner = reader.tag()
        if (inner === 0x0a) typeUrl = reader.string()
        else if (inner === 0x12) value = reader.view()
        else reader.skip(inner)
      }
      reader.leave(any)
    }
  }
  reader.leave(outer)
  setOwn(into, key, populated({ typeUrl, value: value.toString('base64') }))
}

function readTlsSession(reader: Reader, facts: CheckFacts): void {
  facts.sni ??= ''
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) facts.sni = reader.string()
    else reader.skip(tag)
  }
  reader.leave(outer)
}

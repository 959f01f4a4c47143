import type { JsonObject, JsonValue } from '#base/json.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { type BodyModes, noModes } from './body-modes.ts'
import { readHeaderMap, readStruct } from './wire/common.ts'
import { Reader } from './wire/reader.ts'

export type MessageKind =
  | 'request_headers'
  | 'response_headers'
  | 'request_body'
  | 'response_body'
  | 'request_trailers'
  | 'response_trailers'

/** A piece of a body. */
export interface BodyPiece {
  readonly body: Buffer
  readonly endOfStream: boolean
}

/** One step of an HTTP stream, as a ProcessingRequest tells it. */
export interface ProcessingMessage extends BodyPiece {
  /** `undefined` when it tells of no step that we know. */
  readonly kind: MessageKind | undefined
  /** Headers or trailers; empty for a body. */
  readonly headers: RequestHeaders
  /** What Envoy was asked to add, by name; mostly only with the headers of each direction. */
  readonly attributes: JsonObject
  /** Only in the first message of a stream. */
  readonly modes: BodyModes | undefined
  /** Nobody waits for an answer. */
  readonly isObserved: boolean
}

/** Where Envoy puts the attributes that it was asked for. */
const attributesKey = 'envoy.filters.http.ext_proc'
const nothing: Buffer = Buffer.alloc(0)
const noAttributes: JsonObject = {}
const noHeaders = new RequestHeaders()

/** The members of the oneof `request`, by their tags. */
const kinds: ReadonlyMap<number, MessageKind> = new Map([
  [0x12, 'request_headers'],
  [0x1a, 'response_headers'],
  [0x22, 'request_body'],
  [0x2a, 'response_body'],
  [0x32, 'request_trailers'],
  [0x3a, 'response_trailers'],
])

interface Draft {
  kind: MessageKind | undefined
  headers: RequestHeaders
  body: Buffer
  endOfStream: boolean
  attributes: JsonObject
  modes: BodyModes | undefined
  isObserved: boolean
}

/**
 * Reads a ProcessingRequest, in one walk over its bytes. A body is a view of them.
 *
 * @throws WireFault when the bytes are no such message.
 * @see envoy/service/ext_proc/v3/external_processor.proto for the field numbers
 */
export function decodeProcessing(bytes: Buffer): ProcessingMessage {
  const reader = new Reader(bytes)
  const draft: Draft = {
    kind: undefined,
    headers: noHeaders,
    body: nothing,
    endOfStream: false,
    attributes: noAttributes,
    modes: undefined,
    isObserved: false,
  }
  while (reader.at < reader.end) {
    const tag = reader.tag()
    const kind = kinds.get(tag)
    if (kind !== undefined) readStep(reader, kind, draft)
    else if (tag === 0x4a) readAttributes(reader, draft)
    else if (tag === 0x50) draft.isObserved = reader.bool()
    else if (tag === 0x5a) draft.modes = readModes(reader, draft.modes ?? noModes)
    else reader.skip(tag)
  }
  return draft
}

function readStep(reader: Reader, kind: MessageKind, draft: Draft): void {
  // Of a oneof the last member counts; a member that comes twice is merged.
  if (draft.kind !== kind) {
    draft.kind = kind
    draft.headers = noHeaders
    draft.body = nothing
    draft.endOfStream = false
  }
  const outer = reader.enter()
  const isBody = kind === 'request_body' || kind === 'response_body'
  if (isBody) readBody(reader, draft)
  else readHeaders(reader, draft, kind.endsWith('headers'))
  reader.leave(outer)
}

/** HttpHeaders, or HttpTrailers, which hold no end. */
function readHeaders(reader: Reader, draft: Draft, mayEnd: boolean): void {
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) {
      if (draft.headers === noHeaders) draft.headers = new RequestHeaders()
      readHeaderMap(reader, draft.headers)
    } else if (tag === 0x18 && mayEnd) draft.endOfStream = reader.bool()
    else reader.skip(tag)
  }
}

function readBody(reader: Reader, draft: Draft): void {
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) draft.body = reader.view()
    else if (tag === 0x10) draft.endOfStream = reader.bool()
    else reader.skip(tag)
  }
}

/** One entry of `map<string, google.protobuf.Struct>`. */
function readAttributes(reader: Reader, draft: Draft): void {
  const outer = reader.enter()
  let key = ''
  let value: Record<string, JsonValue> = {}
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) key = reader.string()
    else if (tag === 0x12) value = readStruct(reader, value) as Record<string, JsonValue>
    else reader.skip(tag)
  }
  reader.leave(outer)
  if (key === attributesKey) draft.attributes = value
}

function readModes(reader: Reader, before: BodyModes): BodyModes {
  let { request, response, isEager } = before
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x08) request = reader.int32()
    else if (tag === 0x10) response = reader.int32()
    else if (tag === 0x18) isEager = reader.bool()
    else reader.skip(tag)
  }
  reader.leave(outer)
  return { request, response, isEager }
}

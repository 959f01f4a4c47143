import type { JsonObject } from '#base/json.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Decision } from '#decision/pipeline.ts'
import type { Header } from '#decision/verdict.ts'
import { type BodyModes, bodySendMode, headerSendMode } from './body-modes.ts'
import { denialOf, refusedOf } from './denial.ts'
import type { BodyPiece } from './processing-message.ts'
import { upstreamHeaders } from './upstream-headers.ts'
import { upstreamPath } from './upstream-path.ts'
import { writeAddedHeaders, writeHeaderOptions } from './wire/header-options.ts'
import { Writer } from './wire/writer.ts'

type Permitted = Extract<Decision, { kind: 'allow' }>

/** What becomes of a piece of a body; in full duplex every piece has to be sent back. */
export type BodyChange =
  | { readonly kind: 'replace'; readonly body: Uint8Array }
  | { readonly kind: 'clear' }
  | {
      readonly kind: 'streamed'
      readonly piece: Pick<BodyPiece, 'endOfStream'> & { readonly body: Uint8Array }
    }

/** What is changed about an answer on its way to the client. */
export interface AnswerChanges {
  /** Each stands beside those of its name, once what is removed is gone. */
  readonly add: readonly Header[]
  readonly remove: readonly string[]
  readonly body?: Uint8Array | undefined
  readonly dynamicMetadata?: JsonObject | undefined
  /** How bodies are to come from here on, in place of what Envoy was configured to do. */
  readonly override?: BodyModes
}

/** Metadata that policies set stands under this namespace. */
export const metadataNamespace = 'sluice'

/** Members of the oneof `response`, by their tags. @see envoy/service/ext_proc/v3/external_processor.proto */
const answers = {
  requestHeaders: 0x0a,
  responseHeaders: 0x12,
  requestBody: 0x1a,
  responseBody: 0x22,
  requestTrailers: 0x2a,
  responseTrailers: 0x32,
} as const
const immediateResponse = 0x3a

const writer = new Writer()

/** Go on, nothing to change: the answers that most messages get, made once. */
export const unchanged: Readonly<Record<keyof typeof answers, Uint8Array>> = {
  requestHeaders: Uint8Array.of(answers.requestHeaders, 0),
  responseHeaders: Uint8Array.of(answers.responseHeaders, 0),
  requestBody: Uint8Array.of(answers.requestBody, 0),
  responseBody: Uint8Array.of(answers.responseBody, 0),
  requestTrailers: Uint8Array.of(answers.requestTrailers, 0),
  responseTrailers: Uint8Array.of(answers.responseTrailers, 0),
}

export function requestHeadersAnswer(x: Exchange, decision: Permitted): Uint8Array {
  writer.begin()
  writeMetadata(decision.mutations.dynamicMetadata)
  writeCommon(answers.requestHeaders, () => writePermittedHeaders(x, decision, []))
  return writer.finish()
}

/** A buffered body's answer may still change the headers, and must where the length changes. */
export function bufferedBodyAnswer(
  x: Exchange,
  decision: Permitted,
  body: Uint8Array | undefined,
): Uint8Array {
  const length: Header[] = body === undefined ? [] : [['content-length', String(body.length)]]
  writer.begin()
  writeMetadata(decision.mutations.dynamicMetadata)
  writeCommon(answers.requestBody, () => {
    if (body !== undefined) writeBodyMutation({ kind: 'replace', body })
    writePermittedHeaders(x, decision, length)
  })
  return writer.finish()
}

export function bodyAnswer(direction: 'requestBody' | 'responseBody', change: BodyChange): Uint8Array {
  writer.begin()
  writeCommon(answers[direction], () => writeBodyMutation(change))
  return writer.finish()
}

export function responseHeadersAnswer(changes: AnswerChanges): Uint8Array {
  return answered('responseHeaders', changes)
}

/** A buffered body's answer may still change the headers, and must where the length changes. */
export function bufferedResponseAnswer(changes: AnswerChanges): Uint8Array {
  return answered('responseBody', changes)
}

function answered(to: 'responseHeaders' | 'responseBody', changes: AnswerChanges): Uint8Array {
  const { add, remove, body, dynamicMetadata, override } = changes
  const isUnchanged = add.length === 0 && remove.length === 0 && body === undefined
  if (isUnchanged && dynamicMetadata === undefined && override === undefined) return unchanged[to]
  writer.begin()
  if (override !== undefined) writeOverride(override)
  writeMetadata(dynamicMetadata)
  writeCommon(answers[to], () => {
    if (body !== undefined) writeBodyMutation({ kind: 'replace', body })
    const before = writer.length
    for (let i = remove.length - 1; i >= 0; i--) writer.string(0x12, remove[i] as string)
    writeAddedHeaders(writer, 0x0a, add, 'raw')
    if (body !== undefined) writeHeaderOptions(writer, 0x0a, [['content-length', String(body.length)]], 'raw')
    writer.message(0x12, before)
  })
  return writer.finish()
}

/** ProcessingMode, every field of it: Envoy compares it with those that it allows. */
function writeOverride({ request, response }: BodyModes): void {
  const before = writer.length
  writer.varint(0x30, response === bodySendMode.NONE ? headerSendMode.SKIP : headerSendMode.SEND)
  writer.varint(0x28, headerSendMode.SKIP)
  writer.varint(0x20, response)
  writer.varint(0x18, request)
  writer.varint(0x10, headerSendMode.SEND)
  writer.varint(0x08, headerSendMode.SEND)
  writer.message(0x4a, before)
}

/** Asks Envoy to wait longer for the pending answer. It may be asked once for each. */
export function moreTime(ms: number): Uint8Array {
  writer.begin()
  const duration = writer.length
  writer.varint(0x10, Math.round((ms % 1000) * 1e6))
  writer.varint(0x08, Math.floor(ms / 1000))
  writer.message(0x52, duration)
  return writer.finish()
}

/** Ends the request with a refusal in the client's own protocol. */
export function refusal(x: Exchange, decision: Exclude<Decision, { kind: 'allow' }>): Uint8Array {
  const denial = denialOf(decision, refusedOf(x))
  writer.begin()
  writeMetadata(decision.kind === 'deny' ? decision.own?.dynamicMetadata : undefined)
  const immediate = writer.length
  writer.string(0x2a, `sluice_${decision.reason}`)
  if (denial.grpcStatus !== undefined) writeNumber(0x22, denial.grpcStatus)
  writer.string(0x1a, denial.body)
  const headers = writer.length
  writeHeaderOptions(writer, 0x0a, denial.headers, 'raw')
  writer.message(0x12, headers)
  writeNumber(0x0a, denial.httpStatus)
  writer.message(immediateResponse, immediate)
  return writer.finish()
}

/** A HeadersResponse or BodyResponse around a CommonResponse. */
function writeCommon(tag: number, write: () => void): void {
  const before = writer.length
  write()
  writer.message(0x0a, before)
  writer.message(tag, before)
}

/** HeaderMutation: what an allowed request carries upstream. `more` are set as well. */
function writePermittedHeaders(x: Exchange, decision: Permitted, more: readonly Header[]): void {
  const { set, remove } = upstreamHeaders(x, decision.mutations)
  const path = upstreamPath(x, decision.mutations)
  const moved: Header[] = path === x.request.path ? [] : [[':path', path]]
  const before = writer.length
  for (let i = remove.length - 1; i >= 0; i--) writer.string(0x12, remove[i] as string)
  writeHeaderOptions(writer, 0x0a, more, 'raw')
  writeHeaderOptions(writer, 0x0a, set, 'raw')
  writeHeaderOptions(writer, 0x0a, moved, 'raw')
  writer.message(0x12, before)
}

function writeBodyMutation(change: BodyChange): void {
  const before = writer.length
  switch (change.kind) {
    case 'replace':
      writer.bytes(0x0a, change.body)
      break
    case 'clear':
      writer.varint(0x10, 1)
      break
    case 'streamed': {
      const streamed = writer.length
      if (change.piece.endOfStream) writer.varint(0x10, 1)
      writer.bytes(0x0a, change.piece.body)
      writer.message(0x1a, streamed)
      break
    }
    default:
      change satisfies never
  }
  writer.message(0x1a, before)
}

/** A message with one number as its first field: HttpStatus, GrpcStatus. */
function writeNumber(tag: number, value: number): void {
  const before = writer.length
  writer.varint(0x08, value)
  writer.message(tag, before)
}

function writeMetadata(metadata: JsonObject | undefined): void {
  if (metadata !== undefined) writer.struct(0x42, { [metadataNamespace]: metadata })
}

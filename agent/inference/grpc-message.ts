import type { ReasonCode } from '#decision/reasons.ts'
import { readField, strictText } from './protobuf-field.ts'

/** What the first message of a call names. */
export type NamedModel =
  | { readonly kind: 'named'; readonly model: string; readonly version: string }
  /** More bytes are needed: the fields may still come. */
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'refused'; readonly reason: ReasonCode; readonly detail: string }

/** Field 1 is the model's name and field 2 its version in every message of the service that has them. */
const nameField = 1
const versionField = 2
const frameHeaderBytes = 5
const maxNameBytes = 1024

const refused = (reason: ReasonCode, detail: string): Extract<NamedModel, { kind: 'refused' }> => ({
  kind: 'refused',
  reason,
  detail,
})

/**
 * Reads name and version from the start of a gRPC frame.
 *
 * Protobuf lets fields come in any order and takes the last of a repeated scalar, so a version that follows the tensors
 * would win over the one decided on. Therefore name and version are accepted only before every other field: all known
 * encoders write fields in the order of their numbers, and {@link createFrameGuard} refuses a later one.
 *
 * @param bytes the body so far @param isComplete whether the body ends here
 */
export function readNamedModel(bytes: Uint8Array, isComplete: boolean): NamedModel {
  const needMore: NamedModel = isComplete
    ? refused('request_malformed', 'the message is cut off')
    : { kind: 'incomplete' }
  if (bytes.length < frameHeaderBytes) return needMore
  if (bytes[0] !== 0) return refused('message_compressed', 'the compressed flag is set')
  const length = frameLength(bytes)
  const end = frameHeaderBytes + length
  if (isComplete && bytes.length < end)
    return refused('request_malformed', 'the frame is longer than the body')
  let model = ''
  let version = ''
  let at = frameHeaderBytes
  while (at < end) {
    const field = readField(bytes, at, end)
    if (field === 'malformed') return refused('request_malformed', 'not a protobuf message')
    if (field === 'short') return needMore
    if (field.number > versionField) break
    if (field.wireType !== 2) return refused('request_malformed', 'a name that is no string')
    if (field.end - field.start > maxNameBytes)
      return refused('model_name_invalid', 'a name that is too long')
    if (bytes.length < field.end) return needMore
    const text = strictText(bytes.subarray(field.start, field.end))
    if (text === undefined) return refused('request_malformed', 'a name that is not UTF-8')
    if (field.number === nameField) {
      if (model !== '') return refused('request_malformed', 'the model is named twice')
      model = text
    } else {
      if (version !== '') return refused('request_malformed', 'the version is named twice')
      version = text
    }
    at = field.end
  }
  return { kind: 'named', model, version }
}

/**
 * The same bytes with the version written behind the name and the frame's length corrected. Only the start of the first
 * frame is rebuilt; what follows, tensors above all, is taken over as it is.
 *
 * @param bytes the start of the body, at least as much as {@link readNamedModel} wanted
 */
export function spliceModelVersion(bytes: Uint8Array, version: string): Uint8Array {
  const end = frameHeaderBytes + frameLength(bytes)
  const kept: Uint8Array[] = []
  let at = frameHeaderBytes
  while (at < end) {
    const field = readField(bytes, at, end)
    if (typeof field === 'string' || field.number > versionField) break
    if (field.number === nameField) kept.push(bytes.subarray(at, field.end))
    at = field.end
  }
  const text = Buffer.from(version)
  const spliced = Buffer.concat([
    bytes.subarray(0, frameHeaderBytes),
    ...kept,
    Buffer.from([(versionField << 3) | 2, text.length]),
    text,
    bytes.subarray(at),
  ])
  spliced.writeUInt32BE(end - frameHeaderBytes + spliced.length - bytes.length, 1)
  return spliced
}

/** Watches a request body, chunk by chunk, for what would undo the decision. Constant memory. */
export interface FrameGuard {
  /** Why the call must end; `undefined` while all is well. Chunks in order, the first included. */
  feed(chunk: Uint8Array): string | undefined
}

/**
 * Walks the body's top-level fields: a name or version behind another field, a compressed frame or a second message
 * would reach the model server unread. A stream may therefore carry one request (and any number of answers).
 */
export function createFrameGuard(): FrameGuard {
  let header = Buffer.alloc(0)
  let frames = 0
  let left = 0
  let skip = 0
  let hasOther = false
  let tag = Buffer.alloc(0)
  return {
    feed: (chunk) => {
      let at = 0
      while (at < chunk.length) {
        if (left === 0) {
          const taken = chunk.subarray(at, at + frameHeaderBytes - header.length)
          header = Buffer.concat([header, taken])
          at += taken.length
          if (header.length < frameHeaderBytes) return undefined
          if (header[0] !== 0) return 'a compressed frame'
          if (++frames > 1) return 'a second message'
          left = frameLength(header)
          header = Buffer.alloc(0)
          skip = 0
          hasOther = false
          tag = Buffer.alloc(0)
          continue
        }
        if (skip > 0) {
          const skipped = Math.min(skip, chunk.length - at)
          skip -= skipped
          left -= skipped
          at += skipped
          continue
        }
        tag = Buffer.concat([tag, chunk.subarray(at, at + 1)])
        at++
        left--
        const field = readField(tag, 0, tag.length + left)
        if (field === 'malformed') return 'not a protobuf message'
        if (field === 'short') {
          if (left === 0) return 'not a protobuf message'
          continue
        }
        if (field.number > versionField) hasOther = true
        else if (hasOther) return 'a model name or version behind other fields'
        skip = field.end - tag.length
        tag = Buffer.alloc(0)
      }
      return undefined
    },
  }
}

function frameLength(bytes: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt32BE(1)
}

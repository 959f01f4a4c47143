import { encodeHeaders } from './hpack/encoder.ts'
import { encodeGrpcMessage, type Metadata, type Status } from './service.ts'

/** The codes that the host itself answers with. @see google.rpc.Code */
export const code = {
  ok: 0,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
} as const

export const ok: Status = { code: code.ok, message: '' }

const head: Metadata = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]

/** Header block that begins an answer with messages. */
export const answerHead = encodeHeaders(head)
/** Header block that ends a good answer. */
export const okTrailers = encodeHeaders([['grpc-status', '0']])

export function answerHeadWith(metadata: Metadata): Buffer {
  return encodeHeaders([...head, ...metadata])
}

/** Header block with the status of a call: behind its messages, or alone where it has none. */
export function statusBlock(status: Status, metadata: Metadata, isAlone: boolean): Buffer {
  if (status === ok && metadata.length === 0 && !isAlone) return okTrailers
  return encodeHeaders([
    ...(isAlone ? head : []),
    ['grpc-status', String(status.code)],
    ...(status.message === '' ? [] : [['grpc-message', encodeGrpcMessage(status.message)] as const]),
    ...metadata,
  ])
}

/** Header block of an answer to what is no gRPC call. */
export function plainStatus(httpStatus: number): Buffer {
  return encodeHeaders([[':status', String(httpStatus)]])
}

/** What to tell a client that compresses its messages. */
export const acceptNoEncoding: Metadata = [['grpc-accept-encoding', 'identity']]

import type { JsonValue } from '#base/json.ts'
import type { BodyFacts, ParsedBody } from './body.ts'

/** What became of a message: its protojson, or why there is none. */
export type MessageReading =
  | { readonly kind: 'value'; readonly value: JsonValue }
  /** No such method, or one whose client streams. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'malformed' }

/** Reads the message that a gRPC method takes. */
export type MessageReader = (method: {
  /** With its package, `inference.GRPCInferenceService`. */
  readonly service: string
  readonly name: string
  readonly message: Buffer
}) => MessageReading

const nothing: ParsedBody = { isTruncated: false, value: null }
const frameBytes = 5

/**
 * The first message of a gRPC call. Null where it is compressed or of a method that nobody described.
 *
 * @returns `undefined` for what is no call of gRPC.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export function readFrame({ body, path }: BodyFacts, readMessage: MessageReader): ParsedBody | undefined {
  if (body === undefined || body.length === 0) return nothing
  const [service, name, ...more] = path
  if (service === undefined || name === undefined || more.length > 0 || body.length < frameBytes)
    return undefined
  const octets = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (octets[0] !== 0) return nothing
  const end = frameBytes + octets.readUInt32BE(1)
  if (end > octets.length) return { isTruncated: true, value: null }
  const reading = readMessage({ service, name, message: octets.subarray(frameBytes, end) })
  switch (reading.kind) {
    case 'value':
      return { isTruncated: false, value: reading.value }
    case 'unknown':
      return nothing
    case 'malformed':
      return undefined
    default:
      return reading satisfies never
  }
}

import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import type { CallContext, Metadata, Method, Status } from '#grpc/service.ts'

/**
 * `grpc.testing.TestService`, as gRPC's interop cases want it.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
 */
export const testService: readonly Method[] = [
  { kind: 'unary', path: '/grpc.testing.TestService/EmptyCall', handle: () => new Uint8Array() },
  {
    kind: 'unary',
    path: '/grpc.testing.TestService/UnaryCall',
    handle: (message, call) => {
      echo(call)
      const { size, status } = readRequest(message)
      return status ?? payload(size)
    },
  },
  {
    kind: 'stream',
    path: '/grpc.testing.TestService/StreamingInputCall',
    open: (writer) => {
      let bytes = 0
      return {
        message: (message) => {
          bytes += readRequest(message).payloadBytes
        },
        halfClosed: () => {
          writer.send(new BinaryWriter().tag(1, WireType.Varint).int32(bytes).finish())
          writer.close()
        },
        ended: () => {},
      }
    },
  },
  ...['StreamingOutputCall', 'FullDuplexCall'].map(
    (name): Method => ({
      kind: 'stream',
      path: `/grpc.testing.TestService/${name}`,
      open: (writer, call) => {
        echo(call)
        return {
          message: (message) => {
            const { sizes, status } = readRequest(message)
            if (status !== undefined) return writer.close(status)
            for (const size of sizes) writer.send(payload(size))
          },
          halfClosed: () => writer.close(),
          ended: () => {},
        }
      },
    }),
  ),
]

/** The two keys that a client may want to see again, one with the headers and one with the trailers. */
function echo(call: CallContext): void {
  const again = (key: string): Metadata => {
    const value = call.metadata(key)
    return value === undefined ? [] : [[key, value]]
  }
  call.setHeaders(again('x-grpc-test-echo-initial'))
  call.setTrailers(again('x-grpc-test-echo-trailing-bin'))
}

/** A message whose only field is a payload of `size` bytes. */
function payload(size: number): Uint8Array {
  const body = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(new Uint8Array(size)).finish()
  return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(body).finish()
}

interface Request {
  /** Of the answer to a unary call. */
  size: number
  /** Of the answers in a stream. */
  readonly sizes: number[]
  payloadBytes: number
  status?: Status
}

/** What the three request messages have in common: their numbers agree, but that one has its payload as field 1. */
function readRequest(message: Uint8Array): Request {
  const request: Request = { size: 0, sizes: [], payloadBytes: 0 }
  eachField(message, (number, value) => {
    if (number === 2 && typeof value === 'number') request.size = value
    if (typeof value === 'number') return
    if (number === 2) request.sizes.push(numberOf(value, 1))
    if (number === 1 || number === 3) request.payloadBytes += bytesOf(value, 2).length
    if (number === 7)
      request.status = { code: numberOf(value, 1), message: Buffer.from(bytesOf(value, 2)).toString() }
  })
  return request
}

function numberOf(message: Uint8Array, wanted: number): number {
  let found = 0
  eachField(message, (number, value) => {
    if (number === wanted && typeof value === 'number') found = value
  })
  return found
}

function bytesOf(message: Uint8Array, wanted: number): Uint8Array {
  let found: Uint8Array = new Uint8Array()
  eachField(message, (number, value) => {
    if (number === wanted && typeof value !== 'number') found = value
  })
  return found
}

function eachField(message: Uint8Array, see: (number: number, value: number | Uint8Array) => void): void {
  const reader = new BinaryReader(message)
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag()
    if (wireType === WireType.Varint) see(number, reader.int32())
    else if (wireType === WireType.LengthDelimited) see(number, reader.bytes())
    else reader.skip(wireType, number)
  }
}

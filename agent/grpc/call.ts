import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { frame, MessageReader } from './messages.ts'
import { encodeGrpcMessage, type Method, type Status, type StreamReader } from './service.ts'

const ok: Status = { code: 0, message: '' }
const invalidArgument = 3
const unimplemented = 12

/** Serves one HTTP/2 stream as a call of the method that its path names. */
export function serveCall(options: {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  readonly methods: ReadonlyMap<string, Method>
  readonly maxMessageBytes: number
}): void {
  const { stream, headers, methods, maxMessageBytes } = options
  // A reset or a broken connection: 'close' follows, and that is where a call ends.
  stream.on('error', () => {})
  if (!String(headers['content-type'] ?? '').startsWith('application/grpc')) {
    stream.respond({ ':status': 415 }, { endStream: true })
    return
  }
  const method = methods.get(String(headers[':path']))
  if (method === undefined) return finish(stream, { code: unimplemented, message: 'unknown method' })
  const messages = new MessageReader(maxMessageBytes)
  if (method.kind === 'unary') serveUnary(stream, method, messages)
  else serveStream(stream, method, messages)
}

function serveUnary(
  stream: ServerHttp2Stream,
  method: Extract<Method, { kind: 'unary' }>,
  messages: MessageReader,
): void {
  let request: Buffer | undefined
  let count = 0
  const take = (message: Buffer) => {
    request = message
    count++
  }
  stream.on('data', (chunk: Buffer) => {
    const fault = messages.feed(chunk, take)
    if (fault !== undefined) refuse(stream, fault)
  })
  stream.once('end', () => {
    if (stream.destroyed || stream.headersSent) return
    if (request === undefined || count !== 1 || messages.isPartial) {
      return finish(stream, { code: invalidArgument, message: 'expected one whole message' })
    }
    const answer = method.handle(request)
    if (answer instanceof Promise) answer.then((late) => answerUnary(stream, late))
    else answerUnary(stream, answer)
  })
}

function answerUnary(stream: ServerHttp2Stream, answer: Uint8Array | Status): void {
  if (stream.destroyed) return
  if (!(answer instanceof Uint8Array)) return finish(stream, answer)
  begin(stream, () => ok)
  stream.end(frame(answer))
}

function serveStream(
  stream: ServerHttp2Stream,
  method: Extract<Method, { kind: 'stream' }>,
  messages: MessageReader,
): void {
  let isOver = false
  let final = ok
  const end = () => {
    if (isOver) return
    isOver = true
    reader.ended()
  }
  const close = (status: Status) => {
    if (isOver) return
    final = status
    if (!stream.headersSent) finish(stream, status)
    else stream.end()
    end()
  }
  const reader: StreamReader = method.open({
    send: (message) => {
      if (isOver || stream.destroyed) return
      if (!stream.headersSent) begin(stream, () => final)
      stream.write(frame(message))
    },
    close: (status = ok) => close(status),
  })
  stream.on('data', (chunk: Buffer) => {
    const fault = messages.feed(chunk, (message) => {
      if (!isOver) reader.message(message)
    })
    if (fault !== undefined) close(fault)
  })
  stream.once('end', () => {
    if (!isOver) reader.halfClosed()
  })
  stream.once('close', end)
}

/** Answer headers, with the status to follow in the trailers. */
function begin(stream: ServerHttp2Stream, status: () => Status): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.once('wantTrailers', () => stream.sendTrailers(statusHeaders(status())))
}

/** An answer without a message: status and headers in one. */
function finish(stream: ServerHttp2Stream, status: Status): void {
  if (stream.destroyed || stream.headersSent) return
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', ...statusHeaders(status) },
    { endStream: true },
  )
}

/** Ends a call whose request is not worth reading to its end. */
function refuse(stream: ServerHttp2Stream, status: Status): void {
  finish(stream, status)
  stream.close(constants.NGHTTP2_NO_ERROR)
}

function statusHeaders({ code, message }: Status): Record<string, string> {
  return {
    'grpc-status': String(code),
    ...(message !== '' && { 'grpc-message': encodeGrpcMessage(message) }),
  }
}

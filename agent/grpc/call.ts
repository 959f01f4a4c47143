import { fieldOf, type RequestHead } from './http2/request-head.ts'
import type { ServerStream, StreamUser } from './http2/stream.ts'
import { MessageReader } from './messages.ts'
import type { CallContext, Metadata, Method, Status, StreamReader, StreamWriter } from './service.ts'
import type { SpareMemory } from './spare-memory.ts'
import { acceptNoEncoding, answerHead, answerHeadWith, code, ok, plainStatus, statusBlock } from './status.ts'

export interface CallOptions {
  readonly methods: ReadonlyMap<string, Method>
  readonly maxMessageBytes: number
  readonly nowMs: () => number
  readonly spare: SpareMemory
  /** Told of what a handler threw, which it must not. */
  onHandlerFault(cause: unknown): void
}

const methodNotAllowed = plainStatus(405)
const unsupportedMediaType = plainStatus(415)

/** `application/grpc`, alone or with a suffix or parameters; gRPC-Web is another protocol. */
const grpcContentType = /^application\/grpc(?:[+;]|$)/
const unitMs: ReadonlyMap<string, number> = new Map([
  ['H', 3_600_000],
  ['M', 60_000],
  ['S', 1000],
  ['m', 1],
  ['u', 1e-3],
  ['n', 1e-6],
])
/** What a timer can wait. */
const maxTimerMs = 2 ** 31 - 1

/**
 * Serves one HTTP/2 stream as a call of the method that its path names.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export function openCall(
  stream: ServerStream,
  head: RequestHead,
  options: CallOptions,
): StreamUser | undefined {
  if (head.method !== 'POST') return refuse(stream, methodNotAllowed)
  if (!grpcContentType.test(head.contentType)) return refuse(stream, unsupportedMediaType)
  const method = options.methods.get(head.path)
  if (method === undefined)
    return refuse(stream, statusBlock({ code: code.unimplemented, message: 'unknown method' }, [], true))
  let timeoutMs: number | undefined
  if (head.timeout !== '') {
    timeoutMs = parseTimeout(head.timeout)
    if (timeoutMs === undefined)
      return refuse(stream, statusBlock({ code: code.internal, message: 'malformed grpc-timeout' }, [], true))
  }
  return method.kind === 'unary'
    ? new UnaryCall(stream, head, options, timeoutMs, method)
    : new StreamCall(stream, head, options, timeoutMs, method)
}

function refuse(stream: ServerStream, block: Buffer): undefined {
  stream.headers(block, true)
}

/** Milliseconds of a `grpc-timeout`. */
function parseTimeout(text: string): number | undefined {
  const unit = unitMs.get(text.slice(-1))
  return unit !== undefined && /^\d{1,8}$/.test(text.slice(0, -1))
    ? Number(text.slice(0, -1)) * unit
    : undefined
}

/** What both kinds of call have in common: metadata, deadline, the way an answer goes out. */
abstract class Call implements StreamUser, CallContext {
  readonly deadlineMs: number | undefined
  protected readonly stream: ServerStream
  protected readonly options: CallOptions
  protected readonly messages: MessageReader
  protected isOver = false
  readonly #fields: readonly string[]
  readonly #timeoutMs: number | undefined
  #headers: Metadata = []
  #trailers: Metadata = []
  #timer: NodeJS.Timeout | undefined
  #hasBegun = false

  constructor(
    stream: ServerStream,
    head: RequestHead,
    options: CallOptions,
    timeoutMs: number | undefined,
    spare: SpareMemory | undefined,
  ) {
    this.stream = stream
    this.options = options
    this.#fields = head.fields
    this.#timeoutMs = timeoutMs
    this.deadlineMs = timeoutMs === undefined ? undefined : options.nowMs() + timeoutMs
    this.messages = new MessageReader({
      maxBytes: options.maxMessageBytes,
      encoding: head.encoding,
      hold: (bytes) => stream.hold(bytes),
      spare,
    })
  }

  metadata(name: string): string | undefined {
    return fieldOf(this.#fields, name)
  }

  setHeaders(metadata: Metadata): void {
    this.#headers = metadata
  }

  setTrailers(metadata: Metadata): void {
    this.#trailers = metadata
  }

  abstract data(bytes: Buffer): void
  abstract end(): void
  abstract closed(): void

  protected answer(message: Uint8Array): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true
      this.stream.headers(this.#headers.length === 0 ? answerHead : answerHeadWith(this.#headers), false)
    }
    this.stream.message(message)
  }

  /** The last word of a call; it is over then. */
  protected finish(status: Status): void {
    if (this.isOver) return
    this.over()
    const metadata = this.#hasBegun ? this.#trailers : [...this.#headers, ...this.#trailers]
    this.stream.headers(statusBlock(status, metadata, !this.#hasBegun), true)
  }

  protected over(): void {
    this.isOver = true
    clearTimeout(this.#timer)
    this.messages.release()
  }

  /** For calls that take a while; the quick ones never see a timer. */
  protected watchDeadline(): void {
    if (this.#timeoutMs === undefined || this.isOver) return
    const expire = () => this.finish({ code: code.deadlineExceeded, message: 'deadline exceeded' })
    this.#timer = setTimeout(expire, Math.min(this.#timeoutMs, maxTimerMs)).unref()
  }

  /** Ends a call of which the client's side is wrong. */
  protected fault(status: Status): void {
    if (status.code === code.unimplemented) this.setTrailers(acceptNoEncoding)
    this.finish(status)
  }

  protected handlerFault(cause: unknown): void {
    this.options.onHandlerFault(cause)
    this.finish({ code: code.internal, message: 'internal error' })
  }
}

class UnaryCall extends Call {
  readonly #method: Extract<Method, { kind: 'unary' }>
  #request: Buffer | undefined
  #isSecond = false
  #isWorking = false

  constructor(
    stream: ServerStream,
    head: RequestHead,
    options: CallOptions,
    timeoutMs: number | undefined,
    method: Extract<Method, { kind: 'unary' }>,
  ) {
    super(stream, head, options, timeoutMs, undefined)
    this.#method = method
  }

  data(bytes: Buffer): void {
    if (this.isOver) return
    const fault = this.messages.feed(bytes, this.#take)
    if (fault !== undefined) this.fault(fault)
    // Not kept until the end: a client may send them without end.
    else if (this.#isSecond) this.finish({ code: code.unimplemented, message: 'a second message' })
  }

  end(): void {
    if (this.isOver) return
    if (this.messages.isPartial)
      return this.finish({ code: code.internal, message: 'a message that does not end' })
    if (this.#request === undefined) return this.finish({ code: code.unimplemented, message: 'no message' })
    try {
      const answer = this.#method.handle(this.#request, this)
      if (!(answer instanceof Promise)) return this.#answer(answer)
      this.#isWorking = true
      this.watchDeadline()
      answer.then(this.#answer, (cause: unknown) => this.handlerFault(cause)).finally(() => this.#done())
    } catch (cause) {
      this.handlerFault(cause)
    }
  }

  closed(): void {
    if (!this.isOver) this.over()
    // What was begun goes on without a reader: the place it takes is free when it is done, not before.
    if (this.#isWorking) this.stream.keepPlace(true)
  }

  #done(): void {
    if (this.stream.isClosed) this.stream.keepPlace(false)
    this.#isWorking = false
  }

  readonly #take = (message: Buffer): void => {
    if (this.#request !== undefined) this.#isSecond = true
    this.#request = message
  }

  readonly #answer = (answer: Uint8Array | Status): void => {
    if (this.isOver) return
    if (!(answer instanceof Uint8Array)) return this.finish(answer)
    this.answer(answer)
    this.finish(ok)
  }
}

class StreamCall extends Call implements StreamWriter {
  #reader: StreamReader | undefined
  #isPaused = false
  #waiting: Buffer[] = []
  #isHalfClosed = false

  constructor(
    stream: ServerStream,
    head: RequestHead,
    options: CallOptions,
    timeoutMs: number | undefined,
    method: Extract<Method, { kind: 'stream' }>,
  ) {
    super(stream, head, options, timeoutMs, options.spare)
    this.#safely(() => {
      this.#reader = method.open(this, this)
    })
    if (this.isOver) this.#readerEnded()
    else this.watchDeadline()
  }

  data(bytes: Buffer): void {
    if (this.isOver) return
    const fault = this.messages.feed(bytes, this.#take)
    if (fault !== undefined) this.fault(fault)
  }

  end(): void {
    this.#isHalfClosed = true
    if (this.isOver || this.#waiting.length > 0) return
    if (this.messages.isPartial)
      return this.finish({ code: code.internal, message: 'a message that does not end' })
    this.#safely(() => this.#reader?.halfClosed())
  }

  closed(): void {
    if (!this.isOver) this.over()
  }

  send(message: Uint8Array): void {
    if (!this.isOver) this.answer(message)
  }

  close(status: Status = ok): void {
    this.finish(status)
  }

  pause(): void {
    this.#isPaused = true
    this.stream.pause()
  }

  resume(): void {
    this.#isPaused = false
    while (this.#waiting.length > 0 && !this.#isPaused && !this.isOver) {
      const message = this.#waiting.shift() as Buffer
      this.stream.hold(-message.length)
      this.#safely(() => this.#reader?.message(message))
    }
    if (this.#isPaused || this.isOver) return
    if (this.#isHalfClosed) this.end()
    else this.stream.resume()
  }

  protected override over(): void {
    super.over()
    for (const { length } of this.#waiting) this.stream.hold(-length)
    this.#waiting = []
    this.#readerEnded()
  }

  #readerEnded(): void {
    try {
      this.#reader?.ended()
    } catch (cause) {
      this.options.onHandlerFault(cause)
    }
  }

  readonly #take = (message: Buffer): void => {
    if (this.isOver) return
    if (!this.#isPaused) return this.#safely(() => this.#reader?.message(message))
    if (this.stream.hold(message.length)) this.#waiting.push(Buffer.from(message))
    else this.finish({ code: code.resourceExhausted, message: 'too many waiting messages' })
  }

  #safely(step: () => void): void {
    try {
      step()
    } catch (cause) {
      this.handlerFault(cause)
    }
  }
}

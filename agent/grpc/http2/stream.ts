import { prefixBytes } from '../messages.ts'
import { type ErrorName, frameType } from './frames.ts'
import type { Sender } from './sender.ts'
import type { Streams } from './streams.ts'

/** Who reads a stream. Called in the order of the wire; `closed` last, exactly once, however the stream ended. */
export interface StreamUser {
  data(bytes: Buffer): void
  end(): void
  closed(): void
}

/** Above this much that waits for the peer's window, the peer gets no more credit on the stream either. */
const pauseAboveBytes = 256 << 10

/**
 * The server's side of one HTTP/2 stream. Answers wait here while the peer's windows are shut.
 *
 * @see RFC 9113, §5 and §6.9
 */
export class ServerStream {
  readonly id: number
  readonly contentLength: number
  receivedBytes = 0
  isRemoteEnded = false
  /** Whether an answer has begun: resetting such a stream is how a client ends a call that it has no more use for. */
  isAnswered = false
  isClosed = false
  /** What the peer may still send. */
  receiveWindow: number
  /** What we may still send; negative after the peer made its initial window smaller. */
  sendWindow: number
  /** Received, but not given back to the peer as credit yet. */
  uncredited = 0
  user: StreamUser | undefined
  readonly #streams: Streams
  readonly #sender: Sender
  #isPaused = false
  /** The last frame was given to us; it may still wait behind the peer's window. */
  #isLocalEnded = false
  #queue: Buffer[] = []
  #queueAt = 0
  #queuedBytes = 0
  #trailers: Buffer | undefined

  constructor(options: {
    readonly streams: Streams
    readonly id: number
    readonly contentLength: number
    readonly receiveWindow: number
    readonly sendWindow: number
  }) {
    this.#streams = options.streams
    this.#sender = options.streams.sender
    this.id = options.id
    this.contentLength = options.contentLength
    this.receiveWindow = options.receiveWindow
    this.sendWindow = options.sendWindow
  }

  /** Whether the peer gets no credit on this stream for now. */
  get isPaused(): boolean {
    return this.#isPaused || this.#queuedBytes > pauseAboveBytes
  }

  /** Header block of the answer, or of its trailers where `isEnd`. */
  headers(block: Buffer, isEnd: boolean): void {
    if (this.isClosed || this.#isLocalEnded) return
    this.isAnswered = true
    this.#isLocalEnded = isEnd
    if (this.#queue.length > 0) this.#trailers = block
    else this.#writeHeaders(block, isEnd)
    this.#sender.flushSoon()
  }

  /** One gRPC message; its prefix is put before it. */
  message(bytes: Uint8Array): void {
    if (this.isClosed || this.#isLocalEnded) return
    const sender = this.#sender
    const length = prefixBytes + bytes.length
    const isFree =
      this.#queue.length === 0 &&
      length <= this.sendWindow &&
      length <= sender.window &&
      length <= sender.maxFrameBytes
    if (isFree) {
      this.sendWindow -= length
      sender.window -= length
      const { output } = sender
      output.begin(length, frameType.data, 0, this.id)
      output.octet(0)
      output.uint32(bytes.length)
      output.bytes(bytes)
    } else {
      const framed = Buffer.allocUnsafe(length)
      framed[0] = 0
      framed.writeUInt32BE(bytes.length, 1)
      framed.set(bytes, prefixBytes)
      this.#queue.push(framed)
      this.#queuedBytes += length
      this.#streams.queued(length)
      this.pump()
    }
    sender.flushSoon()
  }

  /** Ends the stream with an error code; what waits is dropped. */
  reset(code: ErrorName): void {
    if (this.isClosed) return
    this.#streams.reset(this.id, code)
  }

  /** Gives the peer no more credit on this stream, until `resume`. */
  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.credit()
  }

  /** Bytes that are kept for this stream's reader; negative to give back. False where the connection holds too much. */
  hold(bytes: number): boolean {
    return this.#streams.hold(bytes)
  }

  /** Counts a place among the connection's streams as taken, or no longer, by work that outlives its stream. */
  keepPlace(isTaken: boolean): void {
    this.#streams.keepPlace(isTaken)
  }

  /** Gives received bytes back to the peer once that is worth a frame. */
  credit(): void {
    if (this.isPaused || this.isRemoteEnded || this.isClosed) return
    const worthBytes = this.#streams.windowBytes >> 1
    if (this.uncredited < worthBytes) return
    this.#sender.windowUpdate(this.id, this.uncredited)
    this.receiveWindow += this.uncredited
    this.uncredited = 0
    this.#sender.flushSoon()
  }

  /** Sends what waits as far as the windows allow. */
  pump(): void {
    const sender = this.#sender
    while (this.#queue.length > 0) {
      const message = this.#queue[0] as Buffer
      const length = Math.min(
        message.length - this.#queueAt,
        this.sendWindow,
        sender.window,
        sender.maxFrameBytes,
      )
      if (length <= 0) {
        sender.stalled(this)
        return
      }
      this.sendWindow -= length
      sender.window -= length
      sender.output.begin(length, frameType.data, 0, this.id)
      sender.output.bytes(message, this.#queueAt, this.#queueAt + length)
      this.#queueAt += length
      this.#queuedBytes -= length
      this.#streams.queued(-length)
      if (this.#queueAt === message.length) {
        this.#queue.shift()
        this.#queueAt = 0
      }
    }
    this.credit()
    if (this.#trailers !== undefined) this.#writeHeaders(this.#trailers, true)
    sender.flushSoon()
  }

  /** Forgets everything; called by the connection when the stream is over. */
  close(): void {
    this.isClosed = true
    this.#streams.queued(-this.#queuedBytes)
    this.#queue = []
    this.#queuedBytes = 0
    this.user?.closed()
  }

  #writeHeaders(block: Buffer, isEnd: boolean): void {
    this.#sender.headers(this.id, block, isEnd)
    if (!isEnd) return
    // The answer is whole: the rest of the request is not wanted (RFC 9113, §8.1).
    if (this.isRemoteEnded) this.#streams.forget(this)
    else this.#streams.reset(this.id, 'NO_ERROR')
  }
}

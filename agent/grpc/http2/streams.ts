import type { GrpcCounters } from '../counters.ts'
import { type HeaderBlock, HpackDecoder } from '../hpack/decoder.ts'
import { ClosedStreams } from './closed-streams.ts'
import type { FloodGuard } from './flood.ts'
import type { Frame } from './frame-reader.ts'
import { ConnectionFault, type ErrorName, flag, frameType, maxUint31, StreamFault } from './frames.ts'
import { HeaderBlocks, paddingOf, type WholeBlock } from './header-blocks.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { isTrailerList, parseRequestHead, type RequestHead } from './request-head.ts'
import type { Sender } from './sender.ts'
import { ServerStream, type StreamUser } from './stream.ts'

export interface StreamLimits {
  readonly maxConcurrentStreams: number
  /** Bound of a header list, decoded and as a block (§10.5.1). */
  readonly maxHeaderListBytes: number
  /** What a peer may send on one stream ahead of our credit. */
  readonly streamWindowBytes: number
  /** Bytes of unfinished and waiting messages of all streams, and as many of answers that wait for the peer's windows. */
  readonly maxHeldBytes: number
}

/** A request has come: who reads its stream. May answer at once. */
export type Accept = (stream: ServerStream, head: RequestHead) => StreamUser | undefined

export interface StreamsOptions {
  readonly limits: StreamLimits
  readonly counters: GrpcCounters
  readonly sender: Sender
  readonly flood: FloodGuard
  readonly budget: MemoryBudget
  readonly accept: Accept
  /** The last stream has closed. */
  onIdle(): void
  /** Ends the connection for a fault that was found while nothing is read from it. */
  onFault(fault: ConnectionFault): void
}

/**
 * The streams of one connection, by what the peer says of them. A fault of one is thrown as a `StreamFault`, one that
 * makes the connection worthless as a `ConnectionFault`.
 *
 * @see RFC 9113, §5.1
 */
export class Streams {
  readonly #options: StreamsOptions
  readonly #decoder: HpackDecoder
  readonly #blocks: HeaderBlocks
  readonly #open = new Map<number, ServerStream>()
  readonly #closed = new ClosedStreams()
  #head: { readonly block: HeaderBlock; readonly head: RequestHead | undefined } | undefined
  #lastId = 0
  #abandoned = 0
  #heldBytes = 0
  #queuedBytes = 0
  #isRefusing = false

  constructor(options: StreamsOptions) {
    this.#options = options
    this.#decoder = new HpackDecoder({ maxListBytes: options.limits.maxHeaderListBytes })
    this.#blocks = new HeaderBlocks(options.limits.maxHeaderListBytes)
  }

  get sender(): Sender {
    return this.#options.sender
  }

  get windowBytes(): number {
    return this.#options.limits.streamWindowBytes
  }

  get isEmpty(): boolean {
    return this.#open.size === 0
  }

  /** The highest that the peer has used. */
  get lastId(): number {
    return this.#lastId
  }

  /** Whether a header block has begun and not ended: no other frame may come. */
  get isWithinBlock(): boolean {
    return this.#blocks.isOpen
  }

  /** Counts bytes that streams keep; false when it would be too much, and then nothing is counted. */
  hold(bytes: number): boolean {
    const { limits, budget } = this.#options
    if (bytes > 0 && this.#heldBytes + bytes > limits.maxHeldBytes) return false
    if (!budget.add(bytes)) return false
    this.#heldBytes += bytes
    return true
  }

  /** Counts bytes of answers that wait for the peer's windows. */
  queued(bytes: number): void {
    this.#queuedBytes += bytes
    if (this.#queuedBytes > this.#options.limits.maxHeldBytes)
      this.#options.onFault(new ConnectionFault('ENHANCE_YOUR_CALM', 'answers that nobody reads'))
  }

  reset(id: number, code: ErrorName): void {
    this.#options.counters.resetsSent++
    this.sender.reset(id, code)
    this.#closed.add(id, 'reset')
    const stream = this.#open.get(id)
    if (stream !== undefined) this.#close(stream)
    this.sender.flushSoon()
  }

  /** Work whose stream was reset still counts as a stream, or resetting would be a way around the bound. */
  keepPlace(isTaken: boolean): void {
    this.#abandoned += isTaken ? 1 : -1
  }

  /** A stream that both sides have ended. */
  forget(stream: ServerStream): void {
    this.#closed.add(stream.id, 'ended')
    this.#close(stream)
  }

  /** §6.1 */
  data({ id, flags, bytes, start, end }: Frame): void {
    const padding = paddingOf(flags, bytes, start, end)
    const length = end - start
    const isEnd = (flags & flag.endStream) !== 0
    const from = start + ((flags & flag.padded) === 0 ? 0 : 1)
    const to = end - padding
    const stream = this.#open.get(id)
    if (stream === undefined) return this.#late(id)
    if (to === from && !isEnd) this.#options.flood.idleFrame()
    else this.#options.flood.work()
    if (stream.isRemoteEnded) throw new StreamFault(id, 'STREAM_CLOSED', 'DATA behind the end')
    stream.receiveWindow -= length
    if (stream.receiveWindow < 0) throw new StreamFault(id, 'FLOW_CONTROL_ERROR', 'more than the window')
    stream.uncredited += length
    stream.receivedBytes += to - from
    if (stream.contentLength >= 0) {
      const isWrong = isEnd
        ? stream.receivedBytes !== stream.contentLength
        : stream.receivedBytes > stream.contentLength
      if (isWrong) throw new StreamFault(id, 'PROTOCOL_ERROR', 'not as long as content-length')
    }
    if (to > from) stream.user?.data(bytes.subarray(from, to))
    if (isEnd) this.#remoteEnd(stream)
    else stream.credit()
  }

  /** §6.2, §6.10 */
  headers(frame: Frame): void {
    const whole = frame.type === frameType.headers ? this.#blocks.begin(frame) : this.#blocks.go(frame)
    if (frame.type === frameType.continuation) this.#options.flood.idleFrame()
    if (whole !== undefined) this.#wholeBlock(whole)
  }

  /** Every block is decoded, wanted or not: the table is shared by all streams (§4.3). */
  #wholeBlock({ streamId: id, isEnd, dependsOn, bytes }: WholeBlock): void {
    const block = this.#decoder.decode(bytes)
    const stream = this.#open.get(id)
    if (stream !== undefined) return this.#trailers(stream, block, isEnd)
    if (id <= this.#lastId) {
      const known = this.#closed.howEnded(id)
      if (known === 'reset') return
      const code = known === 'ended' ? 'STREAM_CLOSED' : 'PROTOCOL_ERROR'
      throw new ConnectionFault(code, 'HEADERS on a stream that was used')
    }
    this.#lastId = id
    this.#options.flood.work()
    if (dependsOn === id) throw new StreamFault(id, 'PROTOCOL_ERROR', 'a stream that depends on itself')
    this.#accept(id, block, isEnd)
  }

  #accept(id: number, block: HeaderBlock, isEnd: boolean): void {
    const { limits, counters, sender, accept } = this.#options
    if (this.#isRefusing || this.#open.size + this.#abandoned >= limits.maxConcurrentStreams)
      return this.reset(id, 'REFUSED_STREAM')
    if (this.#head?.block !== block)
      this.#head = { block, head: block.isTooLarge ? undefined : parseRequestHead(block.fields) }
    const { head } = this.#head
    if (head === undefined) {
      const code = block.isTooLarge ? 'ENHANCE_YOUR_CALM' : 'PROTOCOL_ERROR'
      throw new StreamFault(id, code, 'a request head that is malformed or too long')
    }
    if (isEnd && head.contentLength > 0) throw new StreamFault(id, 'PROTOCOL_ERROR', 'a body that is missing')
    const stream = new ServerStream({
      streams: this,
      id,
      contentLength: head.contentLength,
      receiveWindow: limits.streamWindowBytes,
      sendWindow: sender.peer.initialWindowBytes,
    })
    this.#open.set(id, stream)
    counters.streams++
    counters.openStreams++
    stream.isRemoteEnded = isEnd
    const user = accept(stream, head)
    if (stream.isClosed) user?.closed()
    else {
      stream.user = user
      if (isEnd) user?.end()
    }
  }

  #trailers(stream: ServerStream, block: HeaderBlock, isEnd: boolean): void {
    const { id } = stream
    if (stream.isRemoteEnded) throw new StreamFault(id, 'STREAM_CLOSED', 'HEADERS behind the end')
    if (!isEnd || block.isTooLarge || !isTrailerList(block.fields))
      throw new StreamFault(id, 'PROTOCOL_ERROR', 'trailers that are malformed')
    if (stream.contentLength >= 0 && stream.receivedBytes !== stream.contentLength)
      throw new StreamFault(id, 'PROTOCOL_ERROR', 'not as long as content-length')
    this.#remoteEnd(stream)
  }

  #remoteEnd(stream: ServerStream): void {
    if (stream.isClosed) return
    stream.isRemoteEnded = true
    stream.user?.end()
  }

  /** §6.4 */
  rstStream({ id, start, end }: Frame): void {
    if (end - start !== 4) throw new ConnectionFault('FRAME_SIZE_ERROR', 'RST_STREAM of a wrong length')
    if (id === 0 || this.#isIdle(id)) throw new ConnectionFault('PROTOCOL_ERROR', 'RST_STREAM of nothing')
    this.#options.counters.resetsReceived++
    const stream = this.#open.get(id)
    if (stream === undefined) {
      // One that crossed our answer is no flood; a second one is.
      if (!this.#closed.forget(id)) this.#options.flood.idleFrame()
      return
    }
    if (!stream.isAnswered) this.#options.flood.unansweredReset()
    this.forget(stream)
  }

  /** §6.9, for one stream. */
  widen(id: number, increment: number): void {
    if (this.#isIdle(id)) throw new ConnectionFault('PROTOCOL_ERROR', 'a window of no stream')
    const stream = this.#open.get(id)
    if (stream === undefined) return
    if (increment === 0) throw new StreamFault(id, 'PROTOCOL_ERROR', 'a window update of nothing')
    stream.sendWindow += increment
    if (stream.sendWindow > maxUint31) throw new StreamFault(id, 'FLOW_CONTROL_ERROR', 'a window too large')
    if (this.sender.unstall(stream)) stream.pump()
  }

  /** The peer changed its initial window: that of every open stream changes with it (§6.9.2). */
  changeWindows(change: number): void {
    for (const stream of this.#open.values()) {
      stream.sendWindow += change
      if (stream.sendWindow > maxUint31) throw new ConnectionFault('FLOW_CONTROL_ERROR', 'a window too large')
    }
    if (change > 0) this.sender.pumpStalled()
  }

  /** From now on new streams are refused. */
  refuseNew(): void {
    this.#isRefusing = true
  }

  /** Never opened by the peer; the even ones are ours, and we open none. */
  #isIdle(id: number): boolean {
    return id > this.#lastId || id % 2 === 0
  }

  /** A frame on a stream that is not open. */
  #late(id: number): void {
    if (this.#isIdle(id)) throw new ConnectionFault('PROTOCOL_ERROR', 'a frame on an idle stream')
    if (this.#closed.howEnded(id) !== 'reset')
      throw new StreamFault(id, 'STREAM_CLOSED', 'a frame on a closed stream')
  }

  #close(stream: ServerStream): void {
    if (!this.#open.delete(stream.id)) return
    this.#options.counters.openStreams--
    this.sender.unstall(stream)
    stream.close()
    if (this.#open.size === 0) this.#options.onIdle()
  }

  closeAll(): void {
    for (const stream of [...this.#open.values()]) this.#close(stream)
  }
}

import type { Duplex } from 'node:stream'
import { count, type GrpcCounters } from '../counters.ts'
import { HpackFault } from '../hpack/fault.ts'
import { FloodGuard } from './flood.ts'
import { type Frame, FrameReader } from './frame-reader.ts'
import {
  ConnectionFault,
  defaultWindowBytes,
  type ErrorName,
  flag,
  frameType,
  maxUint31,
  StreamFault,
  setting,
} from './frames.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { farewells, PrefaceReader, type WrongPeer } from './preface.ts'
import { Sender } from './sender.ts'
import { encodeSettings, readSettings } from './settings.ts'
import { type Accept, type StreamLimits, Streams } from './streams.ts'

export interface ConnectionLimits extends StreamLimits {
  readonly connectionWindowBytes: number
  /** How long a preface, a frame or a header block that has begun may stay unfinished. */
  readonly prefaceTimeoutMs: number
}

export interface ConnectionOptions {
  readonly socket: Duplex
  readonly limits: ConnectionLimits
  readonly counters: GrpcCounters
  /** Shared by the connections of a server. */
  readonly budget: MemoryBudget
  readonly nowMs: () => number
  readonly accept: Accept
  onWrongPeer?(peer: WrongPeer): void
  onClosed(): void
}

/** How long a peer has to take notice of a GOAWAY before its socket goes. */
const farewellMs = 1_000
/** Above this much that the socket has not sent, nothing more is read from it. */
const maxUnsentBytes = 1 << 20
const nothing = new Uint8Array()
const drainPing = Buffer.from('sluiceGo')

/**
 * One HTTP/2 connection, server's side, as far as gRPC needs it: no push, no priorities.
 *
 * Whatever the peer sends is answered with what RFC 9113 wants; a fault of one stream ends that stream, a fault of the
 * connection ends all of them, and nothing here can reach another connection.
 *
 * @see RFC 9113
 */
export class Connection {
  readonly #sender: Sender
  readonly #streams: Streams
  readonly #options: ConnectionOptions
  readonly #preface = new PrefaceReader()
  readonly #flood: FloodGuard
  readonly #frames = new FrameReader()
  #receiveWindow: number
  #uncredited = 0
  #hasSettings = false
  /** Since when the preface, a frame or a header block has been unfinished. */
  #unfinishedSinceMs: number
  /** Whether the read that is worked through has brought the end of anything. */
  #hasTaken = false
  #isDraining = false
  #isLast = false
  /** When a connection that is on its way out is cut off; 0 as long as it is not. */
  #goneAtMs = 0

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { socket, limits, counters, nowMs } = options
    this.#flood = new FloodGuard(nowMs)
    this.#receiveWindow = limits.connectionWindowBytes
    this.#unfinishedSinceMs = nowMs()
    this.#sender = new Sender({
      write: (bytes) => this.#write(bytes),
      onStall: () => counters.flowControlStalls++,
    })
    this.#streams = new Streams({
      limits,
      counters,
      sender: this.#sender,
      flood: this.#flood,
      budget: options.budget,
      accept: options.accept,
      onIdle: () => this.#endWhenIdle(),
      onFault: (fault) => this.#fail(fault),
    })
    counters.connections++
    counters.openConnections++
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    // A socket that breaks closes; that is where its streams end.
    socket.on('error', () => {})
    socket.once('close', () => {
      counters.openConnections--
      this.#goneAtMs = 1
      this.#streams.closeAll()
      options.onClosed()
    })
  }

  /** Lets running calls end, takes no new ones, and closes when there are none. @see RFC 9113, §6.8 */
  drain(): void {
    if (this.#isDraining || this.#goneAtMs > 0) return
    if (!this.#preface.isComplete) return this.destroy()
    this.#isDraining = true
    // Streams that the peer opened before it read this are still served; its answer to the ping tells that it has.
    this.#sender.goaway(maxUint31, 'NO_ERROR', '')
    this.#sender.frame(frameType.ping, 0, drainPing)
    this.#sender.output.flush()
  }

  destroy(): void {
    this.#options.socket.destroy()
  }

  /** Ends what takes too long. Called every now and then. */
  sweep(nowMs: number): void {
    if (this.#goneAtMs > 0) {
      if (nowMs >= this.#goneAtMs) this.destroy()
      return
    }
    const { prefaceTimeoutMs } = this.#options.limits
    const isLate = nowMs - this.#unfinishedSinceMs > prefaceTimeoutMs
    if (!isLate) return
    if (!this.#preface.isComplete) this.destroy()
    else if (this.#isUnfinished)
      this.#fail(new ConnectionFault('ENHANCE_YOUR_CALM', 'a frame that does not end'))
  }

  get #isUnfinished(): boolean {
    return this.#frames.isPartial || this.#streams.isWithinBlock
  }

  #write(bytes: Buffer): void {
    const { socket, counters } = this.#options
    counters.bytesSent += bytes.length
    if (!socket.writable) return
    socket.write(bytes)
    if (socket.writableLength > this.#options.limits.maxHeldBytes) {
      // It asks and asks and never reads: there is no way left to tell it anything.
      count(counters.protocolErrors, 'ENHANCE_YOUR_CALM')
      return this.destroy()
    }
    if (socket.writableLength > maxUnsentBytes && !socket.isPaused()) {
      socket.pause()
      socket.once('drain', () => socket.resume())
    }
  }

  #receive(chunk: Buffer): void {
    this.#options.counters.bytesReceived += chunk.length
    if (this.#goneAtMs > 0) return
    this.#sender.isReading = true
    try {
      this.#parse(chunk)
    } catch (thrown) {
      this.#fail(thrown)
    } finally {
      this.#sender.isReading = false
    }
    this.#sender.output.flush()
  }

  #parse(chunk: Buffer): void {
    let at = 0
    if (!this.#preface.isComplete) {
      const read = this.#preface.read(chunk)
      if (typeof read === 'string') return this.#turnAway(read)
      if (!this.#preface.isComplete) return
      at = read
      this.#greet()
    }
    const isNew = !this.#isUnfinished
    this.#hasTaken = false
    this.#frames.read(chunk, at, this.#take)
    // A busy peer leaves some frame unfinished after each read, but not the same one.
    if (this.#isUnfinished && (isNew || this.#hasTaken)) this.#unfinishedSinceMs = this.#options.nowMs()
  }

  /** Whether to go on with the next frame. */
  readonly #take = (frame: Frame): boolean => {
    const { type, flags } = frame
    this.#hasTaken = true
    if (!this.#hasSettings && (type !== frameType.settings || (flags & flag.ack) !== 0))
      throw new ConnectionFault('PROTOCOL_ERROR', 'something before SETTINGS')
    if (this.#streams.isWithinBlock && type !== frameType.continuation)
      throw new ConnectionFault('PROTOCOL_ERROR', 'a frame within a header block')
    try {
      this.#dispatch(frame)
    } catch (thrown) {
      if (!(thrown instanceof StreamFault)) throw thrown
      count(this.#options.counters.protocolErrors, thrown.code)
      // Having us reset it is as cheap for the peer as resetting it (CVE-2025-8671).
      this.#flood.unansweredReset()
      this.#streams.reset(thrown.streamId, thrown.code)
    }
    return this.#goneAtMs === 0
  }

  #dispatch(frame: Frame): void {
    switch (frame.type) {
      case frameType.data:
        return this.#data(frame)
      case frameType.headers:
      case frameType.continuation:
        return this.#streams.headers(frame)
      case frameType.rstStream:
        return this.#streams.rstStream(frame)
      case frameType.windowUpdate:
        return this.#windowUpdate(frame)
      case frameType.settings:
        return this.#settings(frame)
      case frameType.ping:
        return this.#ping(frame)
      case frameType.priority:
        return this.#priority(frame)
      case frameType.goaway:
        return this.#peerGoesAway(frame)
      case frameType.pushPromise:
        throw new ConnectionFault('PROTOCOL_ERROR', 'a PUSH_PROMISE from a client')
      default:
        this.#flood.idleFrame()
    }
  }

  /** §6.1, §6.9: the window of all streams together. */
  #data(frame: Frame): void {
    if (frame.id === 0) throw new ConnectionFault('PROTOCOL_ERROR', 'DATA on stream 0')
    const length = frame.end - frame.start
    this.#receiveWindow -= length
    if (this.#receiveWindow < 0) throw new ConnectionFault('FLOW_CONTROL_ERROR', 'more than the window')
    // Credit for the connection comes back at once, or one stream that waits would hold up all others.
    this.#uncredited += length
    if (this.#uncredited >= this.#options.limits.connectionWindowBytes >> 1) {
      this.#sender.windowUpdate(0, this.#uncredited)
      this.#receiveWindow += this.#uncredited
      this.#uncredited = 0
    }
    this.#streams.data(frame)
  }

  /** §6.9 */
  #windowUpdate({ id, bytes, start, end }: Frame): void {
    if (end - start !== 4) throw new ConnectionFault('FRAME_SIZE_ERROR', 'WINDOW_UPDATE of a wrong length')
    this.#flood.idleFrame()
    const increment = bytes.readUInt32BE(start) & maxUint31
    if (id !== 0) return this.#streams.widen(id, increment)
    if (increment === 0) throw new ConnectionFault('PROTOCOL_ERROR', 'a window update of nothing')
    if (!this.#sender.widen(increment)) throw new ConnectionFault('FLOW_CONTROL_ERROR', 'a window too large')
  }

  /** §6.5 */
  #settings({ id, flags, bytes, start, end }: Frame): void {
    if (id !== 0) throw new ConnectionFault('PROTOCOL_ERROR', 'SETTINGS of a stream')
    this.#flood.idleFrame()
    if ((flags & flag.ack) !== 0) {
      if (end > start) throw new ConnectionFault('FRAME_SIZE_ERROR', 'an acknowledgement with settings')
      return
    }
    const before = this.#sender.peer.initialWindowBytes
    readSettings(bytes, start, end - start, this.#sender.peer)
    this.#hasSettings = true
    this.#sender.frame(frameType.settings, flag.ack, nothing)
    const change = this.#sender.peer.initialWindowBytes - before
    if (change !== 0) this.#streams.changeWindows(change)
  }

  /** §6.7 */
  #ping({ id, flags, bytes, start, end }: Frame): void {
    if (id !== 0) throw new ConnectionFault('PROTOCOL_ERROR', 'PING of a stream')
    if (end - start !== 8) throw new ConnectionFault('FRAME_SIZE_ERROR', 'PING of a wrong length')
    this.#flood.idleFrame()
    if ((flags & flag.ack) === 0) {
      this.#sender.frame(frameType.ping, flag.ack, bytes.subarray(start, end))
    } else if (this.#isDraining && !this.#isLast && drainPing.equals(bytes.subarray(start, end))) {
      this.#isLast = true
      this.#streams.refuseNew()
      this.#sender.goaway(this.#streams.lastId, 'NO_ERROR', '')
      this.#endWhenIdle()
    }
  }

  /** §5.3.1, §6.3: priorities are not used, but what cannot be one is told. */
  #priority({ id, bytes, start, end }: Frame): void {
    this.#flood.idleFrame()
    if (id === 0) throw new ConnectionFault('PROTOCOL_ERROR', 'PRIORITY of the connection')
    if (end - start !== 5) throw new StreamFault(id, 'FRAME_SIZE_ERROR', 'PRIORITY of a wrong length')
    if ((bytes.readUInt32BE(start) & maxUint31) === id)
      throw new StreamFault(id, 'PROTOCOL_ERROR', 'a stream that depends on itself')
  }

  #peerGoesAway({ id, start, end }: Frame): void {
    if (id !== 0) throw new ConnectionFault('PROTOCOL_ERROR', 'GOAWAY of a stream')
    if (end - start < 8) throw new ConnectionFault('FRAME_SIZE_ERROR', 'GOAWAY of a wrong length')
    this.#flood.idleFrame()
  }

  #endWhenIdle(): void {
    if (!this.#isLast || !this.#streams.isEmpty || this.#goneAtMs > 0) return
    this.#goneAtMs = this.#options.nowMs() + farewellMs
    this.#sender.output.flush()
    this.#options.socket.end()
  }

  /** Our settings, once the peer has shown that it speaks HTTP/2. */
  #greet(): void {
    const { limits } = this.#options
    const settings = encodeSettings([
      [setting.maxConcurrentStreams, limits.maxConcurrentStreams],
      [setting.initialWindowSize, limits.streamWindowBytes],
      [setting.maxHeaderListSize, limits.maxHeaderListBytes],
    ])
    this.#sender.frame(frameType.settings, 0, settings)
    this.#sender.windowUpdate(0, limits.connectionWindowBytes - defaultWindowBytes)
  }

  #turnAway(peer: WrongPeer): void {
    const { counters, socket, nowMs, onWrongPeer } = this.#options
    count(counters.wrongPeers, peer)
    onWrongPeer?.(peer)
    this.#goneAtMs = nowMs() + farewellMs
    if (peer === 'unknown') this.#sender.goaway(0, 'PROTOCOL_ERROR', 'no HTTP/2 connection preface')
    this.#sender.output.flush()
    socket.end(farewells[peer])
  }

  /** The connection cannot go on. Whatever is not the peer's fault is ours. */
  #fail(thrown: unknown): void {
    if (this.#goneAtMs > 0) return
    const isHpack = thrown instanceof HpackFault
    const code: ErrorName =
      thrown instanceof ConnectionFault ? thrown.code : isHpack ? 'COMPRESSION_ERROR' : 'INTERNAL_ERROR'
    const what = thrown instanceof ConnectionFault || isHpack ? thrown.message : 'internal error'
    count(this.#options.counters.protocolErrors, code)
    this.#goneAtMs = this.#options.nowMs() + farewellMs
    this.#sender.goaway(this.#streams.lastId, code, what)
    this.#sender.output.flush()
    this.#options.socket.end()
    this.#streams.closeAll()
  }
}

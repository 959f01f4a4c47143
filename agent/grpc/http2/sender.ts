import { emptyTable } from '../hpack/encoder.ts'
import {
  defaultFrameBytes,
  defaultWindowBytes,
  type ErrorName,
  errorCode,
  flag,
  frameType,
  maxUint31,
} from './frames.ts'
import { Output } from './output.ts'
import { defaultPeerSettings } from './settings.ts'
import type { ServerStream } from './stream.ts'

/** What goes out on one connection: frames, the window that the peer gives for all of them, and who waits for it. */
export class Sender {
  readonly output: Output
  readonly peer = defaultPeerSettings()
  /** What may still be sent on all streams together. */
  window = defaultWindowBytes
  /** While a read is worked through nothing is flushed: it is, once, at its end. */
  isReading = false
  readonly #onStall: () => void
  /** Streams that wait for the window of all, and those that wait for their own. */
  readonly #forAll = new Set<ServerStream>()
  readonly #forOwn = new Set<ServerStream>()
  #isFlushDue = false

  constructor(options: { write(bytes: Buffer): void; onStall(): void }) {
    this.output = new Output(options.write)
    this.#onStall = options.onStall
  }

  get maxFrameBytes(): number {
    // Larger frames would only be copied once more on their way.
    return Math.min(this.peer.maxFrameBytes, defaultFrameBytes)
  }

  /** Has everything that was written leave at the end of this turn of the event loop. */
  flushSoon(): void {
    if (this.isReading || this.#isFlushDue) return
    this.#isFlushDue = true
    process.nextTick(() => {
      this.#isFlushDue = false
      this.output.flush()
    })
  }

  headers(streamId: number, block: Buffer, isEnd: boolean): void {
    let bytes = block
    if (this.peer.isTableResized) {
      this.peer.isTableResized = false
      bytes = Buffer.concat([Buffer.from([emptyTable]), block])
    }
    let type: number = frameType.headers
    let flags: number = isEnd ? flag.endStream : 0
    let at = 0
    do {
      const next = Math.min(bytes.length, at + defaultFrameBytes)
      if (next === bytes.length) flags |= flag.endHeaders
      this.output.begin(next - at, type, flags, streamId)
      this.output.bytes(bytes, at, next)
      at = next
      type = frameType.continuation
      flags = 0
    } while (at < bytes.length)
  }

  frame(type: number, flags: number, payload: Uint8Array): void {
    this.output.begin(payload.length, type, flags, 0)
    this.output.bytes(payload)
  }

  windowUpdate(streamId: number, increment: number): void {
    this.output.begin(4, frameType.windowUpdate, 0, streamId)
    this.output.uint32(increment)
  }

  reset(streamId: number, code: ErrorName): void {
    this.output.begin(4, frameType.rstStream, 0, streamId)
    this.output.uint32(errorCode[code])
  }

  goaway(lastStreamId: number, code: ErrorName, what: string): void {
    const text = Buffer.from(what)
    this.output.begin(8 + text.length, frameType.goaway, 0, 0)
    this.output.uint32(lastStreamId)
    this.output.uint32(errorCode[code])
    this.output.bytes(text)
  }

  /** Has `stream` tried again when there is more of a window. */
  stalled(stream: ServerStream): void {
    const waiting = stream.sendWindow > 0 ? this.#forAll : this.#forOwn
    if (waiting.has(stream)) return
    waiting.add(stream)
    this.#onStall()
  }

  /** Whether it was waiting. */
  unstall(stream: ServerStream): boolean {
    return this.#forOwn.delete(stream) || this.#forAll.delete(stream)
  }

  /** The windows of the streams themselves have grown. */
  pumpStalled(): void {
    const waiting = [...this.#forOwn]
    this.#forOwn.clear()
    for (const stream of waiting) stream.pump()
  }

  /** More window for all streams; false when that would be more than there can be. */
  widen(increment: number): boolean {
    this.window += increment
    if (this.window > maxUint31) return false
    for (const stream of this.#forAll) {
      if (this.window <= 0) break
      this.#forAll.delete(stream)
      stream.pump()
    }
    return true
  }
}

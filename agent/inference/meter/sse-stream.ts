import { HeldBytes } from './held-bytes.ts'

const lineFeed = 0x0a
const carriageReturn = 0x0d
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])
const dataField = Buffer.from('data:')
/** An event that is longer goes on before all of it was seen. */
const maxHeldOctets = 1 << 20

/** Reads the events of a stream. */
export interface EventReader {
  /** A part of the event's data. Of a line break between its lines nothing is said. */
  data(bytes: Uint8Array, start: number, end: number): void
  /** @returns whether the event is to be taken out of the stream */
  endEvent(): boolean
}

/**
 * Cuts a stream of server-sent events into events and lets them through, each as soon as it is whole. Of what came at most
 * one event is held back, so that between two pieces of output the stream is always at the border of an event.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export class SseStream {
  readonly #reader: EventReader
  readonly #held = new HeldBytes()
  /** Octets of the byte order mark that were seen, or all of them where there was none. */
  #markOctets = 0
  /** Octets of this line so far, as far as it matters. */
  #column = 0
  #isData = false
  /** The last octet was the carriage return of a line end that may go on. */
  #isAfterReturn = false
  #wasDropped = false
  #isOpen = false
  #isOverlong = false

  constructor(reader: EventReader) {
    this.#reader = reader
  }

  /** Whether what went on so far ends with a whole event. */
  get isAtBorder(): boolean {
    return !this.#isOverlong
  }

  feed(chunk: Uint8Array, isEnd: boolean): Uint8Array {
    const { length } = chunk
    const pieces: Uint8Array[] = []
    /** Where the bytes begin that go on, and where the event that is not yet decided on. */
    let kept = 0
    let undecided = 0
    let at = 0
    if (this.#isAfterReturn && length > 0) {
      this.#isAfterReturn = false
      if (chunk[0] === lineFeed) {
        at = 1
        // The event that it ends was decided on before it came.
        if (!this.#isOpen) {
          undecided = 1
          if (this.#wasDropped) kept = 1
        }
      }
    }
    while (at < length) {
      if (this.#isData) {
        const start = at
        while (at < length && chunk[at] !== lineFeed && chunk[at] !== carriageReturn) at++
        if (at > start) this.#reader.data(chunk, start, at)
        if (at === length) break
      }
      const byte = chunk[at] as number
      at++
      if (byte !== lineFeed && byte !== carriageReturn) {
        if (this.#lineOctet(byte) === 'mark') {
          // Of the stream, not of its first event.
          if (this.#held.length > 0) pieces.push(this.#held.take())
          undecided = at
        }
        continue
      }
      if (byte === carriageReturn) {
        if (at === length) this.#isAfterReturn = true
        else if (chunk[at] === lineFeed) at++
      }
      const isBlank = this.#column === 0
      this.#markOctets = byteOrderMark.length
      this.#column = 0
      this.#isData = false
      this.#isOpen = true
      if (!isBlank) continue
      if (this.#endEvent()) {
        pieces.push(chunk.subarray(kept, undecided))
        this.#held.clear()
        kept = at
      } else if (this.#held.length > 0) pieces.push(this.#held.take())
      undecided = at
    }
    if (isEnd && (this.#held.length > 0 || undecided < length || this.#isOverlong)) {
      // What is not ended is no event by the standard; clients that read line by line take it all the same.
      if (this.#endEvent()) {
        this.#held.clear()
        pieces.push(chunk.subarray(kept, undecided))
        kept = length
      } else if (this.#held.length > 0) pieces.push(this.#held.take())
      undecided = length
    }
    return this.#passed(chunk, { pieces, kept, undecided })
  }

  /** @returns `mark` behind a byte order mark */
  #lineOctet(byte: number): 'mark' | undefined {
    if (this.#markOctets < byteOrderMark.length) {
      if (byte === byteOrderMark[this.#markOctets]) {
        this.#markOctets++
        return this.#markOctets === byteOrderMark.length ? 'mark' : undefined
      }
      this.#markOctets = byteOrderMark.length
    }
    this.#isOpen = true
    if (this.#column >= dataField.length) return undefined
    // Behind the first octet that is another the rest of the line is passed over.
    if (byte !== dataField[this.#column]) this.#column = dataField.length
    else if (++this.#column === dataField.length) this.#isData = true
    return undefined
  }

  #endEvent(): boolean {
    const isDropped = this.#reader.endEvent() && !this.#isOverlong
    this.#wasDropped = isDropped
    this.#isOpen = false
    this.#isOverlong = false
    return isDropped
  }

  #passed(
    chunk: Uint8Array,
    cut: { readonly pieces: Uint8Array[]; readonly kept: number; readonly undecided: number },
  ): Uint8Array {
    const { pieces, kept } = cut
    const { length } = chunk
    let { undecided } = cut
    if (undecided < length) {
      if (this.#held.length + length - undecided > maxHeldOctets) this.#isOverlong = true
      if (this.#isOverlong) {
        if (this.#held.length > 0) pieces.push(this.#held.take())
        undecided = length
      } else this.#held.append(chunk, undecided, length)
    }
    if (pieces.length === 0 && kept === 0 && undecided === length) return chunk
    pieces.push(chunk.subarray(kept, undecided))
    return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces)
  }
}

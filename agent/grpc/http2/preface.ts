import { clientPreface } from './frames.ts'

export type WrongPeer = 'http/1.1' | 'tls' | 'unknown'

const http1Body =
  'This socket speaks gRPC over HTTP/2 without an upgrade. In Envoy, give its cluster http2_protocol_options.\n'

/** What each kind of wrong peer can read of why it is turned away. */
export const farewells: Readonly<Record<WrongPeer, Buffer>> = {
  'http/1.1': Buffer.from(
    `HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: text/plain\r\ncontent-length: ${http1Body.length}\r\nconnection: close\r\n\r\n${http1Body}`,
  ),
  // A fatal alert, protocol_version (RFC 8446, §6).
  tls: Buffer.from([0x15, 3, 3, 0, 2, 2, 70]),
  unknown: Buffer.alloc(0),
}

/** Reads the client's connection preface, however it is cut. @see RFC 9113, §3.4 */
export class PrefaceReader {
  #seen = 0

  get isComplete(): boolean {
    return this.#seen === clientPreface.length
  }

  /** How many octets of `chunk` belong to it, or who speaks instead. */
  read(chunk: Buffer): number | WrongPeer {
    const length = Math.min(chunk.length, clientPreface.length - this.#seen)
    for (let i = 0; i < length; i++) {
      if (chunk[i] === clientPreface[this.#seen + i]) continue
      const first = this.#seen > 0 ? clientPreface[0] : chunk[0]
      if (first === 0x16) return 'tls'
      return first !== undefined && first >= 0x41 && first <= 0x5a ? 'http/1.1' : 'unknown'
    }
    this.#seen += length
    return length
  }
}

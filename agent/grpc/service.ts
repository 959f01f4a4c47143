/** A gRPC status that ends a call without an answer. @see google.rpc.Code */
export interface Status {
  readonly code: number
  readonly message: string
}

/** Names in lower case; the values of names that end in `-bin` as base64 text, as they travel. */
export type Metadata = readonly (readonly [string, string])[]

/** What is known of a call beside its messages. */
export interface CallContext {
  /** The value of a metadata key in lower case; of one that was repeated, all of them with commas between. */
  metadata(name: string): string | undefined
  /** Wall time by which the client wants its answer (`grpc-timeout`), milliseconds; the host ends the call then. */
  readonly deadlineMs: number | undefined
  /** Metadata to go before the first message. Too late once one was sent. */
  setHeaders(metadata: Metadata): void
  /** Metadata to go with the status. */
  setTrailers(metadata: Metadata): void
}

/** The calling side of one stream: messages go out in the order of `send`. */
export interface StreamWriter {
  send(message: Uint8Array): void
  /** Ends the stream: with OK, or with a status. Nothing may be sent after it. */
  close(status?: Status): void
  /** Has messages wait, and the peer with them once its window is used up, until `resume`. */
  pause(): void
  resume(): void
}

/** The reading side of one stream. After `ended` nothing more is called. */
export interface StreamReader {
  /** The bytes are the reader's until it returns; what it keeps longer, it copies. */
  message(bytes: Buffer): void
  /** The peer will send no more, but may still read. */
  halfClosed(): void
  /** The stream is over, however it ended. Called exactly once. */
  ended(): void
}

/** A method by its path. Messages are bytes: what they mean is the handler's business, how they travel the host's. */
export type Method =
  | {
      readonly kind: 'unary'
      readonly path: string
      /** An answer, or a status. */
      handle(message: Buffer, call: CallContext): Uint8Array | Status | Promise<Uint8Array | Status>
    }
  | {
      readonly kind: 'stream'
      readonly path: string
      open(writer: StreamWriter, call: CallContext): StreamReader
    }

/**
 * A text as `grpc-message` holds it: UTF-8, percent-encoded outside of printable ASCII.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export function encodeGrpcMessage(text: string): string {
  let encoded = ''
  for (const byte of Buffer.from(text)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}

/** @see RFC 9113, §6 */
export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const flag = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const

/** @see RFC 9113, §7 */
export const errorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
} as const

export type ErrorName = keyof typeof errorCode

/** @see RFC 9113, §6.5.2 */
export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const

export const frameHeaderBytes = 9
export const defaultWindowBytes = 65_535
export const defaultFrameBytes = 16_384
/** The largest window, and the largest stream identifier. */
export const maxUint31 = 2 ** 31 - 1
export const clientPreface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** What the peer did wrong to one stream; the connection goes on. @see RFC 9113, §5.4.2 */
export class StreamFault extends Error {
  override readonly name = 'StreamFault'
  readonly code: ErrorName
  readonly streamId: number

  constructor(streamId: number, code: ErrorName, what: string) {
    super(what)
    this.streamId = streamId
    this.code = code
  }
}

/** What the peer did wrong to the whole connection, which ends. @see RFC 9113, §5.4.1 */
export class ConnectionFault extends Error {
  override readonly name = 'ConnectionFault'
  readonly code: ErrorName

  constructor(code: ErrorName, what: string) {
    super(what)
    this.code = code
  }
}

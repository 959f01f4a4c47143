import { ConnectionFault, defaultFrameBytes, defaultWindowBytes, maxUint31, setting } from './frames.ts'

/** What the peer asked of us. Values that only concern servers which push or compress headers are left out. */
export interface PeerSettings {
  initialWindowBytes: number
  maxFrameBytes: number
  /** The bound of our encoder's table changed: the next header block has to say so. */
  isTableResized: boolean
}

export function defaultPeerSettings(): PeerSettings {
  return { initialWindowBytes: defaultWindowBytes, maxFrameBytes: defaultFrameBytes, isTableResized: false }
}

const entryBytes = 6

/**
 * Takes over the payload of a SETTINGS frame.
 *
 * @throws ConnectionFault for values outside of what RFC 9113, §6.5.2 allows.
 */
export function readSettings(bytes: Buffer, at: number, length: number, into: PeerSettings): void {
  if (length % entryBytes !== 0) throw new ConnectionFault('FRAME_SIZE_ERROR', 'SETTINGS of a wrong length')
  for (let entry = at; entry < at + length; entry += entryBytes) {
    const value = bytes.readUInt32BE(entry + 2)
    switch (bytes.readUInt16BE(entry)) {
      case setting.headerTableSize:
        into.isTableResized = true
        break
      case setting.enablePush:
        if (value > 1) throw new ConnectionFault('PROTOCOL_ERROR', 'an ENABLE_PUSH that is neither 0 nor 1')
        break
      case setting.initialWindowSize:
        if (value > maxUint31)
          throw new ConnectionFault('FLOW_CONTROL_ERROR', 'an initial window above 2^31-1')
        into.initialWindowBytes = value
        break
      case setting.maxFrameSize:
        if (value < defaultFrameBytes || value > 0xffffff)
          throw new ConnectionFault('PROTOCOL_ERROR', 'a MAX_FRAME_SIZE out of range')
        into.maxFrameBytes = value
        break
      // MAX_CONCURRENT_STREAMS is about pushes, MAX_HEADER_LIST_SIZE is advice, others must be ignored.
    }
  }
}

export function encodeSettings(settings: readonly (readonly [number, number])[]): Buffer {
  const bytes = Buffer.alloc(settings.length * entryBytes)
  for (const [index, [name, value]] of settings.entries()) {
    bytes.writeUInt16BE(name, index * entryBytes)
    bytes.writeUInt32BE(value, index * entryBytes + 2)
  }
  return bytes
}

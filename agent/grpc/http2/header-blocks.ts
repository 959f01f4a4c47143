import type { Frame } from './frame-reader.ts'
import { ConnectionFault, flag, maxUint31 } from './frames.ts'

/** A header block that is complete, still encoded. */
export interface WholeBlock {
  readonly streamId: number
  readonly isEnd: boolean
  /** The stream it depends on by its priority, 0 where it has none. */
  readonly dependsOn: number
  readonly bytes: Buffer
}

/**
 * Puts header blocks together from HEADERS and CONTINUATION. Nothing may come between the two.
 *
 * @see RFC 9113, §4.3, §6.2, §6.10
 */
export class HeaderBlocks {
  readonly #maxBytes: number
  #open: (Omit<WholeBlock, 'bytes'> & { readonly parts: Buffer[] }) | undefined
  #openBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Whether the end of a block has yet to come. */
  get isOpen(): boolean {
    return this.#open !== undefined
  }

  /** A HEADERS frame; the block, where that is all of it. */
  begin({ id, flags, bytes, start, end }: Frame): WholeBlock | undefined {
    if (id === 0 || id % 2 === 0) throw new ConnectionFault('PROTOCOL_ERROR', 'HEADERS on a server stream')
    const to = end - paddingOf(flags, bytes, start, end)
    let from = start + ((flags & flag.padded) === 0 ? 0 : 1)
    let dependsOn = 0
    if ((flags & flag.priority) !== 0) {
      if (to - from < 5) throw new ConnectionFault('FRAME_SIZE_ERROR', 'HEADERS too short for its priority')
      dependsOn = bytes.readUInt32BE(from) & maxUint31
      from += 5
    }
    const isEnd = (flags & flag.endStream) !== 0
    const block = bytes.subarray(from, to)
    if ((flags & flag.endHeaders) !== 0) return { streamId: id, isEnd, dependsOn, bytes: block }
    this.#open = { streamId: id, isEnd, dependsOn, parts: [Buffer.from(block)] }
    this.#openBytes = block.length
    return undefined
  }

  /** A CONTINUATION frame; the block, where it ends here. */
  go({ id, flags, bytes, start, end }: Frame): WholeBlock | undefined {
    const open = this.#open
    if (open === undefined || open.streamId !== id)
      throw new ConnectionFault('PROTOCOL_ERROR', 'CONTINUATION of nothing')
    this.#openBytes += end - start
    if (this.#openBytes > this.#maxBytes)
      throw new ConnectionFault('ENHANCE_YOUR_CALM', 'a header block that is too long')
    open.parts.push(Buffer.from(bytes.subarray(start, end)))
    if ((flags & flag.endHeaders) === 0) return undefined
    this.#open = undefined
    const { streamId, isEnd, dependsOn } = open
    return { streamId, isEnd, dependsOn, bytes: Buffer.concat(open.parts) }
  }
}

/** How many octets of padding stand at the end of DATA or HEADERS. */
export function paddingOf(flags: number, bytes: Buffer, start: number, end: number): number {
  if ((flags & flag.padded) === 0) return 0
  if (start >= end) throw new ConnectionFault('FRAME_SIZE_ERROR', 'a padded frame without its length')
  const padding = bytes[start] as number
  if (start + 1 + padding > end) throw new ConnectionFault('PROTOCOL_ERROR', 'more padding than frame')
  return padding
}

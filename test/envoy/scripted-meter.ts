import type { Exchange } from '#decision/exchange.ts'
import { type AnswerMeter, noUsage } from '#decision/usage.ts'

/** What a scripted meter and its hold were told, in order. */
export interface MeterScript {
  readonly meter: AnswerMeter
  readonly hold: NonNullable<Exchange['hold']>
  readonly told: string[]
  /** Everything that was fed. */
  fed(): Buffer
}

/** A meter that counts bytes, and a hold that lets so many of them pass. */
export function meterScript(
  options: {
    readonly isMetered?: boolean
    readonly allowedBytes?: number
    readonly farewell?: string
    /** What goes to the client in place of a piece. */
    readonly change?: (piece: Uint8Array, isEnd: boolean) => Uint8Array
  } = {},
): MeterScript {
  const { isMetered = true, allowedBytes = Number.POSITIVE_INFINITY, farewell, change } = options
  const told: string[] = []
  const pieces: Buffer[] = []
  let isComplete = false
  let responseBytes = 0
  return {
    told,
    fed: () => Buffer.concat(pieces),
    meter: {
      requestReport: () => undefined,
      begin: ({ httpStatus, contentType, contentEncoding }) =>
        void told.push(`begin ${httpStatus} ${contentType} ${contentEncoding}`.trimEnd()),
      feed: (piece, isEnd) => {
        pieces.push(Buffer.from(piece))
        responseBytes += piece.length
        isComplete ||= isEnd
        told.push(`feed ${Buffer.from(piece).toString()}${isEnd ? '.' : ''}`)
        return change?.(piece, isEnd) ?? piece
      },
      metered: () => ({ usage: { ...noUsage, responseBytes }, source: 'reported', isComplete }),
      farewell: (text) => (farewell === undefined ? undefined : Buffer.from(`${farewell} ${text}`)),
    },
    hold: {
      isMetered,
      isGrowing: isMetered,
      progress: ({ usage }) => (usage.responseBytes > allowedBytes ? 'stop' : 'go_on'),
    },
  }
}

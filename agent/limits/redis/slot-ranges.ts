import { RedisFault } from './fault.ts'
import { slotCount } from './slot.ts'
import type { RedisHost } from './url.ts'

/** Slots of a cluster that one primary keeps. */
export interface SlotRange {
  readonly first: number
  readonly last: number
  readonly owner: RedisHost
}

/**
 * Reads what `CLUSTER SLOTS` says.
 *
 * @param askedHost stands where the server does not know by what name we reached it
 * @throws RedisFault where it is anything else
 */
export function parseSlots(answer: unknown, askedHost: string): readonly SlotRange[] {
  if (!Array.isArray(answer)) throw wrong()
  return answer.map((range: unknown) => {
    if (!Array.isArray(range)) throw wrong()
    const [first, last, primary]: unknown[] = range
    const [host, port]: unknown[] = Array.isArray(primary) ? primary : []
    if (!isSlot(first) || !isSlot(last) || first > last) throw wrong()
    if ((typeof host !== 'string' && host !== null) || !isPort(port)) throw wrong()
    return { first, last, owner: { host: host || askedHost, port } }
  })
}

function isSlot(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < slotCount
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) < 65_536
}

function wrong(): RedisFault {
  return new RedisFault('reply', 'the answer to CLUSTER SLOTS is of the wrong form')
}

import { type Clock, systemClock } from '#base/clock.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import type { Logger } from '#telemetry/telemetry.ts'

/** Of each reason so many lines in a span; what is beyond is counted, and the next line says how many it was. */
const maxLines = 5
const spanUs = 10_000_000

interface Told {
  sinceUs: number
  lines: number
  more: number
}

/**
 * Logs decisions that failed, with what made them fail. A store or a thread that is away fails every call, thousands a second:
 * a log of all of them would hide its beginning, and take the time that the agent needs. The record has each.
 */
export function createFailureLog(
  log: Logger,
  clock: Clock = systemClock,
): (x: Exchange, verdict: Verdict) => void {
  const byReason = new Map<string, Told>()
  return (x, verdict) => {
    if (verdict.kind !== 'error') return
    const nowUs = clock.monotonicUs()
    let told = byReason.get(verdict.reason)
    if (told === undefined) {
      told = { sinceUs: nowUs, lines: 0, more: 0 }
      byReason.set(verdict.reason, told)
    } else if (nowUs - told.sinceUs >= spanUs) {
      told.sinceUs = nowUs
      told.lines = 0
    }
    if (told.lines >= maxLines) {
      told.more++
      return
    }
    told.lines++
    const more = told.more
    told.more = 0
    log.error(
      { id: x.id, reason: verdict.reason, err: verdict.cause, ...(more > 0 && { unlogged: more }) },
      'decision failed',
    )
  }
}

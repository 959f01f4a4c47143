import { randomUUID } from 'node:crypto'
import { goTime, type LogEvent } from './event.ts'

/** Why an event never reached its reader. */
const lossReasons = {
  intake_full: 'more decisions came than could be written down',
  rate_limited: 'max_decisions_per_second was exceeded',
  buffer_full: 'the buffer was full while the log server did not take any',
  too_large: 'a single event was larger than upload_size_limit_bytes',
  event_failed: 'the event could not be written as JSON',
  console_full: 'nobody read the console',
  shutdown: 'the log server did not take them before the agent ended',
} as const

export type LossReason = keyof typeof lossReasons

/** Events that are gone. */
export interface Loss {
  readonly reasons: Readonly<Partial<Record<LossReason, number>>>
  readonly sinceMs: number
  readonly untilMs: number
}

/** What is lost and not yet told of. */
export class LossLedger {
  #loss: Loss | undefined
  /** Of all times, by reason. */
  readonly totals: Map<LossReason, number> = new Map()

  add(reason: LossReason, count: number, sinceMs: number, untilMs = sinceMs): void {
    if (count === 0) return
    this.totals.set(reason, (this.totals.get(reason) ?? 0) + count)
    this.putBack({ reasons: { [reason]: count }, sinceMs, untilMs })
  }

  /** A loss whose tombstone did not arrive is still to be told of. */
  putBack(loss: Loss): void {
    this.#loss = this.#loss === undefined ? loss : mergeLosses(this.#loss, loss)
  }

  /** What has not been told of yet; whoever takes it tells of it. */
  take(): Loss | undefined {
    const loss = this.#loss
    this.#loss = undefined
    return loss
  }

  get isEmpty(): boolean {
    return this.#loss === undefined
  }
}

export function mergeLosses(a: Loss, b: Loss): Loss {
  const reasons: Partial<Record<LossReason, number>> = { ...a.reasons }
  for (const [reason, count] of Object.entries(b.reasons) as [LossReason, number][])
    reasons[reason] = (reasons[reason] ?? 0) + count
  return {
    reasons,
    sinceMs: Math.min(a.sinceMs, b.sinceMs),
    untilMs: Math.max(a.untilMs, b.untilMs),
  }
}

function countOf({ reasons }: Loss): number {
  return Object.values(reasons).reduce((sum, count) => sum + count, 0)
}

/**
 * The event that stands where others are missing. A reader of OPA's schema sees a decision that failed: there is an error,
 * and neither path, input nor result.
 */
export function tombstone(
  loss: Loss,
  labels: Readonly<Record<string, string>>,
  nowMs: number,
): LogEvent & { readonly error: { readonly message: string } } {
  const lost = countOf(loss)
  const since = goTime(loss.sinceMs)
  const until = goTime(loss.untilMs)
  const why = (Object.keys(loss.reasons) as LossReason[]).map((reason) => lossReasons[reason]).join('; ')
  const message = `${lost} decisions from ${since} to ${until} are not logged: ${why}`
  return {
    labels,
    decision_id: randomUUID(),
    error: { code: 'decision_log_lost', message },
    timestamp: goTime(nowMs),
    custom: { sluice: { kind: 'tombstone', lost, since, until, reasons: loss.reasons } },
  }
}

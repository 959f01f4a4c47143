import { type Clock, systemClock } from '#base/clock.ts'
import { pause } from '#base/pause.ts'
import type { Decided, DecisionSink } from '../decided.ts'
import { type BufferEvent, type BufferLimit, LogBuffer } from './buffer.ts'
import { eventOf, eventText } from './event.ts'
import { Intake } from './intake.ts'
import { LossLedger, type LossReason, tombstone } from './loss.ts'
import { decisionConsoleLine, type LineWriter } from './printed.ts'
import { RateLimit } from './rate.ts'
import { type Redacted, redact } from './redact.ts'
import { type LogService, Uploader, type UploadStatus } from './upload.ts'

export type { BufferLimit } from './buffer.ts'
export { credentialHeaders } from './credentials.ts'
export { goTime } from './event.ts'
export type { LossReason } from './loss.ts'
export { consoleLine, type LineWriter } from './printed.ts'
export type { LogService, UploadStatus } from './upload.ts'

/** What is counted, by OPA's names. */
export type LogCounter =
  | BufferEvent
  | 'decision_logs_dropped_rate_limit_exceeded'
  | 'decision_logs_chunks_uploaded'
  | 'decision_logs_chunks_upload_failed'

export interface DecisionLogConfig {
  /** Entrypoints, without a slash in front: `system/log/mask`. */
  readonly mask: string
  readonly drop: string
  readonly isNdBuiltinCacheWanted: boolean
  readonly requestHeaders: readonly string[]
  readonly maxDecisionsPerSecond?: number | undefined
  readonly upload?:
    | {
        readonly service: LogService
        /** `logs` or `logs/partition`. */
        readonly path: string
        readonly limit: BufferLimit
        readonly uploadLimitBytes: number
        readonly minDelayMs: number
        readonly maxDelayMs: number
        readonly trigger: 'periodic' | 'immediate'
      }
    | undefined
  readonly printer?: LineWriter | undefined
}

/** Where every decision that was handed in is: `received` is `dropped`, `delivered`, `waiting` and `lost` together. */
export interface LogAccount {
  readonly received: number
  /** By the drop policy. */
  readonly dropped: number
  /** Taken by the log server, or, without one, printed. */
  readonly delivered: number
  readonly waiting: number
  /** Those of the waiting that no event is written of yet. */
  readonly unwritten: number
  readonly lost: ReadonlyMap<LossReason, number>
}

export interface DecisionLog extends AsyncDisposable {
  /** For the policy stage. */
  readonly sink: DecisionSink
  account(): LogAccount
  counters(): ReadonlyMap<LogCounter, number>
  /** What waits to be sent, in the unit of the buffer's limit; absent without a log server. */
  bufferSize(): { readonly kind: BufferLimit['kind']; readonly size: number } | undefined
}

/** How long the log server has for what is left when the agent ends. */
const flushMs = 5000
/** How often at most the same trouble is told of. */
const complaintsMs = 10_000

/**
 * Writes a decision log as OPA does: to a log server, to the console, or to both. Closing it sends what is left, for a
 * bounded time.
 */
export function openDecisionLog(options: {
  readonly config: DecisionLogConfig
  readonly labels: Readonly<Record<string, string>>
  readonly clock?: Clock
  readonly random?: () => number
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>
  /** Calls back when the next batch of events is due to be written. */
  readonly later?: (due: () => void) => void
  readonly flushMs?: number
  /** Told of each round of uploads. */
  readonly onStatus?: (status: UploadStatus) => void
  /** Told of what a person must mend. */
  readonly onProblem: (problem: string) => void
}): DecisionLog {
  const { config, labels, clock = systemClock, random = Math.random, sleep = pause, onProblem } = options
  const ledger = new LossLedger()
  const counters = new Map<LogCounter, number>()
  const count = (name: LogCounter) => void counters.set(name, (counters.get(name) ?? 0) + 1)
  const rate =
    config.maxDecisionsPerSecond === undefined ? undefined : new RateLimit(config.maxDecisionsPerSecond)
  const eventOptions = { ...config, labels }
  let dropped = 0
  let printed = 0
  let complainedMs = Number.NEGATIVE_INFINITY
  const { upload } = config
  const buffer =
    upload &&
    new LogBuffer({
      limit: upload.limit,
      uploadLimitBytes: upload.uploadLimitBytes,
      isPackedAtOnce: upload.trigger === 'immediate',
      ledger,
      labels,
      nowMs: () => clock.nowMs(),
      onReady: () => {
        if (upload.trigger === 'immediate') uploader?.wake()
      },
      count,
    })
  const uploader =
    upload &&
    buffer &&
    new Uploader({
      ...upload,
      buffer,
      random,
      nowMs: () => clock.monotonicUs() / 1000,
      sleep,
      count,
      onStatus: (status) => {
        if (status.message !== undefined) onProblem(status.message)
        options.onStatus?.(status)
      },
    })
  const intake = new Intake({ ledger, monotonicUs: () => clock.monotonicUs(), write, later: options.later })
  uploader?.start()

  function write(decided: Decided): void | Promise<void> {
    try {
      const redacted = redact(decided, eventOf(decided, eventOptions), config)
      if (!(redacted instanceof Promise)) return keep(decided, redacted)
      return redacted.then((late) => keep(decided, late)).catch(() => failed(decided))
    } catch {
      failed(decided)
    }
  }

  /** What every decision may bring is told of now and then. */
  function complain(problem: string): void {
    if (clock.nowMs() - complainedMs < complaintsMs) return
    complainedMs = clock.nowMs()
    onProblem(problem)
  }

  function failed({ atMs, decisionId }: Decided): void {
    count('decision_logs_encoding_failure')
    complain(`the decision ${decisionId} cannot be written as JSON`)
    ledger.add('event_failed', 1, atMs)
  }

  function keep({ atMs }: Decided, redacted: Redacted): void {
    if (redacted.kind === 'dropped') {
      dropped++
      return
    }
    const { event, text } = redacted
    if (redacted.kind === 'erased')
      onProblem(`a decision is logged without input and result: ${redacted.why}`)
    if (config.printer) {
      if (buffer === undefined) tellConsole(config.printer)
      const isWritten = config.printer.write(decisionConsoleLine(event, text, clock.nowMs()))
      if (buffer === undefined && isWritten) printed++
      else if (buffer === undefined) ledger.add('console_full', 1, atMs)
    }
    if (buffer === undefined) return
    if (rate !== undefined && !rate.allows(atMs)) {
      count('decision_logs_dropped_rate_limit_exceeded')
      ledger.add('rate_limited', 1, atMs)
    } else buffer.push({ ...text, atMs })
  }

  /** Without a log server it is the console that tells of what is lost. */
  function tellConsole(printer: LineWriter): void {
    const loss = ledger.take()
    if (loss === undefined) return
    const event = tombstone(loss, labels, clock.nowMs())
    if (!printer.write(decisionConsoleLine(event, eventText(event), clock.nowMs()))) ledger.putBack(loss)
  }

  return {
    sink: intake.sink,
    account: () => ({
      received: intake.received,
      dropped,
      delivered: (uploader?.delivered ?? 0) + printed,
      unwritten: intake.waiting,
      waiting: intake.waiting + (buffer?.waitingDecisions ?? 0),
      lost: ledger.totals,
    }),
    counters: () => counters,
    bufferSize: () => upload && buffer && { kind: upload.limit.kind, size: buffer.size },
    [Symbol.asyncDispose]: async () => {
      await intake.close()
      const ending = new AbortController()
      const late = setTimeout(() => ending.abort(), options.flushMs ?? flushMs)
      await uploader?.stop(ending.signal)
      clearTimeout(late)
      await buffer?.loseAll('shutdown')
      if (buffer === undefined && config.printer) tellConsole(config.printer)
      const untold = [...ledger.totals].map(([reason, total]) => `${total} ${reason}`)
      if (!ledger.isEmpty) onProblem(`decisions that are not logged: ${untold.join(', ')}`)
    },
  }
}

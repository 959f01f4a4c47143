import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import type { Recorder } from '#decision/pipeline.ts'
import { type LogRecord, openLog, type RecordLog } from './log.ts'
import { decisionRecord, usageRecord } from './record.ts'

/** A full file is renamed to `decisions-<its last number>.jsonl`. */
const fullAtBytes = 256 * 1024 * 1024

/**
 * The record: one JSON line a decision in `decisions.jsonl`, with numbers that only grow, across restarts too. Each line
 * is handed to the operating system before the decision is answered; a line that cannot be written throws, which refuses
 * the request. The next one tries anew, and notes first how many were lost. One agent writes to a directory: lines of
 * another are noticed and refused in the same way.
 *
 * @throws SluiceError when the directory or the file cannot be used.
 */
export function openAudit(options: {
  readonly dir: string
  readonly clock?: Clock
  readonly fullAtBytes?: number
}): Recorder & Disposable {
  const { dir, clock = systemClock } = options
  const open = (from: number) => openLog({ dir, from, fullAtBytes: options.fullAtBytes ?? fullAtBytes })
  let log: RecordLog | undefined
  try {
    log = open(1)
  } catch (cause) {
    const found = messageOf(cause)
    throw new SluiceError({
      code: 'audit_unwritable',
      place: dir,
      found,
      expected: 'a directory whose record can be continued',
      cause,
    })
  }
  let next = log.next
  let lost = 0
  let trouble = ''
  const timeText = createTimeText()

  const keep = (record: (time: string) => LogRecord) => {
    const time = timeText(clock.nowMs())
    try {
      log ??= open(next)
      const records = [record(time)]
      log.append(lost === 0 ? records : [{ time, gap: { lost, why: trouble } }, ...records])
      next = log.next
      lost = 0
    } catch (cause) {
      lost++
      trouble = messageOf(cause)
      const broken = log
      // First: one that cannot even be closed must not stay.
      log = undefined
      broken?.close()
      throw cause
    }
  }

  return {
    decided: (x, verdict, phase) => {
      // What Envoy lets through after an allowed answer adds nothing to the record; a refused answer does.
      if (phase === 'response' && verdict.kind === 'allow') return
      keep((time) => decisionRecord(x, verdict, phase, time))
    },
    ended: (x, settled, durationMs) => keep((time) => usageRecord(x, settled, durationMs, time)),
    [Symbol.dispose]: () => log?.close(),
  }
}

/** Of the same millisecond the same text: under load several decisions share one (`bench -- authz --pipeline`). */
function createTimeText(): (ms: number) => string {
  let knownMs: number | undefined
  let known = ''
  return (ms) => {
    if (ms !== knownMs) {
      known = new Date(ms).toISOString()
      knownMs = ms
    }
    return known
  }
}

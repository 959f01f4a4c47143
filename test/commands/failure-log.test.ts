import t from 'tap'
import { failure } from '#decision/verdict.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import { createFailureLog } from '../../agent/commands/failure-log.ts'
import { anExchange, manualClock } from '../decision/an-exchange.ts'

t.test(
  'a store that is away does not fill the log: the first failures are told, then how many were not',
  (t) => {
    const lines: { reason: string; unlogged?: number }[] = []
    const clock = manualClock()
    const log = { error: (line: { reason: string }) => lines.push(line) } as unknown as Logger
    const tell = createFailureLog(log, clock)
    const away = failure('quota_store_unavailable', new Error('away'))
    const fail = (times: number, verdict = away) => {
      for (let i = 0; i < times; i++) tell(anExchange(), verdict)
    }
    fail(1000)
    t.equal(lines.length, 5)
    fail(1, failure('limits_failed', new Error('another')))
    t.equal(lines.length, 6, 'another reason has lines of its own')
    clock.advanceMs(10_000)
    fail(1)
    t.match(lines.at(-1), { reason: 'quota_store_unavailable', unlogged: 995 })
    fail(1)
    t.notOk(lines.at(-1)?.unlogged)
    t.end()
  },
)

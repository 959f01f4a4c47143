import t from 'tap'
import type { Decided } from '#policy/decided.ts'
import { Intake } from '#policy/log/intake.ts'
import { LossLedger } from '#policy/log/loss.ts'
import { eventually } from '../../harness/temp.ts'
import { validDecided } from './decisions.ts'

function intakeOf(write: (decided: Decided) => void | Promise<void>, monotonicUs: () => number = () => 0) {
  return new Intake({ ledger: new LossLedger(), monotonicUs, write, later: (due) => void setImmediate(due) })
}

t.test('nothing is written on the way of a request', async (t) => {
  const written: string[] = []
  let looked = 0
  const intake = intakeOf(({ decisionId }) => void written.push(decisionId))
  const decided = validDecided()
  const input = {
    get value() {
      looked++
      return decided.input.value
    },
    get text() {
      looked++
      return decided.input.text
    },
  }
  intake.sink({ ...decided, input })
  t.same([written, looked], [[], 0], 'neither written nor looked at')
  t.equal(intake.waiting, 1)
  await eventually('the event', () => written.length === 1)
  t.equal(intake.waiting, 0)
})

t.test('the event loop gets its turn every few milliseconds of writing', async (t) => {
  let [nowUs, inTurn, most] = [0, 0, 0]
  let isDone = false
  // An event takes 300 microseconds here; a turn of the loop begins anew.
  const intake = intakeOf(
    () => {
      nowUs += 300
      most = Math.max(most, ++inTurn)
    },
    () => nowUs,
  )
  const watch = () => {
    inTurn = 0
    if (!isDone) setImmediate(watch)
  }
  setImmediate(watch)
  for (let number = 0; number < 500; number++) intake.sink(validDecided())
  await eventually('all events', () => intake.waiting === 0)
  isDone = true
  t.ok(most * 300 <= 5000, `${most} events, ${most * 300} microseconds, in one turn`)
})

t.test('events keep their order, though some take longer to be masked', async (t) => {
  const written: string[] = []
  const intake = intakeOf(({ decisionId }) => {
    if (Number(decisionId) % 3 !== 0) return void written.push(decisionId)
    return new Promise<void>((resolve) =>
      setImmediate(() => {
        written.push(decisionId)
        resolve()
      }),
    )
  })
  const ids = Array.from({ length: 30 }, (_, number) => String(number))
  for (const decisionId of ids.slice(0, 20)) intake.sink(validDecided({ decisionId }))
  await eventually('the first', () => written.length > 0)
  for (const decisionId of ids.slice(20)) intake.sink(validDecided({ decisionId }))
  await intake.close()
  t.same(written, ids)
})

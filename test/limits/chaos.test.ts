import t from 'tap'
import { runChaos } from '../../bench/quota-chaos/run.ts'
import { valkeyBinary } from '../harness/components.ts'

t.setTimeout(240_000)
// Before anything is timed: it may have to be downloaded.
await valkeyBinary()

t.test('whatever fails, no promise is broken, and every settlement arrives once', async (t) => {
  const result = await runChaos({
    seed: 7,
    until: { faults: 5 },
    replicas: 2,
    callsPerSecond: 120,
    timeoutMs: 250,
  })
  const faults = result.faults.join(', ')
  t.same(result.excesses, [], faults)
  t.ok((result.shared?.units ?? 0) <= result.sharedBound, `${result.shared?.units} of ${result.sharedBound}`)
  t.equal(result.tooMuch, 0, `units that were not given back, or charged twice: ${faults}`)
  t.equal(result.tooLittle, 0, `units that were not charged, or given back twice: ${faults}`)
  t.ok(result.faults.length >= 5)
  t.equal(result.keptOut, 0, 'calls of which no limit denies')
  t.ok(result.admissions > 50, `${result.admissions} admissions`)
  t.ok(result.ledgers > 0)
})

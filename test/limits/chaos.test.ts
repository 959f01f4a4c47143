import t from 'tap'
import { runChaos } from '../../bench/quota-chaos/run.ts'
import '../harness/valkey.ts'

t.setTimeout(180_000)

t.test('whatever fails, no promise is broken, and every settlement arrives once', async (t) => {
  const result = await runChaos({
    seed: 7,
    until: { faults: 6 },
    replicas: 2,
    callsPerSecond: 120,
    timeoutMs: 250,
  })
  t.same(result.excesses, [], JSON.stringify(result.faults))
  t.equal(result.tooMuch, 0, 'units that were not given back, or charged twice')
  t.equal(result.tooLittle, 0, 'units that were not charged, or given back twice')
  t.ok((result.shared?.units ?? 0) <= result.sharedBound, `${result.shared?.units} of ${result.sharedBound}`)
  t.ok(result.admissions > 50, `${result.admissions} admissions`)
  t.equal(result.faults.length, 6)
  t.ok(result.ledgers > 0)
})

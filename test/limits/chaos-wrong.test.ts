import t from 'tap'
import type { Wrong } from '../../bench/quota-chaos/replica.ts'
import { runChaos } from '../../bench/quota-chaos/run.ts'
import { valkeyBinary } from '../harness/components.ts'

t.setTimeout(240_000)
await valkeyBinary()

const run = (wrong: Wrong) =>
  runChaos({
    seed: 3,
    until: { seconds: 1 },
    replicas: 2,
    callsPerSecond: 400,
    timeoutMs: 5000,
    wrong,
  })

t.test('replicas that grant what the store refuses are found out', async (t) => {
  const { excesses } = await run('grants what is refused')
  t.ok(excesses.length > 0)
})

t.test('settlements that do not arrive, or say something else, are found out', async (t) => {
  const none = await run('settles nothing')
  t.ok(none.tooMuch + none.tooLittle > 0, 'what was reserved is not what was taken')
  const more = await run('settles at more')
  t.ok(more.tooMuch > 0, 'too much')
  t.equal(more.tooLittle, 0)
})

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ReplicasKept } from '../../../agent/limits/redis/replicas-kept.ts'
import { openStateFile } from '../../../agent/limits/redis/state-file.ts'
import { temporaryFolder } from '../../harness/temp.ts'

t.test('what was saved last is read at the next start', async (t) => {
  using folder = temporaryFolder()
  const file = await openStateFile(folder.path)
  t.same(file.state, { epochs: {} })
  for (const epoch of ['a1', 'b2', 'c3']) file.save({ epochs: { '': epoch, tenant: 'd4' } })
  for (const replicas of [2, 3]) file.save({ replicas })
  await file.close()
  t.same((await openStateFile(folder.path)).state, { epochs: { '': 'c3', tenant: 'd4' }, replicas: 3 })
})

t.test('a file that is not ours is told of, and taken for none', async (t) => {
  using folder = temporaryFolder()
  for (const text of [
    '',
    '{',
    'null',
    '[]',
    '{"epochs":1}',
    '{"epochs":{"a":1}}',
    '{"epochs":{"a":"no hex"}}',
    '{"replicas":3}',
    '{"epochs":{},"replicas":0}',
    '{"epochs":{},"replicas":1.5}',
    '{"epochs":{},"replicas":"3"}',
    '{"epochs":{},"replicas":1000001}',
    '{"epochs":{},"replicas":1e999}',
  ]) {
    writeFileSync(join(folder.path, 'quota-memory.json'), text)
    const warnings: string[] = []
    const { state } = await openStateFile(folder.path, (warning) => warnings.push(warning))
    t.same(state, { epochs: {} }, text)
    t.match(warnings, [/quota-memory.json is not used: /], text)
  }
})

t.test('a folder that cannot be written is told of', async (t) => {
  const warnings: string[] = []
  const file = await openStateFile('/dev/null/nowhere', (warning) => warnings.push(warning))
  file.save({ epochs: { '': 'a1' } })
  await file.close()
  t.match(warnings.at(-1), /cannot be written/)
})

t.test('without a folder nothing is kept', async (t) => {
  const file = await openStateFile(undefined)
  file.save({ epochs: { '': 'a1' } })
  await file.close()
  t.same(file.state, { epochs: {} })
})

t.test('fewer replicas are kept once there have been fewer for an hour', (t) => {
  const minuteUs = 60_000_000
  const kept = new ReplicasKept(4)
  const rows: [minute: number, replicas: number, kept: number | undefined][] = [
    [0, 4, undefined],
    [1, 6, 6],
    [2, 6, undefined],
    // A fleet that is replaced one by one.
    [10, 5, undefined],
    [60, 1, undefined],
    [61, 6, undefined],
    // One that is made smaller.
    [70, 2, undefined],
    [71, 3, undefined],
    [129, 2, undefined],
    [130, 2, 3],
    [131, 2, undefined],
    [191, 2, 2],
  ]
  for (const [minute, replicas, wanted] of rows)
    t.equal(kept.note(replicas, minute * minuteUs), wanted, `${replicas} in minute ${minute}`)
  t.equal(new ReplicasKept().note(1, 0), 1, 'who kept nothing keeps what it sees')
  t.end()
})

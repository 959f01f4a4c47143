import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openEpochFile } from '../../../agent/limits/redis/epoch-file.ts'
import { temporaryFolder } from '../../harness/temp.ts'

t.test('what was saved last is read at the next start', async (t) => {
  using folder = temporaryFolder()
  const file = await openEpochFile(folder.path)
  t.same(file.epochs, {})
  for (const epoch of ['a1', 'b2', 'c3']) file.save({ '': epoch, tenant: 'd4' })
  await file.close()
  t.same((await openEpochFile(folder.path)).epochs, { '': 'c3', tenant: 'd4' })
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
  ]) {
    writeFileSync(join(folder.path, 'quota-memory.json'), text)
    const warnings: string[] = []
    const { epochs } = await openEpochFile(folder.path, (warning) => warnings.push(warning))
    t.same(epochs, {}, text)
    t.match(warnings, [/quota-memory.json is not used: /], text)
  }
})

t.test('a folder that cannot be written is told of', async (t) => {
  const warnings: string[] = []
  const file = await openEpochFile('/dev/null/nowhere', (warning) => warnings.push(warning))
  file.save({ '': 'a1' })
  await file.close()
  t.match(warnings.at(-1), /cannot be written/)
})

t.test('without a folder nothing is kept', async (t) => {
  const file = await openEpochFile(undefined)
  file.save({ '': 'a1' })
  await file.close()
  t.same(file.epochs, {})
})

import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openConsole } from '#telemetry/console.ts'
import { temporaryFolder } from '../harness/temp.ts'

t.test('lines are written in their order, and the end waits for them', async (t) => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'out')
  const descriptor = openSync(path, 'w')
  const lines = Array.from({ length: 2000 }, (_, number) => `{"line":${number}}\n`)
  {
    await using console = openConsole(descriptor)
    for (const line of lines) t.ok(console.write(line))
  }
  t.equal(readFileSync(path, 'utf8'), lines.join(''))
  closeSync(descriptor)
})

t.test('what waits for a reader is bounded: more is refused, not kept', async (t) => {
  using folder = temporaryFolder()
  const descriptor = openSync(join(folder.path, 'out'), 'w')
  {
    await using console = openConsole(descriptor)
    const line = `${'x'.repeat(1 << 20)}\n`
    const taken = Array.from({ length: 40 }, () => console.write(line))
    // Nothing was written yet: nobody had a turn.
    t.same([taken[0], taken.at(-1)], [true, false])
    t.ok(taken.filter(Boolean).length <= 17, `${taken.filter(Boolean).length} MiB were taken`)
  }
  closeSync(descriptor)
})

t.test('a console that fails ends nothing', async (t) => {
  const descriptor = openSync('/dev/full', 'w')
  await using console = openConsole(descriptor)
  console.write('line\n')
  await new Promise(setImmediate)
  t.type(console.write('another\n'), 'boolean')
})

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readReport } from '../../scripts/tap-report.ts'
import { temporaryFolder } from '../harness/temp.ts'

const root = join(import.meta.dirname, '..', '..')

t.test('a report names what failed, where, and what was found and wanted, once', async (t) => {
  using folder = temporaryFolder()
  const tap = import.meta.resolve('tap')
  const files = {
    'fails.test.mjs': `import t from ${JSON.stringify(tap)}
t.test('outer # one', async (t) => {
  t.equal(1, 2, 'one is two')
  t.ok(true, 'not ok 1 - what only looks like it')
  await t.test('inner', async (t) => {
    t.same({ found: 1 }, { wanted: 2 }, 'objects')
    t.ok(false, 'skipped', { skip: 'not now' })
    t.same(Array.from({ length: 100 }, (_, i) => i), [], 'many')
    throw new Error('thrown')
  })
})
`,
    'ends.test.mjs': 'process.exitCode = 3\n',
    'passes.test.mjs': `import t from ${JSON.stringify(tap)}\nt.ok(true)\n`,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.path, name), text)
  const report = join(folder.path, 'report.tap')
  // A runner of its own, not a part of the one that runs this.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/TAP|NODE_/.test(name)))
  const { status } = spawnSync(
    join(root, 'node_modules', '.bin', 'tap'),
    [
      '--reporter=silent',
      `--output-file=${report}`,
      ...Object.keys(files).map((name) => join(folder.path, name)),
    ],
    { cwd: root, env },
  )
  t.equal(status, 1)
  const { passed, failed, failures } = readReport(readFileSync(report, 'utf8'))
  t.equal(passed, 2)
  t.ok(failed >= 5, `${failed}`)
  const inFile = (name: string) =>
    failures
      .filter(({ path }) => path.includes(name))
      .map(({ path, diagnostics }) => ({
        path: path.replace(/^.*test\.mjs(?: › )?/, ''),
        text: diagnostics.join('\n'),
      }))
  const said = inFile('fails.test.mjs')
  t.same(
    said.map(({ path }) => path),
    [
      'outer # one › one is two',
      'outer # one › inner › objects',
      'outer # one › inner › many',
      'outer # one › inner › thrown',
    ],
  )
  t.match(said[0]?.text, /-2\n *\+1/)
  t.match(said[1]?.text, /- +"wanted": 2,\n *\+ +"found": 1,/)
  t.match(said[2]?.text, /…$/, 'as much as can be read')
  t.ok((said[2]?.text.split('\n').length ?? 0) <= 41)
  t.match(said[3]?.text, /fails\.test\.mjs:9/)
  for (const { text } of said) t.notMatch(text, /source:|\^/, 'without the source')
  t.match(inFile('ends.test.mjs'), [{ path: '', text: /exitCode: 3/ }])
  t.equal(inFile('passes.test.mjs').length, 0)
})

t.test('a report that is not there, or broken off, has failed nothing and passed nothing', async (t) => {
  t.same(readReport(''), { passed: 0, failed: 0, failures: [] })
})

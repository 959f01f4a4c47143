import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readReport } from '../../scripts/tap-report.ts'
import { temporaryFolder } from '../harness/temp.ts'

const failing = `import t from ${JSON.stringify(import.meta.resolve('tap'))}
t.test('outer # one', async (t) => {
  t.equal(1, 2, 'one is two')
  t.ok(true, 'not ok 1 - what only looks like it')
  await t.test('inner', async (t) => {
    t.same({ found: 1 }, { wanted: 2 }, 'objects')
    t.ok(false, 'left out', { skip: 'not now' })
    t.same(Array.from({ length: 100 }, (_, i) => i), [], 'many')
    throw new Error('thrown')
  })
})
`

/** What the runner writes of two files: one whose tests really fail, and one that ends before it has any. */
function reportOfTwo(): string {
  using folder = temporaryFolder()
  const path = join(folder.path, 'fails.test.mjs')
  writeFileSync(path, failing)
  // A test of its own, not a part of this one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/TAP|NODE_/.test(name)))
  const { stdout } = spawnSync(process.execPath, [path], { env, encoding: 'utf8' })
  const [, ...lines] = stdout.split('\n')
  return [
    'TAP version 14',
    '1..2',
    '# Subtest: fails.test.mjs',
    ...lines.map((line) => (line === '' ? line : `    ${line}`)),
    'not ok 1 - fails.test.mjs # time=451.816ms',
    '  ---',
    '  exitCode: 1',
    '  ...',
    '',
    '# Subtest: ends.test.mjs',
    '    1..0 # no tests found',
    'not ok 2 - ends.test.mjs # time=12.5ms',
    '  ---',
    '  exitCode: 3',
    '  signal: null',
    '  ...',
    '',
    '# { total: 7, pass: 1, fail: 5, skip: 1 }',
  ].join('\n')
}

t.test('a report names what failed, where, and what was found and wanted, once', async (t) => {
  const { passed, failed, failures } = readReport(reportOfTwo())
  t.same([passed, failed], [1, 5])
  t.same(
    failures.map(({ path }) => path),
    [
      'fails.test.mjs › outer # one › one is two',
      'fails.test.mjs › outer # one › inner › objects',
      'fails.test.mjs › outer # one › inner › many',
      'fails.test.mjs › outer # one › inner › thrown',
      'ends.test.mjs',
    ],
  )
  const [one, objects, many, thrown, ends] = failures.map(({ diagnostics }) => diagnostics.join('\n'))
  t.match(one, /-2\n *\+1/)
  t.match(objects, /- +"wanted": 2,\n *\+ +"found": 1,/)
  t.match(many, /…$/, 'as much as somebody reads')
  t.ok((many?.split('\n').length ?? 0) <= 41)
  t.match(thrown, /fails\.test\.mjs:9/)
  for (const text of [one, objects, many, thrown]) t.notMatch(text, /source:|--\^/, 'without the source')
  t.equal(ends, '  exitCode: 3\n  signal: null')
})

t.test('a report that is empty has failed nothing and passed nothing', async (t) => {
  t.same(readReport(''), { passed: 0, failed: 0, failures: [] })
})

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { run } from '../harness/run.ts'

const root = join(import.meta.dirname, '..', '..')

function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort()
  return Object.fromEntries(paths.map((path) => [path.slice(folder.length), readFileSync(path, 'utf8')]))
}

t.test('agent/gen is what proto/ generates', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-gen-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  await run(process.execPath, ['scripts/proto.ts', '--out', folder], { cwd: root })
  t.same(contents(folder), contents(join(root, 'agent', 'gen')), 'run `npm run proto` and commit')
})

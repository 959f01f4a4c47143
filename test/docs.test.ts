import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { reasons } from '#decision/reasons.ts'
import { StatusCode } from '#gen/envoy/type/v3/http_status_pb.js'

const root = join(import.meta.dirname, '..')

t.test('the generated pages are current', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-docs-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  execFileSync(process.execPath, ['scripts/docs.ts', '--out', folder], { cwd: root })
  for (const name of readdirSync(folder)) {
    t.equal(
      readFileSync(join(folder, name), 'utf8'),
      readFileSync(join(root, 'docs', name), 'utf8'),
      `${name}: run \`npm run docs\``,
    )
  }
})

t.test('every reason has a status that Envoy can send, and a text that reveals nothing', async (t) => {
  for (const [code, reason] of Object.entries(reasons)) {
    t.ok(StatusCode[reason.httpStatus] !== undefined && reason.httpStatus >= 400, code)
    t.ok(reason.grpcStatus > 0 && reason.grpcStatus <= 16, code)
    t.notMatch(reason.text, /tenant|quota|bundle|rego|spiffe|zone|envoy|sluice/i, code)
    t.equal(reason.isCounted, reason.blame === 'model', code)
  }
})

t.test('every metric is in the documentation', async (t) => {
  const folder = join(root, 'agent/telemetry')
  const source = readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('')
  const page = readFileSync(join(root, 'docs/using.md'), 'utf8')
  const names = [...source.matchAll(/'(sluice_\w+)'/g)].map(([, name]) => name as string)
  t.ok(names.length > 40, names.join(' '))
  for (const name of names) t.ok(page.includes(`\`${name}\``), name)
  const known = new Set(names)
  const told = [...page.matchAll(/`(sluice_\w+)`/g)].map(([, name]) => name as string)
  t.same(
    told.filter((name) => !known.has(name)),
    [],
    'nobody counts them',
  )
})

const pages = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
]

t.test('no page has the marks of a merge', async (t) => {
  for (const page of pages)
    t.notMatch(readFileSync(join(root, page), 'utf8'), /^(<{7}|={7}|>{7})( |$)/m, page)
})

t.test('every page is in the list of them', async (t) => {
  const list = readFileSync(join(root, 'README.md'), 'utf8')
  for (const page of pages.filter((name) => name.startsWith('docs/'))) t.match(list, `(${page})`)
})

t.test('links between the pages lead somewhere', async (t) => {
  for (const page of pages) {
    const text = readFileSync(join(root, page), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\(([^)#]+)\)/g)) {
      if (target.startsWith('http')) continue
      t.doesNotThrow(() => readFileSync(join(root, page, '..', target)), `${page}: ${target}`)
    }
  }
})

import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { refusedBuiltins } from '#policy/builtins/builtins.ts'
import { workspace } from '../../commands/policy/kit.ts'
import { goTool } from '../../harness/go-tools.ts'
import { run } from '../../harness/run.ts'

const policies = join(import.meta.dirname, '..', '..', '..', 'policies')
const opa = await goTool('opa')
const examples = readdirSync(join(policies, 'examples')).sort()

t.test('there are the five worked examples', async (t) => {
  t.same(examples, ['jwt-claims', 'model-allow-list', 'response-redaction', 'tenant-rbac', 'time-windows'])
})

t.test('the library holds what its tests say, each rule of it tested', async (t) => {
  const report = JSON.parse((await run(opa, ['test', '--coverage', join(policies, 'lib')])).toString())
  for (const [file, { coverage, not_covered: missed }] of Object.entries<{
    readonly coverage: number
    readonly not_covered?: unknown
  }>(report.files))
    t.equal(coverage, 100, `${file}: not covered ${JSON.stringify(missed)}`)
})

for (const name of examples) {
  t.test(`${name} holds what its tests and its cases say`, async (t) => {
    using work = workspace()
    const folder = join(policies, 'examples', name)
    const args = ['test', '--format', 'json', '--ignore', '*.yaml', folder, join(policies, 'lib')]
    const tests = JSON.parse((await run(opa, args)).toString()) as { readonly package: string }[]
    t.ok(tests.filter((each) => each.package === 'data.envoy.authz_test').length >= 5)
    await work.build(folder, join(policies, 'lib'))
    const ran = await work.policy('test', 'bundle.tar.gz', folder, '--json')
    t.equal(ran.status, 0, ran.stdout + ran.stderr)
    t.ok(JSON.parse(ran.stdout).length >= 4)
  })
}

t.test('all of it is formatted as opa formats', async (t) => {
  const folders = ['lib', 'examples', 'sluice', '.regal']
  t.equal((await run(opa, ['fmt', '--list', ...folders], { cwd: policies })).toString(), '')
})

t.test('the default policy passes its tests', async (t) => {
  const report = (await run(opa, ['test', 'sluice', 'data.json'], { cwd: policies })).toString()
  t.match(report, /^PASS: (\d+)\/\1$/m)
})

t.test('Regal finds nothing to say, and everything that the agent refuses', async (t) => {
  const regal = await goTool('regal')
  t.match((await run(regal, ['lint', '.'], { cwd: policies })).toString(), /No violations found/)
  const rule = readFileSync(join(policies, '.regal', 'rules', 'network_call.rego'), 'utf8')
  for (const name of refusedBuiltins.keys()) t.match(rule, `"${name}"`)
  const config = parse(readFileSync(join(policies, '.regal', 'config.yaml'), 'utf8'))
  t.equal(config.capabilities.from.file, 'capabilities.json')

  using work = workspace({
    'a/a.rego':
      'package a\n\nallowed if http.send({"method": "get", "url": "https://x"}).status_code == 200\n',
  })
  for (const path of globSync('.regal/**/*.{yaml,rego}', { cwd: policies }))
    work.write({ [path]: readFileSync(join(policies, path), 'utf8') })
  work.write({ 'capabilities.json': readFileSync(join(policies, 'capabilities.json'), 'utf8') })
  await t.rejects(run(regal, ['lint', 'a'], { cwd: work.path }), /network-call/)
})

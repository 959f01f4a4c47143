import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { tenantFault } from '#identity/identity.ts'
import { openResources } from '#resources/resources.ts'

const resource = (kind: string, name: string, spec: string) =>
  `apiVersion: sluice.dev/v1alpha1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n`
const tenant = (name: string) =>
  resource('Tenant', name, `{peers: ["spiffe://td/ns/${name}/**"], models: [fraud]}`)
const route = (name: string, versions: string) =>
  resource('ModelRoute', name, `{model: fraud, versions: ${versions}}`)
const oneVersion = '[{version: "1", weight: "100%"}]'

function folder(t: Test, files: Record<string, string>): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-resources-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return path
}

function load(t: Test, files: Record<string, string>) {
  const problems: (string | undefined)[] = []
  const source = openResources({
    dir: folder(t, files),
    tenantFault,
    onLoad: ({ problem }) => problems.push(problem),
    watchIntervalMs: 10,
  })
  t.teardown(() => source[Symbol.dispose]())
  return { source, problems }
}

t.test('all documents of all files are one set', async (t) => {
  const { source, problems } = load(t, {
    'a.yaml': `${tenant('acme')}---\n${tenant('globex')}`,
    'b.yml': route('fraud', '[{version: "2", weight: "0.5%"}, {version: "1", weight: 995000}]'),
    'c.json': JSON.stringify({
      apiVersion: 'sluice.dev/v1alpha1',
      kind: 'QuotaPolicy',
      metadata: { name: 'q' },
      spec: { tenants: ['*'], limits: [{ unit: 'requests', rate: 5, window: '1m' }] },
    }),
    'notes.txt': 'not a resource',
  })
  t.same(problems, [undefined])
  const { tenants, quotas, routes } = source.current()
  t.same(
    tenants.map(({ name }) => name),
    ['acme', 'globex'],
  )
  t.same(routes.get('fraud')?.versions, [
    { version: '2', weight: 5000 },
    { version: '1', weight: 995_000 },
  ])
  t.match(quotas, [{ name: 'q', scope: 'tenant', models: ['*'], limits: [{ window: 60_000 }] }])
})

t.test('one mistake refuses the whole set and names its place', async (t) => {
  const rows: [name: string, text: string, message: RegExp][] = [
    ['unknown kind', resource('Tenent', 'a', '{}'), /a\.yaml:2: kind: "Tenent"; expected/],
    ['unknown version', tenant('a').replace('v1alpha1', 'v9'), /a\.yaml:1: apiVersion: "sluice\.dev\/v9"/],
    [
      'unknown key',
      tenant('a').replace('models', 'modles'),
      /a\.yaml:4: spec\.modles: a key that is not known/,
    ],
    ['name that is none', tenant('A_b'), /metadata\.name: "A_b"; expected a DNS label/],
    [
      'duplicate',
      `${tenant('a')}---\n${tenant('a')}`,
      /a\.yaml:8: Tenant a a second time; expected only the one at .*a\.yaml:3/,
    ],
    [
      'two routes of a model',
      `${route('x', oneVersion)}---\n${route('y', oneVersion)}`,
      /ModelRoute for the model fraud a second time/,
    ],
    ['weights', route('x', '[{version: "1", weight: "90%"}]'), /weights must add up to 100%, not 90%/],
    [
      'version twice',
      route('x', '[{version: "1", weight: "50%"}, {version: "1", weight: "50%"}]'),
      /each version may stand only once/,
    ],
    ['version as number', route('x', '[{version: 1, weight: "100%"}]'), /spec\.versions\.0\.version: 1/],
    [
      'pin of a missing version',
      resource(
        'ModelRoute',
        'x',
        `{model: fraud, versions: ${oneVersion}, pins: [{tenant: a, version: "7"}]}`,
      ),
      /version 7 is not among the versions/,
    ],
    [
      'quota of an unknown tenant',
      resource('QuotaPolicy', 'q', '{tenants: [nobody], limits: [{unit: concurrency, max: 1}]}'),
      /names the tenant nobody; expected a tenant that exists/,
    ],
    [
      'a pattern that is none',
      tenant('a').replace('/ns/a/**', '/ns/a*'),
      /Tenant a: the peer pattern .* stands for a whole segment/,
    ],
    ['no YAML', 'a: [', /a\.yaml:\d: .*expected YAML/],
  ]
  for (const [name, text, message] of rows) {
    const { source, problems } = load(t, { 'a.yaml': text })
    t.match(problems[0], message, name)
    t.notOk(source.isReady(), `${name}: not ready`)
  }
})

t.test('a reload takes effect, a bad one leaves the last good state', async (t) => {
  const dir = folder(t, { 'a.yaml': tenant('acme') })
  const loads: { epoch: number; problem?: string }[] = []
  using source = openResources({ dir, onLoad: (each) => loads.push(each), watchIntervalMs: 10 })
  const next = async (count: number) => {
    for (let i = 0; i < 1000 && loads.length < count; i++) await sleep(10)
    t.equal(loads.length, count)
  }
  const first = source.current()
  writeFileSync(join(dir, 'b.yaml'), tenant('globex'))
  await next(2)
  t.equal(source.current().tenants.length, 2)
  t.equal(first.tenants.length, 1, 'what a request took at its start does not change under it')
  writeFileSync(join(dir, 'b.yaml'), 'broken: [')
  await next(3)
  t.match(loads[2], { epoch: 2, problem: /b\.yaml/ })
  t.equal(source.current().tenants.length, 2)
  t.match(source.lastError(), /b\.yaml/)
  rmSync(join(dir, 'b.yaml'))
  await next(4)
  t.same([source.current().tenants.length, source.lastError()], [1, undefined])
})

t.test('a directory that is not there is not ready', async (t) => {
  using source = openResources({ dir: '/nowhere', onLoad: () => {} })
  t.notOk(source.isReady())
  t.match(source.lastError(), /\/nowhere.*expected a directory/)
})

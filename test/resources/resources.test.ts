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
const quota = (window: string) =>
  resource('QuotaPolicy', 'q', `{tenants: ['*'], limits: [{unit: requests, rate: 1, window: "${window}"}]}`)
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
    [
      'unknown kind',
      resource('Tenent', 'a', '{}'),
      /a\.yaml:2:\d+: kind: "Tenent"; expected "Tenant" or "QuotaPolicy" or "ModelRoute"/,
    ],
    [
      'unknown version',
      tenant('a').replace('v1alpha1', 'v9'),
      /a\.yaml:1:\d+: apiVersion: "sluice\.dev\/v9"/,
    ],
    [
      'unknown key',
      tenant('a').replace('models', 'modles'),
      /a\.yaml:4:\d+: spec\.modles: a key that is not known; expected models/,
    ],
    ['name that is none', tenant('A_b'), /metadata\.name: "A_b"; expected a DNS label/],
    [
      'duplicate',
      `${tenant('a')}---\n${tenant('a')}`,
      /a\.yaml:8:\d+: Tenant a a second time; expected only the one at .*a\.yaml:3:\d+/,
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
      /Tenant a: peers: the pattern .* stands for a whole segment/,
    ],
    ['a window that is too long', quota('401d'), /window: "401d"; expected at most 400d/],
    ['a window without a unit', quota('60'), /window: "60"; expected a duration such as/],
    [
      'a weight that is no share',
      route('x', '[{version: "1", weight: lots}]'),
      /weight: "lots"; expected a share .* or a number/,
    ],
    ['nothing', '# nothing\n', /no resource; expected at least one resource/],
    ['no YAML', 'a: [', /a\.yaml:\d:\d: .*expected YAML/],
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

t.test('the mistakes of all files are told at once', async (t) => {
  const { problems } = load(t, {
    'a.yaml': tenant('A'),
    'b.yaml': `${tenant('b').replace('peers', 'pears')}---\n${tenant('c').replace('kind', 'kin')}`,
    'c.yaml': 'a: [',
    'd.yaml': tenant('d'),
  })
  t.match(problems[0], /a\.yaml.*b\.yaml:4:.*pears.*b\.yaml:.*c\.yaml/s)
})

t.test('a directory that is emptied does not lift every limit', async (t) => {
  const dir = folder(t, { 'a.yaml': tenant('acme') })
  const loads: { epoch: number; problem?: string }[] = []
  using source = openResources({ dir, onLoad: (each) => loads.push(each), watchIntervalMs: 10 })
  rmSync(join(dir, 'a.yaml'))
  for (let i = 0; i < 1000 && loads.length < 2; i++) await sleep(10)
  t.match(loads[1], { epoch: 1, problem: /no resource/ })
  t.equal(source.current().tenants.length, 1)
})

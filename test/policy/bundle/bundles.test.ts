import { createHash, createHmac } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { type BundleSet, openBundles } from '#policy/bundle/bundles.ts'
import { type Compiler, createCompiler } from '#policy/bundle/compile.ts'
import type { Rigour } from '#policy/bundle/freshness.ts'
import type { SourceBase } from '#policy/bundle/source/source.ts'
import { readTar } from '#policy/bundle/tar.ts'
import { startEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { createServiceClient } from '#policy/service/service.ts'
import { type BundleServer, startBundleServer } from '../../harness/bundle-server.ts'
import { goTool } from '../../harness/go-tools.ts'
import { buildBundle } from '../../harness/opa.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { archive } from './archive.ts'

const decision = 'envoy/authz/allow'
const opa = await goTool('opa')
const context = { nowNs: 0n }

interface Opened extends Disposable {
  readonly sets: BundleSet[]
  readonly problems: string[]
  ask(input: JsonObject, entrypoint?: string): unknown
  revisions(): unknown
}

/** Opens bundles `a`, `b`, … of a server. */
async function open(
  server: BundleServer,
  names: readonly string[],
  change: {
    readonly base?: Partial<SourceBase>
    readonly rigour?: Rigour
    readonly compiler?: Compiler
    readonly persist?: string
  } = {},
): Promise<Opened> {
  const sets: BundleSet[] = []
  const problems: string[] = []
  const client = createServiceClient('s', { url: server.url })
  const bundles = await openBundles({
    sources: names.map((name) => ({
      kind: 'download',
      name,
      client,
      resource: `bundles/${name}`,
      minDelayMs: 1,
      maxDelayMs: 5,
      persist: change.persist,
      ...change.base,
    })),
    wanted: { decisions: [decision], optional: ['system/log/mask'] },
    rigour: change.rigour ?? { isProduction: false },
    compiler: change.compiler ?? createCompiler({ opa }),
    start: startEngine,
    clock: { nowMs: Date.now, monotonicUs: () => 0 },
    onSet: (set) => sets.push(set),
    onProblem: (problem) => problem !== undefined && problems.push(problem),
  })
  return {
    sets,
    problems,
    ask: (input, entrypoint = decision) =>
      sets.at(-1)?.engine.evaluate(entrypoint, new InputDocument(input), context),
    revisions: () => sets.at(-1)?.revisions,
    [Symbol.dispose]: () => bundles[Symbol.dispose](),
  }
}

const policy = (rule: string, revision: string, roots = ['envoy']) =>
  archive({ 'p.rego': `package envoy.authz\n\n${rule}\n`, '.manifest': { roots, revision } })
const withData = (data: object, revision: string, roots: readonly string[]) =>
  archive({ 'data.json': data, '.manifest': { roots, revision } })

t.test('nothing is in force before every bundle is there; then all of them change as one', async (t) => {
  await using server = await startBundleServer()
  server.put('/bundles/a', policy('allow if input.user in data.people.admins', 'a1'))
  using opened = await open(server, ['a', 'b'])
  await eventually(
    'the first bundle was taken',
    () => server.requests.filter(({ url }) => url === '/bundles/a').length > 2,
  )
  t.same(opened.sets, [])
  t.match(opened.problems.at(-1), /bundles\/b: the server answered 404/)

  server.put('/bundles/b', withData({ people: { admins: ['ann'] } }, 'b1', ['people']))
  await eventually('both', () => opened.sets.length === 1)
  t.same(opened.revisions(), { a: 'a1', b: 'b1' })
  t.equal(opened.ask({ user: 'ann' }), true)
  t.equal(opened.ask({ user: 'bob' }), undefined)

  server.put('/bundles/b', withData({ people: { admins: ['bob'] } }, 'b2', ['people']))
  await eventually('the update', () => opened.sets.length === 2)
  t.same(opened.revisions(), { a: 'a1', b: 'b2' })
  t.equal(opened.ask({ user: 'ann' }), undefined)
  t.equal(opened.ask({ user: 'bob' }), true)
})

t.test('a bundle that does not go with the others leaves them as they are', async (t) => {
  await using server = await startBundleServer()
  server.put('/bundles/a', policy('allow if input.user in data.people.admins', 'a1'))
  const good = withData({ people: { admins: ['ann'] } }, 'b1', ['people'])
  server.put('/bundles/b', good)
  using opened = await open(server, ['a', 'b'])
  await eventually('both', () => opened.sets.length === 1)
  const bad: [name: string, bytes: Buffer, says: RegExp][] = [
    [
      'overlapping roots',
      withData({ envoy: { authz: { x: 1 } } }, 'x', ['envoy/authz']),
      /the roots "envoy" and "envoy\/authz"/,
    ],
    ['the root of all', withData({ people: {} }, 'x', ['']), /the roots "envoy" and ""/],
    ['data outside its roots', withData({ people: {}, other: 1 }, 'x', ['people']), /data at other/],
    [
      'Rego outside its roots',
      archive({ 'q.rego': 'package q\n\nx := 1\n', '.manifest': { roots: ['people'] } }),
      /bundles? b|b: q\.rego/,
    ],
    [
      'Rego that is none',
      archive({ 'q.rego': 'package people.q\n\nx := \n', '.manifest': { roots: ['people'] } }),
      /bundle b: .*b: q\.rego:4: rego_parse_error/s,
    ],
    [
      'a builtin that nobody has',
      archive({
        'q.rego': 'package people.q\n\nx := http.send({"method": "GET", "url": "http://x"})\n',
        '.manifest': { roots: ['people'] },
      }),
      /undefined function http\.send.*instead of http\.send, put what it would fetch into the bundle's data/s,
    ],
    [
      'wasm beside Rego',
      await buildBundle({
        files: { 'people/p.rego': 'package people\n\nx := 1\n', '.manifest': '{"roots":["people"]}' },
        entrypoint: 'people/x',
      }),
      /wasm in b and only Rego in a/,
    ],
    [
      'a patch for other roots',
      archive({
        'patch.json': { data: [{ op: 'upsert', path: '/other/x', value: 1 }] },
        '.manifest': { roots: ['other'] },
      }),
      /other roots or modules/,
    ],
    [
      'a patch that does not fit',
      archive({
        'patch.json': { data: [{ op: 'remove', path: '/people/x' }] },
        '.manifest': { roots: ['people'] },
      }),
      /remove people\/x: nothing there/,
    ],
    [
      'Rego that would be written elsewhere',
      archive({ '../../../tmp/evil.rego': 'package people\n', '.manifest': { roots: ['people'] } }),
      /leaves the archive/,
    ],
    ['half an archive', good.subarray(0, 60), /unexpected end of file/],
  ]
  for (const [name, bytes, says] of bad) {
    server.put('/bundles/b', bytes)
    const told = await eventually(`${name}: ${says}`, () => opened.problems.find((text) => says.test(text)))
    t.match(told, says, name)
    t.equal(opened.ask({ user: 'ann' }), true, name)
  }
  t.same(opened.sets.length, 1)
  server.put('/bundles/b', withData({ people: { admins: ['eve'] } }, 'b2', ['people']))
  await eventually('the next good one', () => opened.ask({ user: 'eve' }) === true)
})

t.test(
  'a delta bundle changes the data of its own bundle; after a wrong one a whole bundle is asked for',
  async (t) => {
    await using server = await startBundleServer()
    server.put('/bundles/a', policy('allow if input.user in data.people.admins', 'a1'))
    server.put('/bundles/b', withData({ people: { admins: ['ann'] } }, 'b1', ['people']))
    using opened = await open(server, ['a', 'b'])
    await eventually('both', () => opened.sets.length === 1)
    const patch = (operations: object[], revision: string) =>
      archive({ 'patch.json': { data: operations }, '.manifest': { roots: ['people'], revision } })
    server.put('/bundles/b', patch([{ op: 'upsert', path: '/people/admins/-', value: 'bob' }], 'b2'))
    await eventually('the patch', () => opened.ask({ user: 'bob' }) === true)
    t.same(opened.revisions(), { a: 'a1', b: 'b2' })
    t.equal(opened.ask({ user: 'ann' }), true)
    const sentBefore = server.requests.length
    server.put('/bundles/b', patch([{ op: 'replace', path: '/people/none', value: 1 }], 'b3'))
    await eventually('the wrong patch', () => opened.problems.some((text) => /nothing there/.test(text)))
    await eventually('a request for all of it', () =>
      server.requests
        .slice(sentBefore)
        .some(({ url, headers }) => url === '/bundles/b' && headers['if-none-match'] === undefined),
    )
    t.same(opened.revisions(), { a: 'a1', b: 'b2' })
    t.ok(server.requests.every(({ headers }) => headers['prefer'] === 'modes=snapshot,delta'))
  },
)

t.test('modules of several bundles answer by their entrypoints, over the data of all', async (t) => {
  const one = await buildBundle({
    files: {
      'p.rego': 'package envoy.authz\n\nallow if data.team.people[input.user]\n',
      '.manifest': '{"roots": ["envoy"], "revision": "1"}',
    },
  })
  const two = await buildBundle({
    files: {
      'q.rego': 'package system.log\n\nmask contains "/input/x" if data.team.people.ann\n',
      'team/data.json': '{"people": {"ann": true}}',
      '.manifest': '{"roots": ["system", "team"], "revision": "2"}',
    },
    entrypoint: 'system/log/mask',
  })
  await using server = await startBundleServer()
  server.put('/bundles/a', one)
  server.put('/bundles/b', two)
  using opened = await open(server, ['a', 'b'])
  await eventually('both', () => opened.sets.length === 1)
  t.equal(opened.ask({ user: 'ann' }), true)
  t.equal(opened.ask({ user: 'bob' }), undefined)
  t.same(opened.ask({}, 'system/log/mask'), ['/input/x'])
  t.same([...(opened.sets[0]?.engine.entrypoints ?? [])].sort(), [decision, 'system/log/mask'])
})

t.test('a module that wants more than policies do, or is none, is refused', async (t) => {
  const good = await buildBundle({ files: { 'p.rego': 'package envoy.authz\n\nallow := true\n' } })
  const files = Object.fromEntries(readTar(gunzipSync(good)).map(({ path, content }) => [path, content]))
  // A module with one import: env.evil, a function without parameters.
  const evil = Buffer.from('0061736d01000000010401600000020c0103656e76046576696c0000', 'hex')
  t.ok(WebAssembly.validate(evil), 'it is a module')
  const bad: [name: string, bytes: Buffer, says: RegExp][] = [
    [
      'another import',
      archive({ ...files, 'policy.wasm': evil }),
      /imports env\.evil; expected only what `opa build/,
    ],
    ['no module', archive({ ...files, 'policy.wasm': 'wasm' }), /expected a WebAssembly module/],
    [
      'only another entrypoint',
      archive({ ...files, '.manifest': { wasm: [{ entrypoint: 'a/b', module: 'policy.wasm' }] } }),
      /modules for a\/b; expected a module for envoy\/authz\/allow/,
    ],
  ]
  for (const [name, bytes, says] of bad) {
    await using server = await startBundleServer()
    server.put('/bundles/a', bytes)
    using opened = await open(server, ['a'])
    t.match(await eventually(`${name}: ${says}`, () => opened.problems[0]), says, name)
    t.same(opened.sets, [])
  }
})

t.test(
  'Rego is compiled once for the same text, with the masks that it has, and leaves nothing behind',
  async (t) => {
    using folder = temporaryFolder()
    const calls = join(folder.path, 'calls')
    const program = join(folder.path, 'opa')
    writeFileSync(program, `#!/bin/sh\necho call >>${calls}\nexec ${opa} "$@"\n`, { mode: 0o755 })
    const temporary = join(folder.path, 'temporary')
    mkdirSync(temporary)
    const compiled = () => readFileSync(calls, 'utf8').split('\n').length - 1
    const source = (x: number) =>
      archive({
        'p.rego': 'package envoy.authz\n\nallow if data.x == input.x\n',
        'm.rego': 'package system.log\n\nmask contains "/input/x"\n',
        'data.json': { x },
      })
    await using server = await startBundleServer()
    server.put('/bundles/a', source(1))
    using opened = await open(server, ['a'], { compiler: createCompiler({ opa: program, temporary }) })
    await eventually('it', () => opened.ask({ x: 1 }) === true)
    t.same(opened.ask({}, 'system/log/mask'), ['/input/x'])
    const once = compiled()
    server.put('/bundles/a', source(2))
    await eventually('other data', () => opened.ask({ x: 2 }) === true)
    t.equal(compiled(), once, 'other data costs no compilation')
    t.same(readdirSync(temporary), [])

    server.put('/bundles/b', policy('allow := true', '1'))
    const failing: [compiler: Compiler, says: RegExp][] = [
      [
        createCompiler({ opa: 'no-such-program', temporary }),
        /only Rego, and no program no-such-program on the PATH; expected OPA's CLI installed/,
      ],
      [createCompiler({ opa: script(folder.path, 'sleep 600'), timeoutMs: 200, temporary }), /within 0\.2 s/],
      [createCompiler({ opa: script(folder.path, 'exit 0'), temporary }), /out\.tar\.gz|opa build/],
    ]
    for (const [compiler, says] of failing) {
      using none = await open(server, ['b'], { compiler })
      t.match(await eventually(`${says}`, () => none.problems[0]), says)
      t.same(none.sets, [])
      await eventually('nothing left', () => readdirSync(temporary).length === 0)
    }
  },
)

let scripts = 0
function script(folder: string, text: string): string {
  const path = join(folder, `script-${++scripts}`)
  writeFileSync(path, `#!/bin/sh\nexec ${text}\n`, { mode: 0o755 })
  return path
}

t.test('a start from a kept bundle remembers how new it was', async (t) => {
  using folder = temporaryFolder()
  const persist = join(folder.path, 'bundles', 'a', 'bundle.tar.gz')
  const rigour: Rigour = { isProduction: true }
  await using server = await startBundleServer()
  server.put('/bundles/a', signed(versioned('new', 1), { iat: 100 }))
  {
    using opened = await open(server, ['a'], { base, rigour, persist })
    await eventually('it is kept', () => opened.sets.length === 1 && existsSync(persist))
  }
  server.put('/bundles/a', signed(versioned('old', 2), { iat: 99 }))
  using restarted = await open(server, ['a'], { base, rigour, persist })
  t.same(restarted.revisions(), { a: 'new' }, 'in force before any server was asked')
  t.match(await eventually('a refusal', () => restarted.problems[0]), /issued at 99; expected not before 100/)
  t.same(restarted.revisions(), { a: 'new' })
})

const secret = 'secret'
const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
/** As `opa sign` would do it, with whatever claims. */
function signed(bundle: Buffer, claims: object): Buffer {
  const files = Object.fromEntries(readTar(gunzipSync(bundle)).map(({ path, content }) => [path, content]))
  const list = Object.entries(files).map(([name, content]) => ({
    name,
    algorithm: 'SHA-256',
    hash: createHash('sha256').update(content).digest('hex'),
  }))
  const text = `${b64({ alg: 'HS256', kid: 'k' })}.${b64({ files: list, ...claims })}`
  const token = `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
  return archive({ ...files, '.signatures.json': { signatures: [token] } })
}
const base: Partial<SourceBase> = {
  verification: () => ({ keys: new Map([['k', { key: secret, algorithm: 'HS256' }]]), excludeFiles: [] }),
}
// Keys in the order of their bytes and no space: the digest of the text is that of the document.
const versioned = (revision: string, x: number) =>
  archive({
    'p.rego': `package envoy.authz\n\nallow if ${x} == input.x\n`,
    '.manifest': `{"revision":"${revision}","roots":["envoy"]}`,
  })

const rollbacks: [name: string, rigour: Partial<Rigour>, first: Buffer, then: Buffer, says?: RegExp][] = [
  [
    'issued earlier',
    {},
    signed(versioned('1', 1), { iat: 100 }),
    signed(versioned('2', 2), { iat: 99 }),
    /issued at 99; expected not before 100/,
  ],
  ['issued later', {}, signed(versioned('9', 1), { iat: 100 }), signed(versioned('1', 2), { iat: 101 })],
  [
    'of an older number',
    { revisionOrder: 'number' },
    signed(versioned('10', 1), {}),
    signed(versioned('9', 2), {}),
    /the revision 9; expected none before 10/,
  ],
  [
    'of a newer number',
    { revisionOrder: 'number' },
    signed(versioned('9', 1), {}),
    signed(versioned('10', 2), {}),
  ],
  [
    'of no number',
    { revisionOrder: 'number' },
    signed(versioned('9', 1), {}),
    signed(versioned('x', 2), {}),
    /one that compares as number/,
  ],
  [
    'of an older version',
    { revisionOrder: 'version' },
    signed(versioned('v1.10.0', 1), {}),
    signed(versioned('v1.9.9', 2), {}),
    /none before v1\.10\.0/,
  ],
  [
    'of a newer version',
    { revisionOrder: 'version' },
    signed(versioned('1.9', 1), {}),
    signed(versioned('1.9.1', 2), {}),
  ],
  [
    'of an older date',
    { revisionOrder: 'text' },
    signed(versioned('2026-10-01', 1), {}),
    signed(versioned('2026-09-30', 2), {}),
    /none before 2026-10-01/,
  ],
  [
    'that is not signed',
    { revisionOrder: 'number' },
    signed(versioned('1', 1), {}),
    versioned('2', 2),
    /expected a signature/,
  ],
  [
    'without iat after one with',
    {},
    signed(versioned('1', 1), { iat: 100 }),
    signed(versioned('2', 2), {}),
    /no iat, by which its age could be told/,
  ],
  [
    'that is a delta',
    {},
    signed(versioned('1', 1), { iat: 1 }),
    archive({
      'patch.json': { data: [{ op: 'upsert', path: '/envoy/x', value: 1 }] },
      '.manifest': { roots: ['envoy'] },
    }),
    /delta bundles cannot be signed/,
  ],
]
for (const [name, rigour, first, then, says] of rollbacks) {
  t.test(`in production a bundle ${name} is ${says ? 'refused' : 'taken'}`, async (t) => {
    await using server = await startBundleServer()
    server.put('/bundles/a', first)
    using opened = await open(server, ['a'], { base, rigour: { isProduction: true, ...rigour } })
    await eventually('the first', () => opened.sets.length === 1, 10_000)
    server.put('/bundles/a', then)
    if (says === undefined) {
      await eventually('the second', () => opened.ask({ x: 2 }) === true)
      return
    }
    t.match(await eventually('a refusal', () => opened.problems[0]), says)
    t.equal(opened.ask({ x: 1 }), true)
    t.ok(server.requests.every(({ headers }) => headers['prefer'] === 'modes=snapshot'))
  })
}

t.test('in production nothing unsigned and nothing of unknown age ever begins', async (t) => {
  await using server = await startBundleServer()
  server.put('/bundles/a', versioned('1', 1))
  const rigour: Rigour = { isProduction: true }
  using unsigned = await open(server, ['a'], { rigour })
  t.match(await eventually('a refusal', () => unsigned.problems[0]), /no signature; expected a signed bundle/)
  server.put('/bundles/a', signed(versioned('1', 1), {}))
  using ageless = await open(server, ['a'], { base, rigour })
  t.match(await eventually('a refusal', () => ageless.problems[0]), /no iat, .*expected iat among the claims/)
  t.same([unsigned.sets, ageless.sets], [[], []])
})

t.test('where a signature is optional, a bundle without one is taken and a wrong one is not', async (t) => {
  await using server = await startBundleServer()
  server.put('/bundles/a', versioned('1', 1))
  const optional = () => ({ ...(base.verification?.() as object), isOptional: true }) as never
  using opened = await open(server, ['a'], { base: { verification: optional } })
  await eventually('the unsigned', () => opened.ask({ x: 1 }) === true)
  server.put('/bundles/a', signed(versioned('2', 2), {}))
  await eventually('the signed', () => opened.ask({ x: 2 }) === true)
  server.put('/bundles/a', signed(versioned('3', 3), { scope: 'other' }))
  t.match(await eventually('a refusal', () => opened.problems[0]), /the scope "other"/)
  t.equal(opened.ask({ x: 2 }), true)
})

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { SluiceError } from '#base/errors.ts'
import { readBundle, repackBundle } from '#policy/bundle/bundle.ts'
import { readTar, writeTar } from '#policy/bundle/tar.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import fc from '../../fast-check.ts'
import { goTool } from '../../harness/go-tools.ts'
import { buildBundle } from '../../harness/opa.ts'
import { run } from '../../harness/run.ts'
import { temporaryFolder } from '../../harness/temp.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const decision = 'envoy/authz/allow'
const shipped = readFileSync(join(root, 'policies/dist/default.tar.gz'))
const members = (bytes: Buffer) =>
  Object.fromEntries(readTar(gunzipSync(bytes)).map(({ path, content }) => [path, content]))

function changed(change: (files: Record<string, Buffer>) => void): Buffer {
  const files = members(shipped)
  change(files)
  return gzipSync(writeTar(Object.entries(files).map(([path, content]) => ({ path, content }))))
}

t.test('the committed bundle and capabilities are what opa builds', async (t) => {
  using folder = temporaryFolder()
  await run(process.execPath, ['scripts/policies.ts', '--out', folder.path], { cwd: root })
  t.same(
    members(readFileSync(join(folder.path, 'dist/default.tar.gz'))),
    members(shipped),
    'run `npm run policies`',
  )
  t.equal(
    readFileSync(join(folder.path, 'capabilities.json'), 'utf8'),
    readFileSync(join(root, 'policies/capabilities.json'), 'utf8'),
  )
})

t.test("the default policy's own tests pass, and it is strict", async (t) => {
  const opa = await goTool('opa')
  t.match(
    (await run(opa, ['test', 'policies/sluice', 'policies/data.json'], { cwd: root })).toString(),
    /^PASS/,
  )
  await run(opa, ['check', '--strict', 'policies/sluice'], { cwd: root })
})

t.test('a bundle that cannot be used is refused with the place and what was expected', async (t) => {
  const cases: [name: string, bytes: Buffer, message: RegExp][] = [
    ['no gzip', Buffer.from('hello'), /incorrect header check; expected a gzip archive/],
    ['empty', Buffer.alloc(0), /expected a gzip archive/],
    ['truncated gzip', shipped.subarray(0, 1000), /unexpected end of file/],
    ['no tar', gzipSync('hello'.repeat(200)), /not a tar archive/],
    ['truncated tar', gzipSync(gunzipSync(shipped).subarray(0, 2048)), /truncated/],
    ['a bomb', gzipSync(Buffer.alloc(65 << 20)), /expected a gzip archive of at most 64 MiB/],
    ['no manifest', changed((files) => delete files['.manifest']), /\.manifest: no wasm module/],
    [
      'manifest no JSON',
      changed((files) => Object.assign(files, { '.manifest': Buffer.from('{') })),
      /\.manifest: .*expected JSON/,
    ],
    ['no module', changed((files) => delete files['policy.wasm']), /policy\.wasm: no such member/],
    [
      'another entrypoint',
      changed((files) =>
        Object.assign(files, {
          '.manifest': Buffer.from('{"wasm":[{"entrypoint":"a/b","module":"/policy.wasm"}]}'),
        }),
      ),
      /modules for a\/b; expected a module for envoy\/authz\/allow/,
    ],
    [
      'data no JSON',
      changed((files) => Object.assign(files, { 'data.json': Buffer.from('nope') })),
      /data\.json: .*expected JSON/,
    ],
    [
      'data no object',
      changed((files) => Object.assign(files, { 'data.json': Buffer.from('[]') })),
      /JSON that is no object/,
    ],
    [
      'data outside its roots',
      changed((files) =>
        Object.assign(files, {
          'data.json': Buffer.from('{"elsewhere":1}'),
          '.manifest': Buffer.from(
            '{"roots":["envoy"],"wasm":[{"entrypoint":"envoy/authz/allow","module":"/policy.wasm"}]}',
          ),
        }),
      ),
      /data at elsewhere/,
    ],
    [
      'a path that leaves',
      changed((files) => Object.assign(files, { 'a/../../x': Buffer.from('') })),
      /leaves the archive/,
    ],
    ...[
      'a: &x 1\nb: *x\n',
      'a: 1\na: 2\n',
      'a: 017\n',
      'a: 1_000\n',
      'a: .inf\n',
      'a: !odd 1\n',
      '[1]: 2\n',
      'a: 1\n---\nb: 2\n',
      'a: [\n',
    ].map((yaml): [string, Buffer, RegExp] => [
      `data in YAML that others could read otherwise: ${yaml}`,
      changed((files) => Object.assign(files, { 'x/data.yaml': Buffer.from(yaml) })),
      /x\/data\.yaml: .*expected one YAML document/s,
    ]),
    [
      'data above its roots',
      changed((files) =>
        Object.assign(files, {
          'data.json': Buffer.from('{"a":1}'),
          '.manifest': Buffer.from(
            '{"roots":["a/b","envoy"],"wasm":[{"entrypoint":"envoy/authz/allow","module":"/policy.wasm"}]}',
          ),
        }),
      ),
      /data at a;/,
    ],
    [
      'a value in two files',
      changed((files) =>
        Object.assign(files, {
          'data.json': Buffer.from('{"a":{"b":1}}'),
          'a/data.json': Buffer.from('{"b":2}'),
        }),
      ),
      /data\.json: (a\.)?b twice or reserved/,
    ],
    [
      'a folder that is the prototype',
      changed((files) => Object.assign(files, { ['__proto__/data.json']: Buffer.from('{"polluted":1}') })),
      /__proto__ twice or reserved/,
    ],
    [
      'a key that is the prototype',
      changed((files) => Object.assign(files, { 'data.json': Buffer.from('{"__proto__":{"polluted":1}}') })),
      /__proto__ twice or reserved/,
    ],
    [
      'a module for a decision outside its roots',
      changed((files) =>
        Object.assign(files, {
          'data.json': Buffer.from('{}'),
          '.manifest': Buffer.from(
            '{"roots":["a"],"wasm":[{"entrypoint":"envoy/authz/allow","module":"/policy.wasm"}]}',
          ),
        }),
      ),
      /the entrypoint envoy\/authz\/allow; expected one under the roots a/,
    ],
    [
      'roots of which one lies below the other',
      changed((files) => Object.assign(files, { '.manifest': Buffer.from('{"roots":["a","a/b/"]}') })),
      /the roots a and a\/b; expected roots that do not overlap/,
    ],
    [
      'roots that are none',
      changed((files) => Object.assign(files, { '.manifest': Buffer.from('{"roots":[1]}') })),
      /expected a manifest/,
    ],
    [
      'a manifest below the top',
      changed((files) => Object.assign(files, { 'x/.manifest': Buffer.from('{}') })),
      /x\/\.manifest: a manifest of another kind or place/,
    ],
    [
      'a manifest in protobuf',
      changed((files) => Object.assign(files, { '.manifest.pb': Buffer.from('') })),
      /\.manifest\.pb: a manifest of another kind/,
    ],
    [
      'a patch in a folder',
      changed((files) => Object.assign(files, { 'x/patch.json': Buffer.from('{"data":[]}') })),
      /x\/patch\.json: a patch in a folder/,
    ],
    [
      'a patch among the files of a snapshot',
      changed((files) => Object.assign(files, { 'patch.json': Buffer.from('{"data":[]}') })),
      /a file beside patch\.json/,
    ],
    [
      'signed, and no key',
      changed((files) => Object.assign(files, { '.signatures.json': Buffer.from('{}') })),
      /a signature; expected an unsigned bundle/,
    ],
  ]
  for (const [name, bytes, message] of cases) {
    const error = t.throws(() => readBundle(bytes, 'policy.tar.gz', decision), { message }, name)
    t.ok(error instanceof SluiceError && error.place.startsWith('policy.tar.gz'), `${name}: names the file`)
  }
  t.notOk('polluted' in {}, 'no bundle changes what every object has')
})

t.test('whatever is changed in a bundle, it is read or refused', async (t) => {
  const archive = gunzipSync(shipped)
  const change = fc.record({
    at: fc.nat(archive.length - 1),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 16 }),
  })
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(archive.length), (changes, cut) => {
      const bytes = Buffer.from(archive)
      for (const { at, bytes: put } of changes) bytes.set(put.subarray(0, bytes.length - at), at)
      for (const each of [bytes, bytes.subarray(0, cut)]) {
        try {
          readBundle(gzipSync(each, { level: 1 }), 'p', decision)
        } catch (thrown) {
          t.match(thrown, { name: 'SluiceError', code: 'bundle_refused' })
        }
      }
    }),
    { numRuns: 300 },
  )
  t.notOk('polluted' in {})
})

t.test('values that nest without end, or are called what every object has, hurt nobody', async (t) => {
  const deep = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`
  const keys =
    '{"constructor":{"prototype":{"polluted":1}},"x":{"__proto__":{"polluted":1},"hasOwnProperty":1}}'
  for (const text of [deep, keys]) {
    const files = { 'a/data.json': Buffer.from(text), 'a/b/data.json': Buffer.from('{"c":1}') }
    const bytes = changed((members) => Object.assign(members, files))
    const { data } = readBundle(bytes, 'p', decision)
    t.ok(Object.hasOwn(data, 'a'))
  }
  t.notOk('polluted' in {})
})

t.test('data of several files is one document, whatever the keys', async (t) => {
  const files = {
    'data.json': Buffer.from('{"a":{"x":1},"constructor":{"toString":2}}'),
    'a/b/data.json': Buffer.from('{"y":3}'),
    '.manifest': Buffer.from(
      '{"roots":["/a","constructor/","envoy/authz"],"wasm":[{"entrypoint":"envoy/authz/allow","module":"/policy.wasm"}]}',
    ),
  }
  const bundle = readBundle(
    changed((members) => Object.assign(members, files)),
    'p',
    decision,
  )
  t.equal(JSON.stringify(bundle.data), '{"a":{"x":1,"b":{"y":3}},"constructor":{"toString":2}}')
  t.equal(bundle.revision, '')
})

t.test('a module that cannot be used is refused', async (t) => {
  const { data } = readBundle(shipped, 'p', decision)
  const engine = (wasm: Uint8Array) => () => createEngine({ wasm, data, place: 'p' })
  t.throws(engine(Buffer.from('not wasm')), /expected a WebAssembly module/)
  t.throws(engine(Buffer.from('\0asm\x01\0\0\0', 'latin1')), /ABI undefined\.undefined/)
  t.throws(
    () =>
      createEngine({ ...readBundle(shipped, 'p', decision), place: 'p' }).evaluate(
        'a/b',
        new InputDocument({}),
        {
          nowNs: 0n,
        },
      ),
    /no entrypoint a\/b/,
  )

  using folder = temporaryFolder()
  const out = join(folder.path, 'b.tar.gz')
  const source =
    'package envoy.authz\n\nallow if http.send({"method": "GET", "url": input.u}).status_code == 200\n'
  writeFileSync(join(folder.path, 'p.rego'), source)
  await run(await goTool('opa'), [
    'build',
    '-t',
    'wasm',
    '-e',
    decision,
    '-o',
    out,
    join(folder.path, 'p.rego'),
  ])
  const { wasm } = readBundle(readFileSync(out), 'p', decision)
  t.throws(engine(wasm), /needs http\.send \(put what it would fetch into the bundle's data\)/)
})

t.test('an evaluation that traps leaves a working engine', async (t) => {
  const source = 'package envoy.authz\n\nallow := json.unmarshal(input.text)\n'
  const bundle = readBundle(await buildBundle({ files: { 'p.rego': source } }), 'p', decision)
  const engine = createEngine({ ...bundle, place: 'p' })
  const context = { nowNs: 0n }
  t.throws(
    () => engine.evaluate(decision, { value: null, text: '{"text": "\\ud800"}' }, context),
    /policy evaluation failed: illegal/,
  )
  t.same(engine.evaluate(decision, new InputDocument({ text: '[1]' }), context), [1])
  t.equal(engine.evaluate(decision, new InputDocument({ text: 'nope' }), context), undefined)
})

t.test('a repacked bundle has the new data and revision, and the same module', async (t) => {
  const tenants = { acme: { models: { fraud: { verbs: ['infer'], versions: ['1'] } } } }
  const bytes = repackBundle(shipped, 'p', { data: { sluice: { tenants } }, revision: 'two' })
  const bundle = readBundle(bytes, 'p', decision)
  t.equal(bundle.revision, 'two')
  const engine = createEngine({ ...bundle, place: 'p' })
  const ask = (tenant: string) =>
    engine.evaluate(
      decision,
      new InputDocument({ serving: { tenant: { name: tenant }, model: { name: 'fraud', verb: 'infer' } } }),
      { nowNs: 0n },
    )
  t.equal(ask('acme'), true)
  t.equal(ask('globex'), false)
})

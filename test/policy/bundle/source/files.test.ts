import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import { createCompiler } from '#policy/bundle/compile.ts'
import { readContents } from '#policy/bundle/contents.ts'
import { readFolder } from '#policy/bundle/source/folder.ts'
import { type LooseSource, readLoose } from '#policy/bundle/source/loose.ts'
import { type BundleSource, openPolicy } from '#policy/policy.ts'
import { goTool } from '../../../harness/go-tools.ts'
import { run } from '../../../harness/run.ts'
import { eventually, temporaryFolder } from '../../../harness/temp.ts'
import { validExchange } from '../../exchange.ts'
import { archive } from '../archive.ts'

const opa = await goTool('opa')
const compiler = createCompiler({ opa })
const decision = 'envoy/authz/allow'

function put(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}
const opaData = async (args: readonly string[]) =>
  JSON.parse((await run(opa, ['eval', '--format', 'raw', ...args, 'data'])).toString())
const loose = (paths: readonly string[], change: Partial<LooseSource> = {}): LooseSource => ({
  kind: 'loose',
  name: 'files',
  paths,
  ignore: [],
  isWatched: false,
  isAlone: true,
  ...change,
})

t.test('data of files and folders lies where opa has it', async (t) => {
  using folder = temporaryFolder()
  const at = (name: string) => join(folder.path, name)
  put(folder.path, {
    'one.json': '{"top": {"x": 1}}',
    'two.yaml': 'top: {y: yes}\n',
    'tree/any.json': '{"tree": [1.5, "z"]}',
    'tree/a/b/other.yml': 'deep: true\n',
    'tree/a/data.json': '{"b": {"beside": null}}',
    'tree/notes.txt': 'nothing',
    'list.json': '[1]',
  })
  const paths = [at('one.json'), at('two.yaml'), at('tree'), `pre.fix:${at('list.json')}`]
  const { data } = await readLoose(loose(paths))
  t.same(data, await opaData(paths.flatMap((path) => ['-d', path])))
  t.match(data, { top: { x: 1, y: 'yes' }, a: { b: { deep: true, beside: null } }, pre: { fix: [1] } })
})

t.test('files that do not go together are refused, as opa refuses them', async (t) => {
  using folder = temporaryFolder()
  const at = (name: string) => join(folder.path, name)
  put(folder.path, {
    'a.json': '{"x": 1}',
    'b.json': '{"x": 2}',
    'list.json': '[1]',
    'c.json': '{',
    'd.txt': '',
  })
  const bad: [paths: string[], says: RegExp][] = [
    [[at('a.json'), at('b.json')], /x twice or reserved/],
    [[at('list.json')], /data that is no object/],
    [[at('c.json')], /expected JSON/],
    [[at('none.json')], /ENOENT/],
  ]
  for (const [paths, says] of bad) {
    await t.rejects(readLoose(loose(paths)), { message: says })
    await t.rejects(opaData(paths.flatMap((path) => ['-d', path])))
  }
  await t.rejects(readLoose(loose([at('d.txt')])), { message: /expected \.rego, \.json or \.yaml/ })
  put(folder.path, { 'e.json': '{"__proto__": {"polluted": 1}}' })
  await t.rejects(readLoose(loose([at('e.json')])), { message: /__proto__ twice or reserved/ })
  t.notOk('polluted' in {})
})

t.test('beside bundles loose files own what they define and no more', async (t) => {
  using folder = temporaryFolder()
  put(folder.path, {
    'p.rego': '# a comment\npackage a.b["c-d"]\n\nx := 1\n',
    'q.rego': 'package a.b\n\ny := 1\n',
    'd.json': '{"e": {"f": 1, "g": {}}, "a": {"z": []}}',
  })
  const { manifest } = await readLoose(loose([folder.path], { isAlone: false, ignore: ['x*'] }))
  t.same([...manifest.roots].sort(), ['a/b', 'a/z', 'e/f', 'e/g'])
  const { rego } = await readLoose(loose([folder.path], { ignore: ['q.*'] }))
  t.equal(rego.size, 1)
})

t.test('a folder is read as opa reads a bundle that is one', async (t) => {
  using folder = temporaryFolder()
  put(folder.path, {
    '.manifest': '{"roots": ["a", "b"], "revision": "r"}',
    'a/data.json': '{"x": [1]}',
    'a/b/data.yaml': 'y: 1\n',
    'b/data.yml': 'z: {}\n',
    'a/other.json': '{"ignored": true}',
    'readme.md': 'text',
  })
  const files = await readFolder(folder.path, { maxBytes: 1 << 20, isWanted: () => true })
  const contents = readContents(files, 'p')
  const theirs = await opaData(['-b', folder.path])
  t.match(contents, { kind: 'snapshot', manifest: { revision: 'r', roots: ['a', 'b'] } })
  t.same('data' in contents && contents.data, { a: theirs.a, b: theirs.b })
  symlinkSync(folder.path, join(folder.path, 'a', 'circle'))
  t.equal((await readFolder(folder.path, { maxBytes: 1 << 20, isWanted: () => true })).size, files.size)
  await t.rejects(readFolder(folder.path, { maxBytes: 10, isWanted: () => true }), {
    message: /more than 10 bytes/,
  })
})

interface Load {
  readonly revision?: string
  readonly problem?: string
}
async function open(source: { readonly file: string } | { readonly bundles: readonly BundleSource[] }) {
  const loads: Load[] = []
  const policy = await openPolicy({
    source,
    decision,
    compiler,
    watchIntervalMs: 5,
    onLoad: (load) => loads.push(load),
  })
  const verdict = (path = '/') => policy.stage.request?.(validExchange({ path }) as Exchange)
  return { loads, policy, verdict, [Symbol.asyncDispose]: () => policy[Symbol.asyncDispose]() }
}
const rego = 'package envoy.authz\n\nallow if data.deep.er.open\n'

t.test('changes in nested folders take effect, what is half written does not', async (t) => {
  using folder = temporaryFolder()
  put(folder.path, {
    'p.rego': rego,
    'deep/er/data.json': '{"open": false}',
    '.manifest': '{"revision": "1"}',
  })
  await using opened = await open({ file: folder.path })
  t.match(opened.verdict(), { kind: 'deny', reason: 'policy_undefined' })
  put(folder.path, { 'deep/er/data.json': '{"open": tr' })
  await eventually('the refusal', () =>
    opened.loads.some(({ problem }) => /data\.json: .*JSON/.test(problem ?? '')),
  )
  t.match(opened.verdict(), { kind: 'deny' })
  put(folder.path, { 'deep/er/data.json': '{"open": true}' })
  await eventually('the change', () => (opened.verdict() as { kind?: string }).kind === 'allow')
  put(folder.path, { 'deep/er/more.rego': 'package envoy.authz\n\nallow if' })
  await eventually('the refusal', () => opened.loads.some(({ problem }) => /more\.rego/.test(problem ?? '')))
  t.match(opened.verdict(), { kind: 'allow' })
  const loads = opened.loads.length
  put(folder.path, {
    'deep/er/log.txt': 'nothing that a bundle has',
    'deep/er/data.json': '{"open": true, "x": 1}',
  })
  await eventually('one more look', () => opened.loads.length > loads)
  put(folder.path, { 'deep/er/log.txt': 'and again' })
  rmSync(join(folder.path, 'deep'), { recursive: true })
  await eventually('what is gone', () => (opened.verdict() as { kind?: string }).kind === 'deny')
})

t.test('a ConfigMap is read once, and the next version of it as a whole', async (t) => {
  using folder = temporaryFolder()
  const at = (name: string) => join(folder.path, name)
  const version = (name: string, open: boolean) => {
    put(at(name), {
      'p.rego': 'package envoy.authz\n\nallow if data.open\n',
      'data.json': JSON.stringify({ open }),
    })
    symlinkSync(name, at('..data_tmp'))
    renameSync(at('..data_tmp'), at('..data'))
  }
  version('..2026_1', true)
  for (const name of ['p.rego', 'data.json']) symlinkSync(`..data/${name}`, at(name))
  await using opened = await open({ file: folder.path })
  t.match(opened.verdict(), { kind: 'allow' })
  version('..2026_2', false)
  await eventually('the new version', () => (opened.verdict() as { kind?: string }).kind === 'deny')
})

t.test('loose files are looked at again where that is asked for', async (t) => {
  using folder = temporaryFolder()
  put(folder.path, { 'p.rego': 'package envoy.authz\n\nallow := false\n' })
  const source = (isWatched: boolean): BundleSource => loose([folder.path], { isWatched })
  await using watched = await open({ bundles: [source(true)] })
  await using still = await open({ bundles: [source(false)] })
  put(folder.path, { 'p.rego': 'package envoy.authz\n\nallow := true\n' })
  await eventually('the change', () => (watched.verdict() as { kind?: string }).kind === 'allow')
  t.match(still.verdict(), { kind: 'deny' })
})

t.test('files and a packed bundle make one policy, whose parts must not overlap', async (t) => {
  using folder = temporaryFolder()
  const at = (name: string) => join(folder.path, name)
  put(folder.path, { 'p.rego': 'package envoy.authz\n\nallow if data.people.ann\n' })
  const bundle = (roots: string[]) =>
    archive({ 'people/data.json': { ann: true }, '.manifest': { roots, revision: 'b' } })
  writeFileSync(at('b.tar.gz'), bundle(['people']))
  const sources: BundleSource[] = [
    { kind: 'file', name: 'b', path: at('b.tar.gz'), isWatched: true },
    loose([at('p.rego')], { isAlone: false }),
  ]
  await using opened = await open({ bundles: sources })
  t.match(opened.verdict(), { kind: 'allow' })
  t.match(opened.policy.bundles(), [{ name: 'b', activeRevision: 'b', type: 'snapshot' }, { name: 'files' }])
  writeFileSync(at('b.tar.gz'), bundle(['people', 'envoy']))
  await eventually('the refusal', () =>
    opened.loads.some(({ problem }) => /do not overlap/.test(problem ?? '')),
  )
  t.match(opened.verdict(), { kind: 'allow' })
})

t.test('a file is never stale: it needs no server to confirm it', async (t) => {
  using folder = temporaryFolder()
  put(folder.path, { 'p.rego': 'package envoy.authz\n\nallow := true\n' })
  let nowMs = 0
  await using policy = await openPolicy({
    source: { file: folder.path },
    decision,
    compiler,
    clock: { nowMs: () => nowMs, monotonicUs: () => 0 },
    stale: { afterSeconds: 10, isRefused: true },
    onLoad: () => {},
  })
  nowMs = 1e12
  t.equal(policy.staleForSeconds(), undefined)
  t.match(await policy.stage.request?.(validExchange()), { kind: 'allow' })
})

t.test('two files of one name do not hide one another', async (t) => {
  using folder = temporaryFolder()
  put(folder.path, {
    'a/p.rego': 'package envoy.authz\n\nallow if data.envoy.authz.more\n',
    'b/a/p.rego': 'package envoy.authz\n\nmore := true\n',
  })
  const at = (name: string) => join(folder.path, name)
  await using opened = await open({
    bundles: [loose([at('a/p.rego'), at('b/../b/a/p.rego'), at('b/a/../a/p.rego')])],
  })
  t.match(await opened.verdict(), { kind: 'allow' })
})

import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readBundle, unpackBundle } from '#policy/bundle/bundle.ts'
import { goTool } from '../../harness/go-tools.ts'
import { data, rego, said, workspace } from './kit.ts'

const policy = { 'policy/authz.rego': rego, 'policy/data.json': data }
const members = (path: string) => [...unpackBundle(readFileSync(path), path).keys()]
const manifest = (path: string) =>
  JSON.parse(String(unpackBundle(readFileSync(path), path).get('.manifest'))) as {
    readonly revision: string
    readonly wasm?: readonly { readonly entrypoint: string }[]
  }
const entrypoints = (path: string) => (manifest(path).wasm ?? []).map(({ entrypoint }) => entrypoint).sort()

t.test('a folder of Rego becomes a bundle that the agent reads', async (t) => {
  using work = workspace(policy)
  const ran = await work.policy('build', 'policy', '-o', 'out.tar.gz', '-r', 'r7')
  t.match(said(ran), {
    status: 0,
    stdout: /^out\.tar\.gz: [\d.]+ KiB, decides envoy\/authz\/allow\n$/,
    stderr: /^$/,
  })
  const bundle = readBundle(readFileSync(join(work.path, 'out.tar.gz')), 'out', 'envoy/authz/allow')
  t.match(bundle, { revision: 'r7', data })
})

t.test(
  'entrypoints are those marked, those asked for and those that the agent asks for by name',
  async (t) => {
    using work = workspace({
      ...policy,
      'policy/log.rego': 'package system.log\n\nmask contains "/input/x"\n\ndrop if input.path == "health"\n',
      'policy/other.rego': 'package other\n\nlimit := 3\n\nquiet := 4\n',
      'policy/marked.rego': 'package marked\n\n# METADATA\n# entrypoint: true\nchosen := 1\n',
    })
    t.equal((await work.policy('build', 'policy', '-e', 'data.other.limit')).status, 0)
    t.same(entrypoints(join(work.path, 'bundle.tar.gz')), [
      'envoy/authz/allow',
      'marked/chosen',
      'other/limit',
      'system/log/drop',
      'system/log/mask',
    ])
  },
)

t.test('an entrypoint that does not exist is named with those that do', async (t) => {
  using work = workspace(policy)
  t.match(said(await work.policy('build', 'policy', '-e', 'envoy/authz/alow')), {
    status: 1,
    stdout: '',
    stderr: /^sluice: -e envoy\/authz\/alow: no rule of this name; expected one of .*envoy\/authz\/allow/,
  })
  work.write({ 'bare/a.rego': 'package a\n\nb := 1\n' })
  t.match(said(await work.policy('build', 'bare')), {
    status: 1,
    stderr: /no entrypoint; expected a rule with .*entrypoint: true.* or -e PATH/,
  })
})

t.test('a typo in a path of the input is an error with its file and line', async (t) => {
  using work = workspace({ 'policy/authz.rego': rego.replace('input.attributes', 'input.atributes') })
  const ran = await work.policy('build', 'policy')
  t.match(said(ran), {
    status: 1,
    stderr: /policy\/authz\.rego:8: rego_type_error: undefined ref: input\.atributes[\s\S]*have: "atributes"/,
  })
  t.equal((await work.policy('build', 'policy', '--no-check')).status, 0, 'unless nobody wants to know')
})

t.test(
  'what masks events has an event for its input, and is checked without the schema of requests',
  async (t) => {
    using work = workspace({
      ...policy,
      'policy/mask.rego': 'package system.log\n\nmask contains "/input/x" if input.result.allowed\n',
    })
    t.equal((await work.policy('build', 'policy')).status, 0)
    work.write({ 'policy/mask.rego': 'package system.log\n\nmask contains "/input/x" if nonsense(1)\n' })
    t.match((await work.policy('build', 'policy')).stderr, /undefined function nonsense/)
  },
)

t.test('what is wrong with the Rego is told as opa tells it', async (t) => {
  using work = workspace({ 'policy/authz.rego': 'package a\n\nallow if {\n' })
  t.match(said(await work.policy('build', 'policy')), {
    status: 1,
    stderr: /^sluice: opa check: it says\n1 error occurred.*policy\/authz\.rego:\d: rego_parse_error/,
  })
  work.write({
    'policy/authz.rego': 'package envoy.authz\n\nallow if http.send({"url": "https://x"}).status == 200\n',
  })
  t.match(
    said(await work.policy('build', 'policy')),
    { status: 1, stderr: /undefined function http\.send/ },
    'a builtin that the agent has not got',
  )
})

t.test(
  'tests and hidden folders stay out, and the library and data of several folders come in',
  async (t) => {
    using work = workspace({
      ...policy,
      'policy/authz_test.rego': 'package envoy.authz_test\n\ntest_x if true\n',
      'policy/.regal/rules/a.rego': 'package broken\n\nthis is no Rego',
      'policy/case.json': { not: 'data' },
      'lib/authz.rego': 'package lib\n\nhelp := 1\n',
      'lib/data.json': { more: 1 },
      'lib/deep/er/data.json': { value: 2 },
    })
    t.equal((await work.policy('build', 'policy', 'lib')).status, 0)
    const out = join(work.path, 'bundle.tar.gz')
    t.same(members(out), ['.manifest', 'data.json', 'lib/authz.rego', 'policy.wasm', 'policy/authz.rego'])
    const { data: merged } = readBundle(readFileSync(out), out, 'envoy/authz/allow')
    t.same(merged, { ...data, more: 1, deep: { er: { value: 2 } } })

    work.write({ 'lib/data.json': { users: ['eve'] } })
    t.match(said(await work.policy('build', 'policy', 'lib')), {
      status: 1,
      stderr: /lib\/data\.json: users a second time; expected each value in one file only/,
    })
  },
)

t.test('a manifest is kept, and of two one is too many', async (t) => {
  using work = workspace({
    ...policy,
    'policy/.manifest': { roots: ['envoy', 'users'], metadata: { team: 'a' } },
    'lib/lib.rego': 'package envoy.lib\n\nhelp := 1\n',
  })
  await work.build('policy', 'lib', '-r', 'r2')
  t.match(manifest(join(work.path, 'bundle.tar.gz')), {
    revision: 'r2',
    roots: ['envoy', 'users'],
    metadata: { team: 'a' },
  })
  work.write({ 'lib/.manifest': { roots: ['lib'] } })
  t.match(
    (await work.policy('build', 'policy', 'lib')).stderr,
    /lib\/\.manifest: a second manifest; expected one only/,
  )
})

t.test('the same sources give the same bytes, wherever they lie', async (t) => {
  using here = workspace(policy)
  using there = workspace(policy)
  renameSync(join(there.path, 'policy'), join(there.path, 'elsewhere'))
  t.equal((await here.policy('build', 'policy', '-t', 'both')).status, 0)
  t.equal((await there.policy('build', join(there.path, 'elsewhere'), '-t', 'both')).status, 0)
  const [one, other] = [here, there].map(({ path }) => readFileSync(join(path, 'bundle.tar.gz')))
  t.ok(one?.equals(other as Buffer))
  t.same(members(join(here.path, 'bundle.tar.gz')), [
    '.manifest',
    'authz.rego',
    'data.json',
    'plan.json',
    'policy.wasm',
  ])
})

t.test('a plan alone has no module', async (t) => {
  using work = workspace(policy)
  t.equal((await work.policy('build', 'policy', '--target', 'plan')).status, 0)
  t.same(members(join(work.path, 'bundle.tar.gz')), ['.manifest', 'authz.rego', 'data.json', 'plan.json'])
})

t.test('a signed bundle is one that opa and the agent verify', async (t) => {
  using work = workspace(policy)
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  work.write({
    'private.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }),
    'public.pem': publicKey.export({ type: 'spki', format: 'pem' }),
  })
  const key = ['--signing-key', 'private.pem', '--signing-alg', 'RS256', '--signing-id', 'release']
  t.equal((await work.policy('build', 'policy', ...key, '--scope', 'production')).status, 0)
  const out = join(work.path, 'bundle.tar.gz')
  const first = readFileSync(out)
  t.equal((await work.policy('build', 'policy', ...key, '--scope', 'production')).status, 0)
  t.ok(readFileSync(out).equals(first), 'and an RSA signature is the same each time')
  const verified = await work.policy(
    ...['verify', 'bundle.tar.gz', '--key', 'public.pem', '--key-id', 'release', '--scope', 'production'],
  )
  t.match(said(verified), { status: 0, stdout: /^signed by +release$/m })
  const args = [
    '--bundle',
    '--verification-key',
    join(work.path, 'public.pem'),
    '--verification-key-id',
    'release',
  ]
  execFileSync(await goTool('opa'), ['build', ...args, '--scope', 'production', '-o', `${out}.again`, out])
})

t.test('a signing key that does not fit is told', async (t) => {
  using work = workspace({ ...policy, 'private.pem': 'no key' })
  t.match(said(await work.policy('build', 'policy', '--signing-key', 'private.pem')), {
    status: 1,
    stderr: /^sluice: opa sign: it says[\s\S]*expected a private key that fits the algorithm/,
  })
})

t.test('without opa the error says what to install', async (t) => {
  using work = workspace(policy)
  const expected = {
    status: 1,
    stdout: '',
    stderr:
      /^sluice: opa: no such program; expected the `opa` command line: install OPA 1\.x .* --opa FILE\n$/,
  }
  t.match(said(await work.policyWithoutOpa('build', 'policy')), expected)
  t.match(said(await work.policy('build', 'policy', '--opa', '/nowhere/opa')), {
    status: 1,
    stderr: /^sluice: \/nowhere\/opa: no such program/,
  })
  t.equal((await work.policyWithoutOpa('build', 'policy', '--opa', await goTool('opa'))).status, 0)
})

t.test('paths that hold no policy are told', async (t) => {
  using work = workspace({ 'empty/readme.txt': 'nothing' })
  t.match(said(await work.policy('build', 'nowhere')), { status: 1, stderr: /^sluice: nowhere: ENOENT/ })
  t.match(said(await work.policy('build', 'empty')), {
    status: 1,
    stderr: /^sluice: empty: no Rego; expected files that end in \.rego/,
  })
  t.equal((await work.policy('build')).status, 1, 'no path at all')
  t.equal((await work.policy('build', 'empty', '--target', 'jar')).status, 1, 'a target that is none')
})

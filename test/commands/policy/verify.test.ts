import { generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { unpackBundle } from '#policy/bundle/bundle.ts'
import { writeTar } from '#policy/bundle/tar.ts'
import { openPolicy } from '#policy/policy.ts'
import { asked, built, said } from './kit.ts'

const work = await built({
  'log/log.rego':
    'package log\n\n# METADATA\n# entrypoint: true\nx := sprintf("%d", [time.now_ns()]) if startswith(input.source_principal, "b")\n',
})
t.teardown(() => work[Symbol.dispose]())
const bundle = join(work.path, 'bundle.tar.gz')

/** The bundle with members changed; `undefined` takes one away. */
function changed(name: string, change: Readonly<Record<string, Buffer | string | undefined>>): string {
  const members = unpackBundle(readFileSync(bundle), bundle)
  for (const [path, content] of Object.entries(change)) {
    if (content === undefined) members.delete(path)
    else members.set(path, Buffer.from(content))
  }
  const entries = [...members].map(([path, content]) => ({ path, content }))
  const out = join(work.path, name)
  writeFileSync(out, gzipSync(writeTar(entries)))
  return out
}

t.test('verify shows what a bundle is and what it costs', async (t) => {
  const ran = await work.policy('verify', 'bundle.tar.gz', '--json')
  t.equal(ran.status, 0, ran.stderr)
  const [report, ...others] = JSON.parse(ran.stdout)
  t.same(others, [], 'one report for each engine that it was built for')
  t.match(report, {
    bundle: 'bundle.tar.gz',
    engine: 'wasm',
    decision: 'envoy/authz/allow',
    revision: '',
    roots: [''],
    entrypoints: ['envoy/authz/allow'],
    builtins: { native: ['internal.member_2'], host: [] },
    wasmBytes: unpackBundle(readFileSync(bundle), bundle).get('policy.wasm')?.length,
    result: { allowed: false },
    isUndefined: false,
  })
  t.same(Object.keys(report).sort(), [
    ...[
      'builtins',
      'bundle',
      'dataBytes',
      'decision',
      'engine',
      'entrypoints',
      'evaluationUs',
      'isUndefined',
      'loadMs',
    ],
    ...['memoryBytes', 'result', 'revision', 'roots', 'wasmBytes'],
  ])
  for (const figure of ['dataBytes', 'memoryBytes', 'loadMs', 'evaluationUs'])
    t.ok(report[figure] > 0, `${figure} ${report[figure]}`)
  const text = await work.policy('verify', 'bundle.tar.gz')
  for (const row of [
    'revision',
    'roots',
    'entrypoints',
    'builtins of the agent',
    'wasm',
    'data',
    'memory',
    'load',
  ])
    t.match(text.stdout, new RegExp(`^${row} `, 'm'))
})

t.test('builtins are told apart: those in the module, and those of the agent', async (t) => {
  t.equal((await work.policy('build', 'log', '-o', 'log.tar.gz')).status, 0)
  const [{ builtins }] = JSON.parse((await work.policy('verify', 'log.tar.gz', '--json')).stdout)
  t.same(builtins, { native: ['startswith'], host: ['sprintf', 'time.now_ns'] })
})

t.test('verify evaluates an input that is given, and tells an undefined result', async (t) => {
  work.write({ 'ann.json': asked('ann') })
  t.match(
    (await work.policy('verify', 'bundle.tar.gz', '-i', 'ann.json')).stdout,
    /"x-user":"ann".* in \d+ µs/,
  )
  t.match((await work.policy('verify', 'log.tar.gz')).stdout, /^log\/x +undefined in/m)
})

const bad: [name: string, path: () => string, args: readonly string[], stderr: RegExp][] = [
  ['no bundle', () => work.write({ 'no.tar.gz': 'this is no bundle' }), [], /expected a gzip archive/],
  [
    'an archive of something else',
    () => work.write({ 'x.tar.gz': gzipSync('x') }),
    [],
    /expected an OPA bundle/,
  ],
  [
    'no manifest',
    () => changed('1.tar.gz', { '.manifest': undefined }),
    [],
    /\.manifest: no (such member|wasm module)/,
  ],
  ['no module', () => changed('2.tar.gz', { 'policy.wasm': undefined }), [], /policy\.wasm: no such member/],
  [
    'a module that is none',
    () => changed('3.tar.gz', { 'policy.wasm': 'no wasm' }),
    [],
    /expected a WebAssembly module/,
  ],
  [
    'a manifest that lies about its entrypoints',
    () =>
      changed('4.tar.gz', {
        '.manifest': JSON.stringify({ wasm: [{ entrypoint: 'other/allow', module: '/policy.wasm' }] }),
      }),
    ['-e', 'other/allow'],
    /a module with the entrypoints envoy\/authz\/allow; expected the entrypoint other\/allow/,
  ],
  [
    'another entrypoint than it has',
    () => bundle,
    ['-e', 'envoy/authz/deny'],
    /no entrypoint envoy\/authz\/deny; expected -e with one of envoy\/authz\/allow/,
  ],
  [
    'data outside of its roots',
    () =>
      changed('5.tar.gz', {
        '.manifest': JSON.stringify({
          roots: ['envoy'],
          wasm: [{ entrypoint: 'envoy/authz/allow', module: '/policy.wasm' }],
        }),
      }),
    [],
    /data at users; expected data under the roots envoy/,
  ],
  [
    'a signature and no key',
    () => changed('6.tar.gz', { '.signatures.json': '{}' }),
    [],
    /a signature; expected/,
  ],
  ['a file that is not there', () => join(work.path, 'nowhere.tar.gz'), [], /ENOENT/],
]

for (const [name, path, args, stderr] of bad) {
  t.test(`verify refuses what activation refuses: ${name}`, async (t) => {
    const file = path()
    t.match(said(await work.policy('verify', file, ...args)), { status: 1, stdout: '', stderr })
    await using policy = await openPolicy({
      source: { file },
      decision: args[1] ?? 'envoy/authz/allow',
      onLoad: () => {},
    })
    t.equal(policy.isReady(), false, 'and so does the agent')
  })
}

t.test('keys verify as the agent does', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
  work.write({
    'private.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }),
    'public.pem': publicKey.export({ type: 'spki', format: 'pem' }),
    'other.pem': other.export({ type: 'spki', format: 'pem' }),
  })
  const signing = ['--signing-key', 'private.pem', '--signing-alg', 'ES256', '--signing-id', 'k1']
  t.equal((await work.policy('build', 'policy', '-o', 'signed.tar.gz', ...signing)).status, 0)
  const verify = (...args: string[]) => work.policy('verify', 'signed.tar.gz', '--key-alg', 'ES256', ...args)
  t.equal((await verify('--key', 'public.pem')).status, 0)
  t.equal((await verify('--key', 'public.pem', '--key-id', 'k1')).status, 0)
  const refusals: [args: string[], stderr: RegExp][] = [
    [[], /a signature; expected an unsigned bundle: no key/],
    [['--key', 'other.pem'], /a signature that does not fit/],
    [['--key', 'public.pem', '--scope', 'production'], /the scope ""; expected the scope "production"/],
    [['--key', 'public.pem', '--key-id', 'k2'], /signed with the key "k1"; expected one of k2/],
    [['--key', 'nowhere.pem'], /nowhere\.pem: ENOENT.*; expected a PEM file/],
    [['--key', 'public.pem', '--key-alg', 'none'], /--key-alg: none; expected RS, PS, ES or HS/],
  ]
  for (const [args, stderr] of refusals)
    t.match(said(await verify(...args)), { status: 1, stdout: '', stderr }, args.join(' '))
  t.match(
    said(await work.policy('verify', 'bundle.tar.gz', '--key', 'public.pem')),
    { status: 1, stderr: /no such member; expected a signature: keys are configured/ },
    'an unsigned one where a key is given',
  )
  t.equal((await work.policy('eval', 'signed.tar.gz', '-i', 'ann.json')).status, 0, 'trying one needs no key')
})

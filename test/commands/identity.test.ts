import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import t from 'tap'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { hasOpenssl, opensslVerdict } from '../harness/openssl.ts'
import { temporaryFolder } from '../harness/temp.ts'
import type { Said } from './run-many.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
const many = join(import.meta.dirname, 'run-many.ts')
const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
const at = (name: string) => join(folder.path, name)

/** `sluice identity …` in the folder. */
async function identity(args: readonly string[], input = ''): Promise<Said> {
  const child = spawn(process.execPath, [main, 'identity', ...args], { cwd: folder.path })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)))
  const [stdout, stderr, status] = await Promise.all([textOf(child.stdout), textOf(child.stderr), ended])
  return { status, stdout, stderr }
}

const ca = createDevCa({ trustDomain: 'example.org' })
mkdirSync(at('folder'))
writeFileSync(at('text'), 'hello\n')
ca.write(at('app'), ca.issue({ spiffeId: 'spiffe://example.org/app' }))
writeFileSync(at('chain.pem'), chainOfTwo())
writeFileSync(at('ca.pem'), ca.bundlePem)
const listen = `listen: {agent: "unix:${at('agent.sock')}"}\n`
const source =
  'source: {type: files, certificate: app.pem, privateKey: app.key, trustBundles: {example.org: ca.pem}}'
const config = (name: string, text: string) => writeFileSync(at(name), `${listen}${text}`)
config('sluice.yaml', `identity: {trustDomains: [example.org], ${source}}\n`)
config('empty.yaml', 'policy: {bundle: b.tar.gz, decision: a/b}\n')
config(
  'silent.yaml',
  `identity: {trustDomains: [example.org], source: {type: spire, socket: "unix://${at('no')}"}}\n`,
)

function chainOfTwo(): string {
  const deep = createDevCa({ trustDomain: 'example.org', maxPathLength: 1 })
  return deep.intermediate().issue({ spiffeId: 'spiffe://example.org/deep' }).certificatePem
}

const issueTo = (dir: string, ...more: readonly string[]) => [
  ...['issue', '--ca', dir, '--trust-domain', 'example.org', '--spiffe-id', 'spiffe://example.org/a'],
  ...more,
]
const issue = (...more: readonly string[]) => issueTo('made', '--out', 'never', ...more)
const serve = (...more: readonly string[]) => [
  ...['serve', '--ca', 'made', '--trust-domain', 'example.org', '--spiffe-id', 'spiffe://example.org/a'],
  ...['--socket', `unix://${at('api.sock')}`, ...more],
]
const show = (...more: readonly string[]) => ['show', ...more]
const verify = (...more: readonly string[]) => ['verify', '--certificate', ...more]
const explain = (...more: readonly string[]) => ['explain', '-c', 'sluice.yaml', '--certificate', ...more]

type Row = readonly [args: readonly string[], why: RegExp]

/** All of them in one process, which takes a second to start. */
async function identities(rows: readonly (readonly string[])[]): Promise<readonly Said[]> {
  const child = spawn(process.execPath, [many], { cwd: folder.path, stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify(rows.map((row) => ['identity', ...row])))
  return JSON.parse(await textOf(child.stdout))
}

t.test('wrong input is refused with its place and what was expected, and nothing is written', async (t) => {
  // CAs that cannot be used.
  for (const name of ['no-key', 'no-certificate', 'other-key', 'bad-key', 'bad-certificate', 'other-domain'])
    mkdirSync(at(name))
  ca.write(at('other-key/ca'), {
    certificatePem: ca.bundlePem,
    privateKeyPem: readFileSync(at('app.key'), 'utf8'),
  })
  copyFileSync(at('ca.pem'), at('no-key/ca.pem'))
  copyFileSync(at('app.key'), at('no-certificate/ca.key'))
  copyFileSync(at('ca.pem'), at('bad-key/ca.pem'))
  writeFileSync(at('bad-key/ca.key'), 'x')
  writeFileSync(at('bad-certificate/ca.pem'), 'x')
  copyFileSync(at('app.key'), at('bad-certificate/ca.key'))
  const foreign = await identity([
    ...['issue', '--ca', 'other-domain', '--trust-domain', 'other.org'],
    ...['--spiffe-id', 'spiffe://other.org/a', '--out', 'other'],
  ])
  t.equal(foreign.status, 0, foreign.stderr)

  const rows: readonly Row[] = [
    ...['abc', '-1', '0', '1.5', '1e3', '', '99999999999'].map(
      (ttl) =>
        [issue(`--ttl=${ttl}`), /^sluice: --ttl: ".*"; expected seconds from 1 to 31536000$/m] as const,
    ),
    [
      issue('--spiffe-id', 'spiffe://other.org/a'),
      /--spiffe-id: .*of another trust domain; expected spiffe:\/\/example.org/,
    ],
    [issue('--spiffe-id', 'example.org/a'), /--spiffe-id: "example.org\/a": does not start with spiffe/],
    [issue('--spiffe-id', 'spiffe://example.org'), /--spiffe-id: .*no path/],
    [
      issue('--trust-domain', 'Example.org'),
      /--trust-domain: "Example.org": the trust domain has a character/,
    ],
    [issueTo('text', '--out', 'never'), /^sluice: text: .*; expected a development CA of example.org/m],
    [issueTo('no-key', '--out', 'never'), /no-key: ca.pem without ca.key; expected a development CA/],
    [issueTo('no-certificate', '--out', 'never'), /no-certificate: ca.key without ca.pem; expected/],
    [issueTo('other-key', '--out', 'never'), /other-key: ca.key is not the key of ca.pem; expected/],
    [issueTo('bad-key', '--out', 'never'), /bad-key: ca.key: .*; expected/],
    [issueTo('bad-certificate', '--out', 'never'), /bad-certificate: ca.pem: .*; expected/],
    [issueTo('other-domain', '--out', 'never'), /other-domain: a CA of spiffe:\/\/other.org; expected/],
    [issueTo('made', '--out', 'text/never'), /--out: "text\/never": .*; expected a path that can be written/],
    [issueTo('made', '--out', 'folder/'), /--out: "folder\/".*; expected a path and how the names begin/],
    [serve('--ttl', 'abc'), /--ttl: "abc"; expected seconds/],
    [serve('--socket', `unix://${at('text')}/api.sock`), /text.*; expected/],
    [serve('--socket', '/api.sock'), /expected unix:\/\/\/path/],
    [show('-c', 'missing.yaml'), /missing.yaml: .*; expected a readable file/],
    [show('-c', 'folder'), /folder: .*; expected a readable file/],
    [show('-c', 'empty.yaml'), /empty.yaml: no identity.source; expected/],
    ...['abc', '-1', '1e3', '', '99999'].map(
      (wait) =>
        [show('-c', 'silent.yaml', `--wait=${wait}`), /^sluice: --wait: ".*"; expected seconds/m] as const,
    ),
    [show('-c', 'silent.yaml', '--wait', '0.2'), /identity.source: .*Workload API.*; expected an identity/],
    [verify('missing.pem'), /missing.pem: .*; expected certificates in PEM/],
    [verify('folder'), /folder: .*; expected certificates in PEM/],
    [verify('text'), /text: no PEM; expected certificates in PEM/],
    [verify('app.pem', '--bundle', 'folder'), /folder: .*; expected CA certificates/],
    [verify('app.pem', '--bundle', 'text'), /^sluice: text: no PEM; expected CA certificates/m],
    [verify('app.pem', '-c', 'sluice.yaml', '--wait', 'abc'), /--wait: "abc"; expected seconds/],
    [verify('app.pem', '-c', 'missing.yaml'), /missing.yaml: .*; expected a readable file/],
    [explain('missing.pem'), /missing.pem: .*; expected certificates in PEM/],
    [explain('text'), /text: no PEM; expected certificates in PEM/],
    [explain('app.pem', '--token', 'folder'), /folder: .*; expected a file/],
    [explain('app.pem', '--wait', 'abc'), /--wait: "abc"; expected seconds/],
  ]
  const answers = await identities(rows.map(([args]) => args))
  t.equal(answers.length, rows.length)
  for (const [index, { status, stdout, stderr }] of answers.entries()) {
    const [args, why] = rows[index] as Row
    const name = args.join(' ')
    t.equal(status, 1, name)
    t.equal(stdout, '', name)
    t.match(stderr, why, name)
    t.notMatch(stderr, /Warning|^ {4}at /m, name)
  }
  t.notOk(existsSync(at('never.pem')), 'nothing was issued')
  t.equal(readFileSync(at('no-key/ca.pem'), 'utf8'), ca.bundlePem, 'half a CA is left as it was')
})

t.test(
  'what is issued lives as long as was asked for, and OpenSSL finds nothing wrong with it',
  async (t) => {
    const said = await identity(issueTo('ca', '--out', 'out/a', '--ttl', '90'))
    t.match(said, { status: 0, stdout: 'out/a.pem out/a.key\n' })
    const { validToDate } = new X509Certificate(readFileSync(at('out/a.pem')))
    const leftMs = validToDate.getTime() - Date.now()
    t.ok(leftMs > 30_000 && leftMs <= 90_000, `${leftMs} ms are left`)
    const { status, stdout } = await identity(verify('out/a.pem', '--bundle', 'ca/ca.pem'))
    t.equal(status, 0, stdout)
    if (!hasOpenssl) return
    const [leaf, root] = ['out/a.pem', 'ca/ca.pem'].map((name) => readFileSync(at(name), 'utf8'))
    t.equal(opensslVerdict({ leaf: leaf as string, roots: [root as string], atMs: Date.now() }), 'ok')
  },
)

t.test(
  'explain takes the leaf of a chain, as Envoy passes it, and says what it did not look at',
  async (t) => {
    const deep = await identity(explain('chain.pem'))
    t.match(deep.stdout, /^refused {2}peer_certificate_untrusted: spiffe:\/\/example.org\/deep/m)
    t.equal(deep.status, 1)
    const idle = await identity(
      explain('app.pem', '--token', '-', '--forwarded', 'URI=spiffe://example.org/x'),
      'a.b.c',
    )
    t.equal(idle.status, 0, idle.stderr)
    t.match(idle.stdout, /^token {4}not looked at: no issuers are configured$/m)
    t.match(idle.stdout, /^for {6}not looked at: the caller is no trusted forwarder$/m)
  },
)

t.test('a token comes from standard input', async (t) => {
  config(
    'tokens.yaml',
    `identity: {trustDomains: [example.org], ${source}}
issuers: [{issuer: "https://idp.example", audience: models, jwks: {file: keys.json}, tenantClaim: tenant}]\n`,
  )
  writeFileSync(at('keys.json'), '{"keys":[]}')
  const args = ['explain', '-c', 'tokens.yaml', '--certificate', 'app.pem', '--wait', '0', '--token', '-']
  for (const [input, reason] of [
    ['', /refused {2}token_malformed/],
    ['a b', /refused {2}credentials_ambiguous/],
    ['\u0000\u0001', /refused {2}token_malformed/],
    ['hello', /refused {2}token_malformed/],
  ] as const) {
    const { status, stdout, stderr } = await identity(args, input)
    t.equal(status, 1, input)
    t.match(stdout, reason, input)
    t.equal(stderr, '', input)
  }
})

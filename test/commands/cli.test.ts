import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { auditEnvoyConfig } from '#envoy/audit/audit.ts'
import { parseLeafPem } from '#identity/x509/leaf.ts'

const root = join(import.meta.dirname, '..', '..')
const folder = mkdtempSync(join(tmpdir(), 'sluice-cli-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

function sluice(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['agent/main.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}
function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}
const envoy = `envoy:
  main: 127.0.0.1:8443
  tls: {certificate: tls.pem, privateKey: tls.key, trustBundles: {example.org: ca.pem}}
  upstream: {http: 127.0.0.1:8000, grpc: 127.0.0.1:8001}
`
const valid = `listen: {agent: "unix:${folder}/agent.sock"}\n${envoy}`

t.test('help names every verb', async (t) => {
  const { status, stdout } = sluice('--help')
  t.equal(status, 0)
  for (const verb of ['agent', 'check', 'envoy', 'identity', 'policy'])
    t.match(stdout, new RegExp(`^  ${verb} `, 'm'))
})

t.test('what a person must mend is said once, on standard error, and the exit code is 1', async (t) => {
  const path = file('bad.yaml', 'role: modle\n')
  for (const args of [
    ['agent', '-c', path],
    ['check', '-c', path],
    ['envoy', 'config', '-c', path],
  ]) {
    const { status, stdout, stderr } = sluice(...args)
    t.equal(status, 1, args.join(' '))
    t.equal(stdout, '')
    t.match(stderr, /^sluice: .*bad\.yaml:1.*role: "modle"; expected "model" or "edge"/)
    t.notMatch(stderr, / {4}at /, 'no stack')
  }
  t.equal(sluice('agent').status, 1, 'a missing option')
  t.equal(sluice('nonsense').status, 1, 'an unknown verb')
})

t.test('envoy config prints YAML or JSON of the same', async (t) => {
  const path = file('sluice.yaml', valid)
  const yaml = sluice('envoy', 'config', '-c', path)
  const json = sluice('envoy', 'config', '--json', '-c', path)
  t.same(parse(yaml.stdout), JSON.parse(json.stdout))
  t.same(auditEnvoyConfig(parse(yaml.stdout)), [])
})

t.test('check names the settings of another configuration that would fail open', async (t) => {
  const path = file('sluice.yaml', valid)
  const own = sluice('envoy', 'config', '--json', '-c', path).stdout.replace(
    '"failure_mode_allow": false',
    '"failure_mode_allow": true',
  )
  const { status, stdout } = sluice('check', '-c', path, '--envoy-config', file('envoy.json', own))
  t.equal(status, 1)
  t.match(
    stdout,
    /^BAD .*envoy\.json: static_resources\.listeners\[0 main\].*failure_mode_allow: requests pass undecided when the agent fails\. Fix: .* \(ext_proc_failure_mode_allow, opens\)$/m,
  )
  t.match(sluice('check', '-c', path, '--envoy-config', '/nowhere').stderr, /\/nowhere: ENOENT/)
})

t.test('check looks at Envoy alone where no configuration is named', async (t) => {
  const path = file('sluice.yaml', valid)
  const own = sluice('envoy', 'config', '--json', '-c', path).stdout
  t.match(sluice('check', '--envoy-config', file('good.json', own)), {
    status: 0,
    stdout: /^ok {3}.*good\.json: nothing that fails open\nNothing to mend\.\n$/,
  })
  const bad = file('bad.json', own.replace('"merge_slashes": true', '"merge_slashes": false'))
  const { status, stdout } = sluice('check', '--envoy-config', bad, '--json')
  t.equal(status, 1)
  t.match(JSON.parse(stdout), {
    toMend: 1,
    findings: [
      {
        isGood: false,
        source: bad,
        text: /slashes_not_merged/,
        posture: {
          id: 'slashes_not_merged',
          severity: 'weakens',
          setting: 'merge_slashes',
          place: /listeners\[0 main\]/,
        },
      },
    ],
  })
  const accepting = file(
    'accepting.yaml',
    valid.replace('envoy:\n', 'envoy:\n  audit: {accept: [slashes_not_merged]}\n'),
  )
  t.match(
    sluice('check', '-c', accepting, '--envoy-config', bad).stdout,
    /^ok {3}.*\(slashes_not_merged, accepted\)$/m,
  )
  const unknown = file('unknown.yaml', valid.replace('envoy:\n', 'envoy:\n  audit: {accept: [slashes]}\n'))
  t.match(
    sluice('check', '-c', unknown, '--envoy-config', bad).stderr,
    /envoy\.audit\.accept: slashes; expected the name/,
  )
})

t.test('check says what is wrong with what it was asked', async (t) => {
  const rows: [args: string[], text: RegExp][] = [
    [[], /sluice check: nothing to look at; expected --config, --envoy or --envoy-config/],
    [['--envoy', 'nonsense'], /--envoy: nonsense; expected host:port or unix:\/path/],
    [['--envoy', 'http://127.0.0.1:1'], /--envoy: http.*; expected host:port/],
    [
      ['--envoy', `unix:${folder}/nobody.sock`],
      /nobody\.sock: .*ENOENT.*; expected an Envoy's admin interface/,
    ],
  ]
  for (const [args, text] of rows) {
    const { status, stdout, stderr } = sluice('check', ...args)
    t.equal(status, 1, args.join(' '))
    t.equal(stdout, '')
    t.match(stderr, text)
  }
})

t.test(
  'identity issue writes a certificate that passes every rule, and a private key for its owner',
  async (t) => {
    const out = join(folder, 'app')
    const args = [
      '--ca',
      join(folder, 'ca'),
      '--trust-domain',
      'example.org',
      '--spiffe-id',
      'spiffe://example.org/app',
      '--out',
      out,
    ]
    t.equal(sluice('identity', 'issue', ...args).status, 0)
    t.match(parseLeafPem(readFileSync(`${out}.pem`, 'utf8')), {
      ok: true,
      leaf: { id: { text: 'spiffe://example.org/app' } },
    })
    t.equal(statSync(`${out}.key`).mode & 0o777, 0o600)
  },
)

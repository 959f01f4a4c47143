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
    /^BAD .*envoy\.json: static_resources\.listeners\[0\].*failure_mode_allow: requests pass undecided when the agent fails\. Fix: /m,
  )
  t.match(sluice('check', '-c', path, '--envoy-config', '/nowhere').stderr, /\/nowhere: ENOENT/)
  t.match(
    sluice('check', '-c', path, '--envoy-admin', `unix:${folder}/nobody.sock`).stderr,
    /expected an Envoy's admin interface/,
  )
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

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfig } from '#config/config.ts'

const valid = `role: model
policy: {bundle: policy.tar.gz}
listen:
  agent: unix:/run/sluice/agent.sock
`

function file(t: Test, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'sluice.yaml')
  writeFileSync(path, text)
  return path
}

t.test('defaults are filled in and paths are read from the folder of the file', async (t) => {
  const path = file(t, valid)
  const config = loadConfig(path)
  t.match(config, {
    role: 'model',
    decision: { deadlineMs: 150 },
    log: { level: 'info' },
    policy: { decision: 'envoy/authz/allow' },
  })
  t.equal(config.policy?.bundle, join(path, '..', 'policy.tar.gz'))
})

t.test('a mistake is named with its line, its path, what was found and what was expected', async (t) => {
  const rows: [name: string, text: string, message: RegExp][] = [
    ['unknown key', `${valid}polizy: {}\n`, /sluice\.yaml:5: polizy: a key that is not known/],
    [
      'unknown nested key',
      valid.replace('bundle', 'bundel'),
      /sluice\.yaml:2: policy\.bundel: a key that is not known/,
    ],
    [
      'wrong type',
      `${valid}decision: {deadlineMs: soon}\n`,
      /sluice\.yaml:5: decision\.deadlineMs: "soon"; expected .*number/,
    ],
    ['out of range', `${valid}decision: {deadlineMs: 0}\n`, /decision\.deadlineMs: 0; expected/],
    [
      'wrong choice',
      valid.replace('model', 'modle'),
      /sluice\.yaml:1: role: "modle"; expected .*"model"\|"edge"/,
    ],
    ['missing', 'role: model\n', /listen: nothing; expected/],
    [
      'open socket',
      valid.replace('unix:/run/sluice/agent.sock', '8.8.8.8:80'),
      /listen\.agent: "8\.8\.8\.8:80"; expected unix:\/path or 127/,
    ],
    ['no YAML', 'a: [1\n', /sluice\.yaml:\d: .*expected YAML/],
    [
      'a repeated key',
      `${valid}role: edge\n`,
      /sluice\.yaml:5: .*unique.*expected YAML without aliases or repeated keys/,
    ],
    ['an alias', 'a: &x [1]\nb: *x\n', /expected YAML without aliases/],
    ['two documents', `${valid}---\n${valid}`, /2 documents; expected one YAML document/],
    ['empty', '', /expected one YAML document|\(document\)/],
    ['a list', '- 1\n', /expected .*object/],
    ['too large', `${valid}#${'x'.repeat(1 << 20)}`, /at most 1 MiB/],
  ]
  for (const [name, text, message] of rows)
    t.throws(() => loadConfig(file(t, text)), { name: 'SluiceError', message }, name)
  t.throws(
    () => loadConfig('/nowhere/sluice.yaml'),
    /\/nowhere\/sluice\.yaml: ENOENT.*expected a readable file/,
  )
})

t.test('all mistakes are told at once', async (t) => {
  const path = file(t, 'role: x\nlisten: {agent: y, probes: z}\n')
  t.throws(() => loadConfig(path), { message: /role.*\n.*listen\.agent.*\n.*listen\.probes/ })
})

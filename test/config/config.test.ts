import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfig, missingFiles } from '#config/config.ts'

const valid = `role: model
policy: {bundle: policy.tar.gz}
listen:
  agent: unix:/run/sluice/agent.sock
`

function file(t: Test, text: string | Uint8Array): string {
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
    [
      'unknown key',
      `${valid}polizy: {}\n`,
      /sluice\.yaml:5:1: polizy: a key that is not known; expected policy$/,
    ],
    [
      'unknown nested key',
      valid.replace('bundle', 'bundel'),
      /sluice\.yaml:2:10: policy\.bundel: a key that is not known; expected bundle$/m,
    ],
    [
      'wrong type',
      `${valid}decision: {deadlineMs: soon}\n`,
      /sluice\.yaml:5:24: decision\.deadlineMs: "soon"; expected a number/,
    ],
    ['out of range', `${valid}decision: {deadlineMs: 0}\n`, /decision\.deadlineMs: 0; expected at least 1/],
    [
      'a limit that is not reached',
      valid.replace('policy.tar.gz', 'policy.tar.gz, candidate: {bundle: b, samplePercent: 0}'),
      /samplePercent: 0; expected more than 0/,
    ],
    [
      'two places for bundles',
      valid.replace('policy.tar.gz', 'a, opa: {bundles: {b: {resource: "file:///b"}}}'),
      /policy\.bundle: "a"; expected no bundle beside opa\.bundles/,
    ],
    [
      'no bundle',
      valid.replace('bundle: policy.tar.gz', ''),
      /policy: an empty map; expected bundle, or bundles in opa/,
    ],
    [
      'staleness that never comes',
      valid.replace('policy.tar.gz', 'policy.tar.gz, onStale: refuse'),
      /policy\.staleAfterSeconds: nothing; expected a number of seconds beside onStale/,
    ],
    [
      'an evaluation that nobody waits for',
      valid.replace('policy.tar.gz', 'a, isolation: worker, evaluationDeadlineMs: 151'),
      /policy\.evaluationDeadlineMs: 151; expected at most decision\.deadlineMs/,
    ],
    [
      'no URL',
      valid.replace('bundle: policy.tar.gz', 'opa: {services: {s: {url: h}}, bundles: {b: {}}}'),
      /services\.s\.url: "h"; expected an http or https URL such as https:\/\/\S+$/,
    ],
    [
      'wrong choice',
      valid.replace('model', 'modle'),
      /sluice\.yaml:1:7: role: "modle"; expected "model" or "edge"/,
    ],
    ['missing', 'role: model\n', /listen: nothing; expected a map/],
    [
      'open socket',
      valid.replace('unix:/run/sluice/agent.sock', '8.8.8.8:80'),
      /listen\.agent: "8\.8\.8\.8:80"; expected unix:\/path or 127/,
    ],
    [
      'an agent for everybody',
      valid.replace('unix:/run/sluice/agent.sock', '0.0.0.0:15010'),
      /listen\.agent: "0\.0\.0\.0:15010"; expected unix:\/path or 127/,
    ],
    ['no YAML', 'a: [1\n', /sluice\.yaml:\d:\d: .*expected YAML/],
    [
      'a repeated key',
      `${valid}role: edge\n`,
      /sluice\.yaml:5:1: .*unique.*expected YAML without aliases, tags or repeated keys/,
    ],
    ['an alias', 'a: &x [1]\nb: *x\n', /sluice\.yaml:2:4: the alias \*x; expected YAML without aliases/],
    ['a tag', 'a: !secret x\n', /sluice\.yaml:1:4: Unresolved tag/],
    ['one key in two spellings', '1: a\n"1": b\n', /sluice\.yaml:2:1: the key 1 a second time/],
    ['a key that is a list', '? [a]\n: b\n', /sluice\.yaml:1:3: a key that is no plain text/],
    ['a merge key', '<<: {role: edge}\n', /sluice\.yaml:1:1: <<: a key that is not known/],
    ['a prototype', '__proto__: {role: edge}\n', /__proto__: a key that is not known/],
    [
      'a port that is none',
      valid.replace('unix:/run/sluice/agent.sock', '127.0.0.1:70000'),
      /a port of at most 65535/,
    ],
    [
      'a zone in lower case',
      `${valid}residency: {zone: ae}\n`,
      /residency\.zone: "ae"; expected a zone such as AE/,
    ],
    [
      'several alternatives',
      `${valid}envoy: {admin: x}\n`,
      /envoy\.admin: "x"; expected host:port or unix:\/path/,
    ],
    ['two documents', `${valid}---\n${valid}`, /2 documents; expected one YAML document/],
    ['empty', '', /expected one YAML document|\(document\)/],
    ['a list', '- 1\n', /expected a map/],
    ['too large', `${valid}#${'x'.repeat(1 << 20)}`, /at most 1 MiB/],
  ]
  for (const [name, text, message] of rows)
    t.throws(() => loadConfig(file(t, text)), { name: 'SluiceError', message }, name)
  t.throws(
    () => loadConfig('/nowhere/sluice.yaml'),
    /\/nowhere\/sluice\.yaml: ENOENT.*expected a readable file of UTF-8/,
  )
})

t.test('all mistakes are told at once', async (t) => {
  const path = file(t, 'role: x\nlisten: {agent: y, probes: z}\n')
  t.throws(() => loadConfig(path), { message: /role.*\n.*listen\.agent.*\n.*listen\.probes/ })
})

t.test('text that is not UTF-8 is refused', async (t) => {
  t.throws(() => loadConfig(file(t, Buffer.from(valid.replace('model', 'mod\xe9l'), 'latin1'))), /UTF-8 text/)
})

t.test('parts that need one another stand together', async (t) => {
  const identity = 'identity: {trustDomains: [td]}\n'
  const resources = 'resources: {dir: r}\n'
  const envoy = (more: string, bundles = 'td: ca.pem') =>
    `envoy: {main: "h:1", tls: {certificate: c, privateKey: k, trustBundles: {${bundles}}}, upstream: {http: "h:2", grpc: "h:3"}${more}}\n`
  const source =
    'identity: {trustDomains: [td], source: {type: dev, dir: ca, spiffeId: "spiffe://td/envoy"}}\n'
  const noTls = 'envoy: {main: "h:1", upstream: {http: "h:2", grpc: "h:3"}}\n'
  const rows: [name: string, more: string, message: RegExp | undefined][] = [
    ['limits alone', 'limits: {}\n', /limits: .*expected resources beside it/],
    ['traffic alone', 'traffic: {}\n', /traffic: .*expected resources beside it/],
    ['limits for rates', 'limits: {}\nrateLimit: {config: [l], store: limits}\n', undefined],
    [
      'rates in a store that is not there',
      'rateLimit: {config: [l], store: limits}\n',
      /rateLimit\.store: .*expected limits/,
    ],
    [
      'rates drawn from memory',
      'rateLimit: {config: [l], mode: leased}\n',
      /rateLimit\.mode: .*expected store: limits/,
    ],
    [
      'headers that are none',
      'rateLimit: {config: [l], headers: {limit: "a b"}}\n',
      /headers\.limit: .*name of a header/,
    ],
    ['headers by their names', 'rateLimit: {config: [l], headers: {}}\n', undefined],
    ['limits with resources', `limits: {}\n${resources}`, undefined],
    ['a tag of nobody', `residency: {zone: AE}\n${resources}`, /residency\.requireTag: .*expected identity/],
    ['no tag of nobody', `residency: {zone: AE, requireTag: false}\n${resources}`, undefined],
    ['a tag', `residency: {zone: AE}\n${resources}${identity}`, undefined],
    ['no bundle', identity + envoy('', 'other: ca.pem'), /trustBundles: .*expected a bundle for each/],
    ['a bundle', identity + envoy(''), undefined],
    [
      'Envoy is quicker',
      envoy(', messageTimeoutMs: 100'),
      /messageTimeoutMs: 100; expected more than decision/,
    ],
    [
      'no certificates for Envoy',
      noTls,
      /envoy\.tls: .*expected certificate files for Envoy, or identity\.source/,
    ],
    ['certificates from the agent', source + noTls, undefined],
    ['both', source + envoy(''), undefined],
    ['one address twice', envoy(', admission: "h:1"'), /admission: "h:1"; expected another address/],
  ]
  for (const [name, more, message] of rows) {
    const load = () => loadConfig(file(t, valid + more))
    if (message === undefined) t.doesNotThrow(load, name)
    else t.throws(load, { name: 'SluiceError', message }, name)
  }
})

t.test('private keys are served on a Unix socket only', async (t) => {
  const source = 'identity: {trustDomains: [td], source: {type: spire}}\n'
  const onPort = valid.replace('unix:/run/sluice/agent.sock', '127.0.0.1:15010')
  t.throws(() => loadConfig(file(t, onPort + source)), {
    name: 'SluiceError',
    message: /listen\.agent: .*expected unix:\/path beside identity\.source/,
  })
  t.doesNotThrow(() => loadConfig(file(t, onPort)))
})

t.test('files that are named and not there are told by path', async (t) => {
  const path = file(t, `${valid}resources: {dir: sluice.yaml}\n`)
  t.match(missingFiles(loadConfig(path)), [
    { place: `policy.bundle: ${join(path, '..', 'policy.tar.gz')}`, found: 'nothing', expected: 'a file' },
    { place: `resources.dir: ${path}`, found: 'file', expected: 'a directory' },
  ])
  writeFileSync(join(path, '..', 'policy.tar.gz'), '')
  t.equal(missingFiles(loadConfig(path)).length, 1)
})

t.test('the example in the documentation is valid', async (t) => {
  const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'using.md'), 'utf8')
  const example = /```yaml\n(role: [^`]+)```/.exec(page)?.[1] as string
  t.doesNotThrow(() => loadConfig(file(t, example)))
})

t.test('no mistake prints a secret', async (t) => {
  const secret = 's3cr3t-7f3a'
  const opa = (services: string, more = '') =>
    valid.replace('bundle: policy.tar.gz', `opa: {services: {s: {${services}}}, bundles: {b: {}}${more}}`)
  const texts = [
    opa(`url: "http://x", credentials: {bearer: ${secret}}`),
    opa(`url: "http://x", credentials: ${secret}`),
    opa(`url: "http://x", credentials: {bearer: {token: ${secret}, token_path: x}}`),
    opa(`url: "http://x", headers: ${secret}`),
    opa(`url: "http://x", headers: {authorization: [${secret}]}`),
    opa(`url: "http://u:${secret}@x"`),
    opa(`url: {a: ${secret}}`),
    opa('url: "http://x"', `, keys: {a: ${secret}}`),
    opa('url: "http://x"', `, keys: {a: {key: [${secret}]}}`),
  ]
  for (const text of texts) {
    try {
      loadConfig(file(t, text))
      t.fail(`taken: ${text}`)
    } catch (thrown) {
      t.notMatch(String(thrown), secret, text)
    }
  }
})

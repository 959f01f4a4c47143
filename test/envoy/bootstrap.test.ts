import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { loadConfig } from '#config/config.ts'
import { auditEnvoyConfig } from '#envoy/audit/audit.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { startEnvoy, validateEnvoyConfig } from '../harness/envoy.ts'
import { freePorts } from '../harness/ports.ts'
import { temporaryFolder } from '../harness/temp.ts'

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
const ca = createDevCa({ trustDomain: 'example.org' })
ca.write(join(folder.path, 'tls'), ca.issue({ spiffeId: 'spiffe://example.org/envoy' }))
writeFileSync(join(folder.path, 'ca.pem'), ca.bundlePem)

const envoySection = {
  main: '127.0.0.1:8443',
  tls: { certificate: 'tls.pem', privateKey: 'tls.key', trustBundles: { 'example.org': 'ca.pem' } },
  upstream: { http: '127.0.0.1:8000', grpc: 'localhost:8001' },
}

/** No files: Envoy takes its certificates from the agent. */
const fromAgent = { tls: undefined }
const withSource = {
  trustDomains: ['example.org'],
  source: { type: 'dev', dir: 'ca', spiffeId: 'spiffe://example.org/envoy', ttlSeconds: 600 },
}

function generate(envoy: object = {}, more: object = {}): JsonObject {
  const path = join(folder.path, 'sluice.yaml')
  const config = {
    listen: { agent: `unix:${folder.path}/agent.sock` },
    envoy: { ...envoySection, ...envoy },
    ...more,
  }
  writeFileSync(path, JSON.stringify(config))
  return envoyConfig(loadConfig(path))
}

t.test(
  'Envoy accepts every form of the generated configuration, and the audit finds nothing in it',
  async (t) => {
    const variants: [name: string, config: JsonObject][] = [
      ['the smallest', generate()],
      ['with admission', generate({ admission: '127.0.0.1:8444' })],
      ['with bodies for policy', generate({ admission: '127.0.0.1:8444', policyBodyBytes: 65_536 })],
      ['with an admin socket', generate({ admin: `unix:${folder.path}/admin.sock` })],
      ['with an admin port', generate({ admin: '127.0.0.1:9901' })],
      ['with certificates from the agent', generate(fromAgent, { identity: withSource })],
      [
        'with certificates from the agent and admission',
        generate({ ...fromAgent, admission: '127.0.0.1:8444' }, { identity: withSource }),
      ],
      ['with connections that end', generate({ maxConnectionSeconds: 600 })],
      ['with the agent on a port', generate({}, { listen: { agent: '127.0.0.1:15010' } })],
      [
        'with answers judged',
        generate({}, { policy: { bundle: 'policy.tar.gz', response: { body: 'json' } } }),
      ],
      [
        'with other timeouts',
        generate({ messageTimeoutMs: 500 }, { decision: { firstMessageTimeoutMs: 60_000 } }),
      ],
    ]
    for (const [name, config] of variants) {
      await t.resolves(validateEnvoyConfig(config), name)
      const judged = name === 'with answers judged' ? 'body' : 'headers'
      t.same(auditEnvoyConfig(config, judged), [], name)
    }
  },
)

t.test('a connection ends in half the life of the certificates that the agent serves', async (t) => {
  const spire = { trustDomains: ['example.org'], source: { type: 'spire' } }
  const rows: [name: string, config: JsonObject, limit: string | undefined][] = [
    ['files', generate(), undefined],
    ['files and a limit', generate({ maxConnectionSeconds: 7 }), '7s'],
    ['files and a source', generate({}, { identity: withSource }), undefined],
    ['the development CA', generate(fromAgent, { identity: withSource }), '300s'],
    ['SPIRE', generate(fromAgent, { identity: spire }), '1800s'],
    ['SPIRE and a limit', generate({ ...fromAgent, maxConnectionSeconds: 60 }, { identity: spire }), '60s'],
  ]
  for (const [name, config, limit] of rows) {
    const [listener] = (config['static_resources'] as { listeners: JsonObject[] }).listeners
    const text = JSON.stringify(listener)
    t.equal(/"max_connection_duration":"(\d+s)"/.exec(text)?.[1], limit, name)
    t.equal(text.includes('"http1_safe_max_connection_duration":true'), limit !== undefined, name)
  }
})

t.test('with certificates from the agent no file is named, and sessions are not resumed', async (t) => {
  const config = generate(fromAgent, { identity: withSource })
  const text = JSON.stringify(config)
  t.notMatch(text, /"filename"/)
  t.match(text, /"disable_stateless_session_resumption":true,"disable_stateful_session_resumption":true/)
  t.match(config['node'], { id: /./, cluster: /./ }, 'Envoy does not start without, when it asks for secrets')
})

t.test('the audit reads the dump of a running Envoy as it reads a bootstrap', async (t) => {
  const [port] = (await freePorts(1)) as [number]
  const config = generate({ main: `127.0.0.1:${port}` })
  {
    await using envoy = await startEnvoy(config)
    t.same(auditEnvoyConfig(JSON.parse(await envoy.admin('/config_dump'))), [])
  }
  await using envoy = await startEnvoy(changed(config, 'failure_mode_allow', () => true))
  const found = auditEnvoyConfig(JSON.parse(await envoy.admin('/config_dump')))
  t.match(found, [{ setting: 'failure_mode_allow', why: /pass undecided/ }])
})

/** The configuration with every value of a key changed, wherever it stands. */
function changed<T>(value: T, key: string, change: (old: unknown) => unknown): T {
  if (Array.isArray(value)) return value.map((item) => changed(item, key, change)) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, item]) => [name, name === key ? change(item) : changed(item, key, change)])
      .filter(([, item]) => item !== undefined),
  ) as T
}

t.test('each setting that would fail open is found, with why and the fix', async (t) => {
  const good = generate({ admission: '127.0.0.1:8444' })
  const rows: [key: string, change: (old: unknown) => unknown, setting?: string][] = [
    ['failure_mode_allow', () => true],
    ['require_client_certificate', () => undefined],
    ['require_client_certificate', () => false],
    ['disable_stateless_session_resumption', () => false],
    ['normalize_path', () => undefined],
    ['merge_slashes', () => false, 'normalize_path'],
    ['path_with_escaped_slashes_action', () => 'KEEP_UNCHANGED'],
    ['forward_client_cert_details', () => 'APPEND_FORWARD'],
    ['forward_client_cert_details', () => 'ALWAYS_FORWARD_ONLY'],
    ['include_peer_certificate', () => undefined],
    ['encode_raw_headers', () => undefined],
    ['request_attributes', () => ['source.address']],
    ['request_header_mode', () => 'SKIP', 'processing_mode.request_header_mode'],
    ['transport_socket', () => undefined],
    ['http_filters', (old) => (old as unknown[]).slice(1)],
    ['http_filters', (old) => (old as unknown[]).toReversed()],
    [
      'validation_context',
      (old) => ({ ...(old as object), trust_chain_verification: 'ACCEPT_UNTRUSTED' }),
      'trust_chain_verification',
    ],
    [
      'validation_context',
      (old) => ({ ...(old as object), allow_expired_certificate: true }),
      'allow_expired_certificate',
    ],
  ]
  for (const [key, change, named] of rows) {
    const found = auditEnvoyConfig(changed(good, key, change))
    t.match(found[0], { setting: named ?? key, place: /./, why: /\.$/, fix: /\.$/ }, key)
  }
})

t.test('where policy judges answers, what hides them from it is found', async (t) => {
  const good = generate({}, { policy: { bundle: 'policy.tar.gz', response: { body: 'json' } } })
  for (const [key, value] of [
    ['response_header_mode', 'SKIP'],
    ['response_body_mode', 'NONE'],
    ['response_trailer_mode', 'SKIP'],
  ] as const) {
    const bad = changed(good, key, () => value)
    t.match(auditEnvoyConfig(bad, 'body')[0], { setting: `processing_mode.${key}` })
    t.same(auditEnvoyConfig(bad, 'none'), [], "and else is nobody's business")
  }
})

t.test('filters that only watch, or watch a share, are found', async (t) => {
  const good = generate({ admission: '127.0.0.1:8444' })
  const extended = (value: unknown, type: string, more: object): unknown => {
    if (Array.isArray(value)) return value.map((item) => extended(item, type, more))
    if (typeof value !== 'object' || value === null) return value
    const copy = Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, extended(item, type, more)]),
    )
    return String(copy['@type']).endsWith(type) ? { ...copy, ...more } : copy
  }
  const rows: [type: string, more: object, setting: string][] = [
    ['ext_proc.v3.ExternalProcessor', { observability_mode: true }, 'observability_mode'],
    ['ext_proc.v3.ExternalProcessor', { disable_immediate_response: true }, 'disable_immediate_response'],
    ['ext_proc.v3.ExtProcPerRoute', { disabled: true }, 'disabled'],
    ['ext_proc.v3.ExtProcPerRoute', { overrides: { failure_mode_allow: true } }, 'failure_mode_allow'],
    ['ext_authz.v3.ExtAuthz', { shadow_mode: true }, 'shadow_mode'],
    ['ext_authz.v3.ExtAuthz', { filter_enabled: { default_value: { numerator: 50 } } }, 'filter_enabled'],
  ]
  for (const [type, more, setting] of rows)
    t.match(auditEnvoyConfig(extended(good, type, more)), [{ setting }], setting)
  const open = { admin: { address: { socket_address: { address: '0.0.0.0', port_value: 9901 } } } }
  t.match(auditEnvoyConfig({ ...good, ...open }), [{ setting: 'admin.address' }])
})

t.test('without an envoy section there is nothing to generate from', async (t) => {
  t.throws(() => generateWithout(), /envoy: nothing; expected listeners/)
})

function generateWithout(): JsonObject {
  const path = join(folder.path, 'bare.yaml')
  writeFileSync(path, JSON.stringify({ listen: { agent: 'unix:/run/agent.sock' } }))
  return envoyConfig(loadConfig(path))
}

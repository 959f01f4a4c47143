import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject, JsonValue } from '#base/json.ts'
import { type Config, loadConfig } from '#config/config.ts'
import { auditEnvoyConfig, expectationsOf } from '#envoy/audit/audit.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { validateEnvoyConfig } from '../harness/envoy.ts'
import { temporaryFolder } from '../harness/temp.ts'
import { parts } from './audit/good.ts'

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
const withForwarders = { trustDomains: ['example.org'], trustedForwarders: ['spiffe://example.org/gateway'] }

function configured(envoy: object = {}, more: object = {}): Config {
  const path = join(folder.path, 'sluice.yaml')
  const config = {
    listen: { agent: `unix:${folder.path}/agent.sock` },
    envoy: { ...envoySection, ...envoy },
    ...more,
  }
  writeFileSync(path, JSON.stringify(config))
  return loadConfig(path)
}
const generate = (envoy: object = {}, more: object = {}) => envoyConfig(configured(envoy, more))

t.test(
  'Envoy accepts every form of the generated configuration, and the audit finds nothing in it',
  async (t) => {
    const judged = { policy: { bundle: 'policy.tar.gz', response: { body: 'json' } } }
    const limited = { limits: {}, resources: { dir: '.' } }
    const admission = '127.0.0.1:8444'
    const variants: [name: string, config: Config, finding?: string][] = [
      ['the smallest', configured()],
      ['with admission', configured({ admission })],
      ['with bodies for policy', configured({ admission, policyBodyBytes: 65_536 })],
      ['with an admin socket', configured({ admin: `unix:${folder.path}/admin.sock` })],
      ['with an admin port', configured({ admin: '127.0.0.1:9901' }), 'admin_on_tcp'],
      ['with the agent on a port', configured({}, { listen: { agent: '127.0.0.1:15010' } })],
      ['with answers judged', configured({}, judged)],
      ['with calls measured', configured({ admission }, limited)],
      ['with calls measured and answers judged', configured({}, { ...limited, ...judged })],
      [
        'with other timeouts',
        configured({ messageTimeoutMs: 500 }, { decision: { firstMessageTimeoutMs: 60_000 } }),
      ],
      ['with short connections', configured({ maxConnectionSeconds: 60 })],
      ['with certificates from the agent', configured({ ...fromAgent, admission }, { identity: withSource })],
      ['with trusted gateways', configured({}, { identity: withForwarders })],
    ]
    for (const [name, config, finding] of variants) {
      const generated = envoyConfig(config)
      await t.resolves(validateEnvoyConfig(generated), name)
      const findings = auditEnvoyConfig(generated, expectationsOf(config)).map(({ id }) => id)
      t.same(findings, finding === undefined ? [] : [finding], name)
    }
  },
)

/** What lies at the end of a way of fields and positions. */
const found = (object: unknown, way: string): unknown =>
  way.split('.').reduce((value, key) => (value as Record<string, unknown> | undefined)?.[key], object)

t.test('with limits the agent sees what calls cost', async (t) => {
  const limits = { limits: {}, resources: { dir: '.' } }
  const policy = { bundle: 'policy.tar.gz', response: { body: 'json' } }
  const measured = ['STREAMED', 'FULL_DUPLEX_STREAMED']
  const rows: [name: string, config: JsonObject, asked: string[], request: string][] = [
    ['nothing', generate(), [], 'NONE'],
    ['limits', generate({}, limits), measured, 'BUFFERED_PARTIAL'],
    ['answers judged', generate({}, { policy }), ['NONE'], 'NONE'],
    ['both', generate({}, { ...limits, policy }), [...measured, 'NONE'], 'BUFFERED_PARTIAL'],
  ]
  for (const [name, config, asked, request] of rows) {
    const filter = found(config, parts.extProc) as { typed_config: Record<string, JsonValue> }
    const modes = (filter.typed_config['allowed_override_modes'] ?? []) as readonly JsonObject[]
    t.same(
      modes.map((mode) => mode['response_body_mode']),
      asked,
      name,
    )
    t.ok(
      modes.every((mode) => mode['request_body_mode'] === request),
      name,
    )
    t.equal(found(filter, 'typed_config.processing_mode.request_body_mode'), request, name)
  }
  const admission = '127.0.0.1:8444'
  const cut = (bytes: number) =>
    found(
      generate({ admission, policyBodyBytes: bytes }, limits),
      `${parts.extAuthz}.typed_config.with_request_body.max_request_bytes`,
    )
  t.same([cut(0), cut(9)], [undefined, 9], 'admission shows what policy is to see and no more')
})

t.test('a connection ends in half the life of an identity', async (t) => {
  const spire = { trustDomains: ['example.org'], source: { type: 'spire' } }
  const rows: [name: string, config: JsonObject, limit: string][] = [
    ['files', generate(), '1800s'],
    ['files and a limit', generate({ maxConnectionSeconds: 77 }), '77s'],
    ['the development CA', generate(fromAgent, { identity: withSource }), '300s'],
    ['SPIRE', generate(fromAgent, { identity: spire }), '1800s'],
    ['SPIRE and a limit', generate({ ...fromAgent, maxConnectionSeconds: 60 }, { identity: spire }), '60s'],
  ]
  for (const [name, config, limit] of rows) {
    const text = JSON.stringify(config)
    t.equal(/"max_connection_duration":"(\d+s)"/.exec(text)?.[1], limit, name)
    t.ok(text.includes('"http1_safe_max_connection_duration":true'), name)
  }
})

t.test('with certificates from the agent no file is named, and sessions are not resumed', async (t) => {
  const config = generate(fromAgent, { identity: withSource })
  const text = JSON.stringify(config)
  t.notMatch(text, /"filename"/)
  t.match(text, /"disable_stateless_session_resumption":true,"disable_stateful_session_resumption":true/)
  t.match(config['node'], { id: /./, cluster: /./ }, 'Envoy does not start without, when it asks for secrets')
})

t.test('a connection lasts as long as it was said to', async (t) => {
  const text = JSON.stringify(generate({ admission: '127.0.0.1:8444', maxConnectionSeconds: 600 }))
  t.equal(text.match(/"max_connection_duration":"600s"/g)?.length, 2)
})

t.test('without an envoy section there is nothing to generate from', async (t) => {
  t.throws(() => generateWithout(), /envoy: nothing; expected listeners/)
})

function generateWithout(): JsonObject {
  const path = join(folder.path, 'bare.yaml')
  writeFileSync(path, JSON.stringify({ listen: { agent: 'unix:/run/agent.sock' } }))
  return envoyConfig(loadConfig(path))
}

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { type Config, loadConfig } from '#config/config.ts'
import { auditEnvoyConfig, expectationsOf } from '#envoy/audit/audit.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { validateEnvoyConfig } from '../harness/envoy.ts'
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
const generate = (envoy: object = {}) => envoyConfig(configured(envoy))

t.test(
  'Envoy accepts every form of the generated configuration, and the audit finds nothing in it',
  async (t) => {
    const judged = { policy: { bundle: 'policy.tar.gz', response: { body: 'json' } } }
    const admission = '127.0.0.1:8444'
    const variants: [name: string, config: Config, finding?: string][] = [
      ['the smallest', configured()],
      ['with admission', configured({ admission })],
      ['with bodies for policy', configured({ admission, policyBodyBytes: 65_536 })],
      ['with an admin socket', configured({ admin: `unix:${folder.path}/admin.sock` })],
      ['with an admin port', configured({ admin: '127.0.0.1:9901' }), 'admin_on_tcp'],
      ['with the agent on a port', configured({}, { listen: { agent: '127.0.0.1:15010' } })],
      ['with answers judged', configured({}, judged)],
      [
        'with other timeouts',
        configured({ messageTimeoutMs: 500 }, { decision: { firstMessageTimeoutMs: 60_000 } }),
      ],
      ['with short connections', configured({ maxConnectionSeconds: 60 })],
    ]
    for (const [name, config, finding] of variants) {
      const generated = envoyConfig(config)
      await t.resolves(validateEnvoyConfig(generated), name)
      const found = auditEnvoyConfig(generated, expectationsOf(config)).map(({ id }) => id)
      t.same(found, finding === undefined ? [] : [finding], name)
    }
  },
)

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

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { openAgentIdentity } from '#commands/agent-identity.ts'
import { loadConfig } from '#config/config.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { createMetrics } from '#telemetry/telemetry.ts'
import { temporaryFolder } from '../harness/temp.ts'

const trustDomain = 'example.org'

t.test('metrics say when we end and whom we trust', async (t) => {
  using folder = temporaryFolder()
  const at = (name: string) => join(folder.path, name)
  const [ca, later] = [createDevCa({ trustDomain }), createDevCa({ trustDomain, ttlSeconds: 3_000_000 })]
  ca.write(
    at('app'),
    ca.issue({ spiffeId: 'spiffe://example.org/app', wrong: { notBeforeMs: Date.now() - 1000 } }),
  )
  writeFileSync(at('ca.pem'), ca.bundlePem + later.bundlePem)
  writeFileSync(at('none.json'), '{"keys":[]}')
  writeFileSync(
    at('sluice.yaml'),
    JSON.stringify({
      listen: { agent: `unix:${at('agent.sock')}` },
      identity: {
        trustDomains: [trustDomain],
        source: {
          type: 'files',
          certificate: 'app.pem',
          privateKey: 'app.key',
          trustBundles: { [trustDomain]: 'ca.pem', 'gone.org': 'none.json' },
        },
      },
    }),
  )
  const metrics = createMetrics()
  const log = pino({ level: 'silent' })
  const opened = await openAgentIdentity({ config: loadConfig(at('sluice.yaml')), log, metrics })
  if (opened === undefined) return t.fail('there is a source')
  t.teardown(() => opened.source[Symbol.asyncDispose]())
  t.equal(opened.check.problem(), undefined)
  t.equal(opened.ownCheck.problem(), undefined)
  const text = await metrics.render()
  const of = (name: string) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(name))
        ?.split(' ')
        .at(-1),
    )
  const nowSeconds = Date.now() / 1000
  const leftSeconds =
    of('sluice_identity_expires_timestamp_seconds{spiffe_id="spiffe://example.org/app"}') - nowSeconds
  t.ok(leftSeconds > 3500 && leftSeconds <= 3600, `${leftSeconds} s are left`)
  t.equal(of('sluice_identity_bundle_authorities{trust_domain="example.org"}'), 2)
  t.equal(of('sluice_identity_bundle_authorities{trust_domain="gone.org"}'), 0)
  const days =
    (of('sluice_identity_bundle_expires_timestamp_seconds{trust_domain="example.org"}') - nowSeconds) / 86_400
  t.ok(days > 364 && days < 366, `the last of them ends in ${days} days`)
  t.notMatch(text, /bundle_expires_timestamp_seconds\{trust_domain="gone.org"/)
})

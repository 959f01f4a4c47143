import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '#config/config.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { startAgent } from '../../harness/agent.ts'
import { startEnvoy } from '../../harness/envoy.ts'
import { http, keepAliveAgent } from '../../harness/http.ts'
import { freePorts } from '../../harness/ports.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { startUpstream } from '../../harness/upstream.ts'

const trustDomain = 'example.org'
const [ca, later] = [createDevCa({ trustDomain }), createDevCa({ trustDomain })]

t.test('a root that is taken back ends its callers on connections that are open', async (t) => {
  const upstream = await startUpstream()
  t.teardown(() => upstream[Symbol.asyncDispose]())
  const folder = temporaryFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const at = (name: string) => join(folder.path, name)
  ca.write(at('server'), ca.issue({ spiffeId: 'spiffe://example.org/server', dnsNames: ['localhost'] }))
  for (const name of ['ca.pem', 'envoy-ca.pem']) writeFileSync(at(name), ca.bundlePem)
  const [mainPort, admissionPort] = (await freePorts(2)) as [number, number]
  const pair = { certificate: at('server.pem'), privateKey: at('server.key') }
  const agent = await startAgent({
    folder: folder.path,
    config: {
      identity: {
        trustDomains: [trustDomain],
        source: { type: 'files', ...pair, trustBundles: { [trustDomain]: at('ca.pem') } },
      },
      envoy: {
        main: `127.0.0.1:${mainPort}`,
        admission: `127.0.0.1:${admissionPort}`,
        tls: { ...pair, trustBundles: { [trustDomain]: at('envoy-ca.pem') } },
        upstream: { http: `127.0.0.1:${upstream.port}`, grpc: `127.0.0.1:${upstream.port}` },
      },
    },
  })
  t.teardown(() => agent[Symbol.asyncDispose]())
  await using envoy = await startEnvoy(envoyConfig(loadConfig(agent.configPath)))
  const identity = ca.issue({ spiffeId: 'spiffe://example.org/ns/acme/sa/app' })
  const kept = keepAliveAgent(1)
  t.teardown(() => kept.destroy())
  const ask = async (port: number) =>
    (await http({ port, path: '/v2/health/ready', tls: { ca: ca.bundlePem, identity, agent: kept } })).status
  const handshakes = async () =>
    [...(await envoy.stats())].reduce(
      (sum, [name, value]) => (/^listener\..*\.ssl\.handshake$/.test(name) ? sum + value : sum),
      0,
    )
  t.same([await ask(mainPort), await ask(admissionPort)], [200, 200])
  const before = await handshakes()

  writeFileSync(at('ca.pem'), later.bundlePem)
  await eventually('its callers are refused', async () => (await ask(mainPort)) === 401)
  t.equal(await ask(admissionPort), 401, 'over ext_authz too')
  t.equal(await handshakes(), before, 'on the same connections')

  writeFileSync(at('ca.pem'), later.bundlePem + ca.bundlePem)
  await eventually('it is trusted again', async () => (await ask(mainPort)) === 200)
  t.equal(await handshakes(), before)
})

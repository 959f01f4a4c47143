import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '#config/config.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import { ALLOW } from '#decision/verdict.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { startEnvoyServer } from '#envoy/envoy.ts'
import { openSecretDiscovery } from '#envoy/sds/sds.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { startEnvoy, validateEnvoyConfig } from '../../harness/envoy.ts'
import { http } from '../../harness/http.ts'
import { bundle, bundles, pair, scriptedSource } from '../../harness/identity-source.ts'
import { freePorts } from '../../harness/ports.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { knock } from '../../harness/tls-client.ts'
import { startUpstream } from '../../harness/upstream.ts'
import { kit } from '../kit.ts'

t.test(
  'the generated configuration takes its certificates from the agent, and both listeners say whom Envoy validated',
  async (t) => {
    using folder = temporaryFolder()
    const ca = createDevCa({ trustDomain: 'example.org' })
    const other = createDevCa({ trustDomain: 'other.org' })
    const client = ca.issue({ spiffeId: 'spiffe://example.org/client' })
    const foreign = other.issue({ spiffeId: 'spiffe://other.org/client' })
    const [main, admission] = (await freePorts(2)) as [number, number]
    await using upstream = await startUpstream()
    const path = join(folder.path, 'sluice.yaml')
    const text = {
      listen: { agent: `unix:${join(folder.path, 'agent.sock')}` },
      identity: {
        trustDomains: ['example.org'],
        source: { type: 'dev', dir: 'ca', spiffeId: 'spiffe://example.org/envoy' },
      },
      envoy: {
        main: `127.0.0.1:${main}`,
        admission: `127.0.0.1:${admission}`,
        upstream: { http: `127.0.0.1:${upstream.port}`, grpc: '127.0.0.1:1' },
        messageTimeoutMs: 10_000,
      },
    }
    writeFileSync(path, JSON.stringify(text))
    const config = loadConfig(path)
    const generated = envoyConfig(config)
    await t.rejects(
      validateEnvoyConfig({ ...generated, node: undefined }),
      /node 'id' and 'cluster' are required/,
      'without a name of its own Envoy does not start',
    )

    const seen: RequestFacts[] = []
    const { pipeline, log } = kit({
      request: (x) => {
        seen.push(x.request)
        return ALLOW
      },
    })
    const both = [bundle('example.org', ca.bundlePem), bundle('other.org', other.bundlePem)]
    const svids = [pair(ca.issue({ spiffeId: 'spiffe://example.org/envoy' }))]
    const source = scriptedSource({ svids, bundles: bundles(...both) })
    using sds = openSecretDiscovery({ source, log })
    await using _ = await startEnvoyServer({
      listen: config.listen.agent,
      pipeline,
      isReady: () => true,
      maxMessageBytes: 4 << 20,
      firstMessageTimeoutMs: 60_000,
      sds,
      log,
    })
    await using _envoy = await startEnvoy(generated)
    const ask = (port: number, identity = client) =>
      http({ port, path: '/v2/models/fraud/infer', body: '{}', tls: { ca: ca.bundlePem, identity } })
    for (const [port, api, isChainValid] of [
      [main, 'ext_proc', true],
      [admission, 'ext_authz', undefined],
    ] as const) {
      for (const identity of [client, foreign]) {
        seen.length = 0
        t.equal((await ask(port, identity)).status, 200, api)
        t.match(seen, [{ api, certificate: { pem: identity.certificatePem } }])
        t.equal(seen[0]?.certificate?.isChainValid, isChainValid, `${api}: whether Envoy validated the chain`)
      }
    }
    source.say({ svids, bundles: bundles(...both.slice(0, 1)) })
    for (const port of [main, admission])
      await eventually('the other domain is let in no more', async () => {
        const knocked = await knock({ port, ca: ca.bundlePem, identity: foreign })
        return knocked.kind === 'refused'
      })
    t.equal((await ask(main)).status, 200)
    t.equal(sds.problem(), undefined)
    const streams = await eventually('both listeners ask', () => sds.counters.streams)
    t.ok(streams >= 2)
  },
)

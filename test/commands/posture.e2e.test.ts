import { spawnSync } from 'node:child_process'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { loadConfig } from '#config/config.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { type AgentProcess, startAgent } from '../harness/agent.ts'
import { startEnvoy } from '../harness/envoy.ts'
import { http } from '../harness/http.ts'
import { freePorts } from '../harness/ports.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'
import { startUpstream } from '../harness/upstream.ts'

const ca = createDevCa({ trustDomain: 'example.org' })
const identity = ca.issue({ spiffeId: 'spiffe://example.org/app' })
const root = join(import.meta.dirname, '..', '..')

/** An Envoy whose listeners are delivered as files, so that they can change while it runs, before a model server. */
async function startWorld() {
  await using opening = new AsyncDisposableStack()
  const { path: folder } = opening.use(temporaryFolder())
  ca.write(join(folder, 'tls'), ca.issue({ spiffeId: 'spiffe://example.org/envoy' }))
  writeFileSync(join(folder, 'ca.pem'), ca.bundlePem)
  const upstream = opening.use(await startUpstream())
  const [main] = (await freePorts(1)) as [number]
  const section = {
    main: `127.0.0.1:${main}`,
    tls: { certificate: 'tls.pem', privateKey: 'tls.key', trustBundles: { 'example.org': 'ca.pem' } },
    upstream: { http: `127.0.0.1:${upstream.port}`, grpc: '127.0.0.1:1' },
    messageTimeoutMs: 20_000,
  }
  const seed = { listen: { agent: `unix:${join(folder, 'agent.sock')}` }, envoy: section }
  writeFileSync(join(folder, 'seed.yaml'), JSON.stringify(seed))
  const generated = envoyConfig(loadConfig(join(folder, 'seed.yaml')))
  const { listeners, clusters } = generated['static_resources'] as Record<string, JsonObject[]>
  const [listener] = listeners as [JsonObject]

  const xds = join(folder, 'xds')
  mkdirSync(xds)
  const deliver = (change: (text: string) => string) => {
    const type = 'type.googleapis.com/envoy.config.listener.v3.Listener'
    const text = change(JSON.stringify({ resources: [{ '@type': type, ...listener }] }))
    writeFileSync(join(xds, 'new'), text)
    renameSync(join(xds, 'new'), join(xds, 'listeners.json'))
  }
  deliver((text) => text)
  const envoy = opening.use(
    await startEnvoy({
      node: { id: 'a', cluster: 'a' },
      static_resources: { clusters: clusters as JsonObject[] },
      dynamic_resources: {
        lds_config: {
          resource_api_version: 'V3',
          path_config_source: { path: join(xds, 'listeners.json') },
        },
      },
    }),
  )
  const startBeside = (profile: string, audit: object = {}): Promise<AgentProcess> =>
    startAgent({
      folder,
      config: {
        profile,
        envoy: { ...section, audit: { admin: envoy.adminAddress, everySeconds: 1, ...audit } },
      },
    })
  const call = () => http({ port: main, path: '/v2/health/ready', tls: { ca: ca.bundlePem, identity } })
  const owned = opening.move()
  return { envoy, deliver, startBeside, call, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
const weakened = (text: string) => text.replace('"merge_slashes":true', '"merge_slashes":false')
const metric = async (agent: AgentProcess, name: string) =>
  new RegExp(`^${name} (\\S+)$`, 'm').exec((await agent.probe('/metrics')).body)?.[1]
const findings = 'sluice_posture_findings\\{check="slashes_not_merged"\\}'

t.test('in production a weakened Envoy makes the agent unready, which decides on', async (t) => {
  await using world = await startWorld()
  const { deliver, startBeside, call } = world
  await using agent = await startBeside('production')
  t.match(await agent.probe('/readyz?verbose'), { status: 200, body: /^\[\+\]envoy_posture ok\n/m })
  t.equal((await call()).status, 200)
  t.ok(Number(await metric(agent, 'sluice_posture_last_success_timestamp_seconds')) > 1e9)

  deliver(weakened)
  await eventually('the agent is unready', async () => (await agent.probe('/readyz')).status === 503)
  t.match((await agent.probe('/readyz')).body, '[-]envoy_posture: 1 finding: slashes_not_merged\n')
  t.equal(await metric(agent, findings), '1')
  t.equal((await call()).status, 200, 'requests are decided all the same')
  const lines = () =>
    agent
      .logs()
      .split('\n')
      .filter((line) => line.includes('"slashes_not_merged"'))
  const before = await metric(agent, 'sluice_posture_reads_total\\{result="ok"\\}')
  await eventually('it looked twice more', async () => {
    const now = await metric(agent, 'sluice_posture_reads_total\\{result="ok"\\}')
    return Number(now) >= Number(before) + 2
  })
  t.equal(lines().length, 1, 'what stays the same is said once')
  t.match(JSON.parse(lines()[0] as string), {
    level: 'warn',
    id: 'slashes_not_merged',
    place: /listeners\[0 main\]/,
  })

  deliver((text) => text)
  await eventually('the agent is ready again', async () => (await agent.probe('/readyz')).status === 200)
  t.equal(await metric(agent, findings), '0')
  t.match(agent.logs(), /mended in Envoy/)

  await world.envoy[Symbol.asyncDispose]()
  await eventually('the agent is unready', async () => (await agent.probe('/readyz')).status === 503)
  t.match(
    (await agent.probe('/readyz')).body,
    /^\[-\]envoy_posture: Envoy's admin interface .*; expected an Envoy's admin interface$/m,
  )
})

t.test('elsewhere it is only said, and what is accepted makes nobody unready', async (t) => {
  await using world = await startWorld()
  world.deliver(weakened)
  {
    await using agent = await world.startBeside('standard')
    await eventually('it is said', async () =>
      (await agent.probe('/readyz?verbose')).body.includes(
        '[+]envoy_posture ok, but 1 finding: slashes_not_merged',
      ),
    )
    t.equal((await agent.probe('/readyz')).status, 200)
  }
  await using agent = await world.startBeside('production', { accept: ['slashes_not_merged'] })
  t.equal(await metric(agent, findings), '1', 'it is counted all the same')
  t.match(await agent.probe('/readyz?verbose'), { status: 200, body: /\[\+\]envoy_posture ok\n/ })
})

t.test('sluice check looks at a running Envoy without knowing anything of an agent', async (t) => {
  await using world = await startWorld()
  const check = (...more: string[]) => {
    const args = ['agent/main.ts', 'check', '--envoy', world.envoy.adminAddress, ...more]
    return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  }
  t.match(check(), {
    status: 0,
    stdout: /^ok {3}Envoy at unix:.*: nothing that fails open\nNothing to mend\.\n$/,
  })
  world.deliver(weakened)
  await eventually('Envoy is weakened', () => check().status === 1)
  const { findings: found } = JSON.parse(check('--json').stdout)
  t.match(found, [{ isGood: false, posture: { id: 'slashes_not_merged' } }])
})

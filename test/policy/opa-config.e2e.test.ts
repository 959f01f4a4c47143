import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { cluster } from '#envoy/bootstrap/cluster.ts'
import { writeTar } from '#policy/bundle/tar.ts'
import { startBundleServer } from '../harness/bundle-server.ts'
import { startEnvoy } from '../harness/envoy.ts'
import { goTool } from '../harness/go-tools.ts'
import { http } from '../harness/http.ts'
import { extAuthzFilter, plainListener } from '../harness/listener.ts'
import { freePorts } from '../harness/ports.ts'
import { startProcess } from '../harness/process.ts'
import { run } from '../harness/run.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'
import { startUpstream } from '../harness/upstream.ts'

const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')

/** Two bundles of somebody who never heard of wasm: a policy, and a library with data that it uses. */
const policy = (allowed: string) => `package envoy.authz

import data.library.roles
import input.attributes.request.http as request

default decision := {"allowed": false, "http_status": 429, "body": "no"}

decision := {"allowed": true, "headers": {"x-role": role}} if {
	role := roles.of[request.headers["x-user"]]
	role in data.tenants[request.headers["x-tenant"]].${allowed}
}
`
const library = `package library.roles

of := {user: role | some user, role in data.people.roles}
`
const bundleOf = (files: Readonly<Record<string, string>>) =>
  gzipSync(writeTar(Object.entries(files).map(([path, text]) => ({ path, content: Buffer.from(text) }))))
const authz = (allowed: string, revision: string) =>
  bundleOf({
    'authz/policy.rego': policy(allowed),
    '.manifest': JSON.stringify({ roots: ['envoy/authz'], revision }),
  })
const people = (roles: string) => ({
  'library/roles.rego': library,
  'people/data.yaml': roles,
  '.manifest': '{"roots": ["library", "people"], "revision": "p1"}',
})

/** As the real `opa build` signs it. */
async function signed(files: Readonly<Record<string, string>>): Promise<Buffer> {
  using folder = temporaryFolder()
  const at = (name: string) => join(folder.path, name)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(at(`src/${name}`)), { recursive: true })
    writeFileSync(at(`src/${name}`), text)
  }
  const key = ['--signing-key', 'signing secret', '--signing-alg', 'HS256']
  await run(await goTool('opa'), ['build', ...key, '-o', at('out.tar.gz'), '-b', '.'], { cwd: at('src') })
  return readFileSync(at('out.tar.gz'))
}

/** What both programs are given, to the letter; each has an address of its own in its environment. */
const opaConfig = `
services:
  control:
    url: \${BUNDLES}/base/
    headers: {X-From: e2e}
    credentials: {bearer: {token: "\${TOKEN}"}}
bundles:
  authz:
    service: control
    resource: authz.tar.gz
    polling: {min_delay_seconds: 1, max_delay_seconds: 1}
  people:
    polling: {min_delay_seconds: 1, max_delay_seconds: 1}
    signing: {keyid: team}
keys:
  team: {key: signing secret, algorithm: HS256}
labels: {region: here}
plugins:
  envoy_ext_authz_grpc:
    addr: \${ADDR}
    path: envoy/authz/decision
`

t.test("with OPA's own file and arguments Sluice decides as the plugin, also after an update", async (t) => {
  using folder = temporaryFolder()
  const at = (name: string) => join(folder.path, name)
  writeFileSync(at('config.yaml'), opaConfig)
  writeFileSync(at('tenants.json'), '{"tenants": {"acme": {"first": ["admin"], "second": ["guest"]}}}')
  await using bundles = await startBundleServer({ token: 'secret' })
  bundles.put('/base/authz.tar.gz', authz('first', 'a1'))
  bundles.put('/base/bundles/people', await signed(people('roles: {ann: admin, bob: guest}')))
  const [theirs, ours, api, probes, theirPort, ourPort] = (await freePorts(6)) as [
    ...[number, number, number],
    ...[number, number, number],
  ]
  const env = (port: number) => ({ BUNDLES: bundles.url, TOKEN: 'secret', ADDR: `127.0.0.1:${port}` })
  const opa = dirname(await goTool('opa'))
  await using _plugin = await startProcess({
    name: 'opa-envoy-plugin',
    program: await goTool('opa-envoy-plugin'),
    args: [
      ...['run', '--server', '--addr', `127.0.0.1:${api}`, '--disable-telemetry', '--log-level', 'error'],
      ...['--config-file', at('config.yaml'), at('tenants.json')],
    ],
    env: env(theirs),
    isReady: async () => (await http({ port: api, path: '/health?bundles&plugins' })).status === 200,
  })
  await using agent = await startProcess({
    name: 'the agent',
    program: process.execPath,
    args: [
      ...[main, 'agent', '--opa-config', at('config.yaml'), '--addr', '127.0.0.1:8181'],
      ...['--diagnostic-addr', `127.0.0.1:${probes}`, at('tenants.json')],
    ],
    env: { ...env(ours), PATH: [opa, process.env['PATH']].join(delimiter) },
    isReady: async () => (await http({ port: probes, path: '/health?bundles&plugins' })).status === 200,
  })
  await using upstream = await startUpstream()
  await using _envoy = await startEnvoy({
    static_resources: {
      listeners: [
        plainListener({ name: 'theirs', port: theirPort, filter: extAuthzFilter('theirs') }),
        plainListener({ name: 'ours', port: ourPort, filter: extAuthzFilter('ours') }),
      ],
      clusters: [
        cluster({ name: 'theirs', address: `127.0.0.1:${theirs}`, isHttp2: true }),
        cluster({ name: 'ours', address: `127.0.0.1:${ours}`, isHttp2: true }),
        cluster({ name: 'upstream', address: `127.0.0.1:${upstream.port}`, isHttp2: false }),
      ],
    },
  })
  const ask = async (port: number, headers: Readonly<Record<string, string>>) => {
    upstream.arrivals.length = 0
    const { status, body } = await http({ port, path: '/x', headers })
    return { status, body: status === 429 ? body : '', role: upstream.lastHeader('x-role') }
  }
  const users = [
    { 'x-user': 'ann', 'x-tenant': 'acme' },
    { 'x-user': 'bob', 'x-tenant': 'acme' },
    { 'x-user': 'ann', 'x-tenant': 'other' },
    { 'x-user': 'eve', 'x-tenant': 'acme', 'x-role': 'admin' },
  ]
  const answers = async (port: number) => {
    const all = []
    for (const headers of users) all.push(await ask(port, headers))
    return all
  }
  const before = await answers(theirPort)
  t.same(
    before.map(({ status }) => status),
    [200, 429, 429, 429],
    'the plugin itself',
  )
  t.same(await answers(ourPort), before)

  bundles.put('/base/authz.tar.gz', authz('second', 'a2'))
  const [, bob = {}] = users
  for (const port of [theirPort, ourPort])
    await eventually(`the update on ${port}`, async () => (await ask(port, bob)).status === 200)
  const after = await answers(theirPort)
  t.same(
    after.map(({ status }) => status),
    [429, 200, 429, 429],
    'the plugin itself',
  )
  t.same(await answers(ourPort), after)

  const offered = bundles.requests.length
  bundles.put('/base/bundles/people', bundleOf(people('roles: {ann: admin, bob: guest, eve: guest}')))
  const asked = (agentName: RegExp) =>
    bundles.requests
      .slice(offered)
      .filter(({ url, headers }) => url?.endsWith('/people') && agentName.test(headers['user-agent'] ?? ''))
  await eventually('both were offered what nobody signed, and asked again', () =>
    [/^sluice/, /^Open Policy Agent/].every((name) => asked(name).length >= 3),
  )
  t.same(await answers(theirPort), after, 'the plugin keeps what was signed')
  t.same(await answers(ourPort), after)

  t.match(agent.logs(), /people: .signatures.json: no such member; expected a signature/)
  t.match(agent.logs(), /OPA's REST API is not served/)
  t.match(agent.logs(), /"revision":"a1,p1,"/)
  t.ok(bundles.requests.every(({ headers }) => headers['x-from'] === 'e2e'))
})

t.test(
  'an agent that is open to others says so, and one without anything to decide by does not start',
  async (t) => {
    using folder = temporaryFolder()
    const [port, probes] = (await freePorts(2)) as [number, number]
    const rego = join(folder.path, 'policy.rego')
    writeFileSync(rego, 'package envoy.authz\n\nallow := true\n')
    const args = [
      '--set',
      `plugins.envoy_ext_authz_grpc.addr=:${port}`,
      '--diagnostic-addr',
      `127.0.0.1:${probes}`,
    ]
    const path = [dirname(await goTool('opa')), process.env['PATH']].join(delimiter)
    await using agent = await startProcess({
      name: 'the agent',
      program: process.execPath,
      args: [main, 'agent', ...args, rego],
      env: { PATH: path },
      isReady: async () => (await http({ port: probes, path: '/readyz' })).status === 200,
    })
    t.match(agent.logs(), new RegExp(`listening on :${port}, where others than Envoy`))
    const start = (more: readonly string[], env: Readonly<Record<string, string>>) =>
      startProcess({
        name: 'the agent',
        program: process.execPath,
        args: [main, 'agent', ...more],
        env,
        isReady: async () => (await http({ port: probes + 1, path: '/readyz' })).status === 503,
      })
    await t.rejects(start(args, {}), { message: /neither bundles nor paths/ })
    await t.rejects(start([], {}), { message: /no configuration; expected --config/ })
    await t.rejects(start(['--config', 'x', rego], {}), { message: /both --config and options of OPA's/ })
  },
)

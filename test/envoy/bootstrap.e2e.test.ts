import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { startEnvoy } from '../harness/envoy.ts'
import { http, keepAliveAgent } from '../harness/http.ts'
import { freePorts } from '../harness/ports.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'
import { agentConfig, changed, parts } from './audit/good.ts'

const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
const ca = createDevCa({ trustDomain: 'example.org' })
ca.write(join(folder.path, 'tls'), ca.issue({ spiffeId: 'spiffe://example.org/envoy' }))
writeFileSync(join(folder.path, 'ca.pem'), ca.bundlePem)
const identity = ca.issue({ spiffeId: 'spiffe://example.org/app' })

/** The generated main listener without the filters that ask the agent, in front of a server that answers when it is told to. */
async function startWorld(change: (config: JsonObject) => JsonObject) {
  const waiting: ServerResponse[] = []
  const hosts: (string | undefined)[] = []
  const upstream = createServer((request, response) => {
    hosts.push(request.headers.host)
    waiting.push(response)
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  const [main] = (await freePorts(1)) as [number]
  const generated = envoyConfig(
    agentConfig(folder.path, {
      main: `127.0.0.1:${main}`,
      admission: undefined,
      upstream: { http: `127.0.0.1:${(upstream.address() as AddressInfo).port}`, grpc: '127.0.0.1:1' },
    }),
  )
  const open = changed(generated, `${parts.manager}.http_filters`, (old) => (old as JsonObject[]).slice(-1))
  const envoy = await startEnvoy(change(open))
  const agent = keepAliveAgent(1)
  return {
    envoy,
    waiting,
    hosts,
    agent,
    get: (headers: Readonly<Record<string, string>> = {}) =>
      http({ port: main, path: '/v2/health/ready', headers, tls: { ca: ca.bundlePem, identity, agent } }),
    [Symbol.asyncDispose]: async () => {
      agent.destroy()
      await envoy[Symbol.asyncDispose]()
      upstream.closeAllConnections()
      await new Promise((resolve) => upstream.close(resolve))
    },
  }
}

t.test('a connection whose time is over ends after an answer, and not in one', async (t) => {
  await using world = await startWorld((config) => {
    const short = changed(
      config,
      `${parts.manager}.common_http_protocol_options.max_connection_duration`,
      '0.5s',
    )
    return changed(short, `${parts.manager}.drain_timeout`, '0.2s')
  })
  const { envoy, waiting, agent } = world
  const answer = world.get()
  await eventually('the request is with the server', () => waiting.length === 1)
  const [socket] = Object.values(agent.sockets).flatMap((sockets) => sockets ?? [])
  const closed = once(socket as NonNullable<typeof socket>, 'close')
  await eventually('the time of the connection is over', async () => {
    const stats = await envoy.stats()
    return stats.get('http.main.downstream_cx_max_duration_reached') === 1
  })
  waiting[0]?.end('late')
  t.match(await answer, { status: 200, body: 'late' })
  const last = world.get()
  const response = await eventually('the next request is with the server', () => waiting[1])
  response.end('last')
  t.match(await last, { status: 200, body: 'last', headers: { connection: 'close' } }, 'one more is answered')
  await closed
  t.pass('and then it is closed')
})

t.test('a host has one spelling, whatever the client wrote', async (t) => {
  await using world = await startWorld((config) => config)
  for (const host of [
    'models.example.org',
    'models.example.org.',
    'models.example.org:8443',
    'models.example.org.:443',
  ]) {
    const answer = world.get({ host })
    const response = await eventually('the request is with the server', () => world.waiting.shift())
    response.end()
    t.match(await answer, { status: 200 })
    t.equal(world.hosts.at(-1), 'models.example.org', host)
  }
})

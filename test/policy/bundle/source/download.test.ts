import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import type { DownloadSource } from '#policy/bundle/source/download.ts'
import { createServiceClient, openPolicy, type Policy } from '#policy/policy.ts'
import type { ServiceConfig } from '#policy/service/service.ts'
import { buildBundle } from '../../../harness/opa.ts'
import { eventually, temporaryFolder } from '../../../harness/temp.ts'
import { validExchange } from '../../exchange.ts'

const decision = 'envoy/authz/allow'
const bundleOf = (revision: string) =>
  buildBundle({ files: { 'p.rego': 'package envoy.authz\n\nallow := true\n' }, revision })
const first = await bundleOf('one')
const second = await bundleOf('two')

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A bundle server that answers each request with the next of its answers, and with the last one from then on. */
async function startServer(...answers: Answer[]) {
  const requests: IncomingMessage[] = []
  const server: Server = createServer((request, response) => {
    const answer = answers[Math.min(requests.length, answers.length - 1)]
    requests.push(request)
    answer?.(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    requests,
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const bundle =
  (bytes: Buffer, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(200, { 'content-type': 'application/gzip', ...headers }).end(bytes)
const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(code, headers).end('no bundle')

interface Load {
  readonly revision?: string
  readonly problem?: string
}

type Change = Partial<DownloadSource> & { readonly service?: Partial<ServiceConfig> }

async function open(url: string, { service, ...change }: Change = {}) {
  const loads: Load[] = []
  const source: DownloadSource = {
    kind: 'download',
    name: 'authz',
    client: createServiceClient('server', { url, ...service }),
    resource: 'bundles/authz',
    minDelayMs: 1,
    maxDelayMs: 2,
    sizeLimitBytes: 1 << 22,
    ...change,
  }
  const policy = await openPolicy({
    source: { bundles: [source] },
    decision,
    onLoad: (load) => loads.push(load),
  })
  return { policy, loads, [Symbol.asyncDispose]: () => policy[Symbol.asyncDispose]() }
}
const inForce = (policy: Policy, revision: string) =>
  eventually('the state that was waited for', () => policy.status().revision === revision)

t.test('a bundle takes effect, is asked for by its entity tag, and a new one replaces it', async (t) => {
  await using server = await startServer(
    bundle(first, { etag: '"1"' }),
    status(304),
    status(304),
    bundle(second, { etag: '"2"' }),
    status(304),
  )
  await using opened = await open(server.url)
  t.notOk(opened.policy.isReady(), 'nothing is in force before the server has answered')
  await inForce(opened.policy, 'two')
  await eventually('the state that was waited for', () => server.requests.length >= 6)
  t.same(
    server.requests.slice(0, 6).map((request) => request.headers['if-none-match']),
    [undefined, '"1"', '"1"', '"1"', '"2"', '"2"'],
  )
  t.equal(server.requests[0]?.headers['prefer'], 'modes=snapshot,delta')
  t.same(opened.loads, [{ revision: 'one' }, { revision: 'two' }])
})

const faults: [name: string, answer: Answer, says: RegExp][] = [
  ['an error', status(500), /the server answered 500/],
  ['an unknown bundle', status(404), /the server answered 404/],
  ['no content', status(204), /the server answered 204/],
  ['a page', bundle(Buffer.from('<html>')), /expected a gzip archive/],
  ['nothing', bundle(Buffer.alloc(0)), /expected a gzip archive/],
  ['half a bundle', bundle(first.subarray(0, first.length >> 1)), /expected a gzip archive/],
  [
    'less than it promised',
    (_, response) => {
      response.writeHead(200, { 'content-length': String(first.length) })
      response.write(first.subarray(0, 100), () => response.destroy())
    },
    /aborted|cut off|hang up/,
  ],
  ['nothing at all', (_, response) => void response.destroy(), /hang up|ECONNRESET/],
  ['too much', bundle(Buffer.alloc(1 << 23)), /more than 4194304 bytes/],
  [
    'too much in little',
    bundle(gzipSync(Buffer.alloc(1 << 23)), { 'content-encoding': 'gzip' }),
    /larger than/,
  ],
  ['a redirect to a file', status(302, { location: 'file:///etc/passwd' }), /redirects to file:/],
  [
    'another decision',
    bundle(await buildBundle({ files: { 'q.rego': 'package q\n\nx := 1\n' }, entrypoint: 'q/x' })),
    /a module for envoy/,
  ],
]

for (const [name, answer, says] of faults) {
  t.test(
    `${name} instead of a bundle is told, the last good one stays, and the next good one takes effect`,
    async (t) => {
      await using server = await startServer(
        bundle(first, { etag: '"1"' }),
        answer,
        bundle(second, { etag: '"2"' }),
        status(304),
      )
      await using opened = await open(server.url)
      await inForce(opened.policy, 'two')
      const told = opened.loads.map(({ revision, problem }) => [revision, problem !== undefined])
      t.match(opened.loads.find(({ problem }) => problem !== undefined)?.problem, says)
      t.match(told, [
        ['one', false],
        ['one', true],
      ])
      t.same(opened.loads.at(-1), { revision: 'two' })
    },
  )
}

t.test('304 for a bundle that was never sent is a fault', async (t) => {
  await using server = await startServer(status(304), bundle(first), status(304))
  await using opened = await open(server.url)
  await inForce(opened.policy, 'one')
  t.match(opened.loads[0]?.problem, /304 for a bundle that was never sent/)
})

t.test('credentials are read anew for each request, and stay with the server they are for', async (t) => {
  await using elsewhere = await startServer(bundle(first), bundle(second))
  await using server = await startServer(status(302, { location: elsewhere.url }))
  using folder = temporaryFolder()
  const token_path = join(folder.path, 'token')
  writeFileSync(token_path, 'one\n')
  const service = { headers: { 'X-Key': 'secret' }, credentials: { bearer: { token_path } } }
  await using opened = await open(server.url, { service, minDelayMs: 100, maxDelayMs: 100 })
  await inForce(opened.policy, 'one')
  writeFileSync(token_path, 'two\n')
  await inForce(opened.policy, 'two')
  const sent = server.requests.map(({ headers }) => [headers.authorization, headers['x-key']])
  t.same(sent.slice(0, 2), [
    ['Bearer one', 'secret'],
    ['Bearer two', 'secret'],
  ])
  t.same(
    elsewhere.requests.flatMap(({ headers }) => [headers.authorization, headers['x-key']]).filter(Boolean),
    [],
  )
})

t.test('transport encoding is taken off', async (t) => {
  await using server = await startServer(bundle(gzipSync(first), { 'content-encoding': 'gzip' }), status(304))
  await using opened = await open(server.url)
  await inForce(opened.policy, 'one')
  t.ok(opened.policy.isReady())
})

t.test('a server that can hold a request is asked to, and asked again at once', async (t) => {
  const type = { 'content-type': 'application/vnd.openpolicyagent.bundles' }
  const waiting: ServerResponse[] = []
  await using server = await startServer(
    bundle(first, { ...type, etag: '"1"' }),
    (_, response) => void waiting.push(response),
    (_, response) => void waiting.push(response),
  )
  // With these delays a second request could only come because it is made at once.
  await using opened = await open(server.url, {
    longPollingSeconds: 7,
    minDelayMs: 3_600_000,
    maxDelayMs: 3_600_000,
  })
  await eventually('the state that was waited for', () => waiting.length === 1)
  t.equal(server.requests[0]?.headers['prefer'], 'modes=snapshot,delta')
  t.equal(server.requests[1]?.headers['prefer'], 'modes=snapshot,delta;wait=7')
  waiting[0]?.writeHead(200, { ...type, etag: '"2"' }).end(second)
  await inForce(opened.policy, 'two')
  await eventually('the state that was waited for', () => waiting.length === 2)
  t.equal(server.requests[2]?.headers['if-none-match'], '"2"')
})

t.test('the last good bundle is kept, and starts an agent whose server is gone', async (t) => {
  using folder = temporaryFolder()
  const persist = join(folder.path, 'state', 'bundle.tar.gz')
  {
    await using server = await startServer(
      bundle(first, { etag: '"1"' }),
      bundle(Buffer.from('junk')),
      status(500),
    )
    await using opened = await open(server.url, { persist })
    await eventually('the state that was waited for', () =>
      opened.loads.some(({ problem }) => /gzip archive/.test(problem ?? '')),
    )
    t.same(readFileSync(persist), first, 'what was refused is not kept')
  }
  const gone = 'http://127.0.0.1:9'
  await using restarted = await open(gone, { persist })
  t.equal(restarted.policy.status().revision, 'one')
  await eventually('the state that was waited for', () => restarted.loads.length > 1)
  t.ok(restarted.policy.isReady())
  writeFileSync(persist, 'torn')
  await using torn = await open(gone, { persist })
  t.notOk(torn.policy.isReady())
  t.match(torn.loads[0]?.problem, /expected a gzip archive/)
})

t.test('a bundle that is kept is verified again', async (t) => {
  using folder = temporaryFolder()
  const persist = join(folder.path, 'bundle.tar.gz')
  writeFileSync(persist, first)
  const keys = new Map([['k', { key: 's', algorithm: 'HS256' as const }]])
  await using opened = await open('http://127.0.0.1:9', {
    persist,
    verification: () => ({ keys, excludeFiles: [] }),
  })
  t.notOk(opened.policy.isReady())
  t.match(opened.loads[0]?.problem, /expected a signature: keys are configured/)
})

t.test('a server that sends us in a circle is given up after ten steps', async (t) => {
  await using server = await startServer(status(302, { location: '/bundles/authz' }))
  await using opened = await open(server.url)
  await eventually('a problem', () => opened.loads.length > 0)
  t.match(opened.loads[0]?.problem, /redirects more than 10 times/)
  t.notOk(opened.policy.isReady())
})

t.test('what no server confirms for too long is told, and refuses where that is asked for', async (t) => {
  let nowMs = 1_000_000
  await using server = await startServer(bundle(first, { etag: '"1"' }), status(304), status(500))
  const source = (resource: string): DownloadSource => ({
    kind: 'download',
    name: 'authz',
    client: createServiceClient('server', { url: server.url }),
    resource,
    minDelayMs: 1,
    maxDelayMs: 2,
  })
  await using policy = await openPolicy({
    source: { bundles: [source('bundles/authz')] },
    decision,
    clock: { nowMs: () => nowMs, monotonicUs: () => 0 },
    stale: { afterSeconds: 60, isRefused: true },
    onLoad: () => {},
  })
  await inForce(policy, 'one')
  await eventually('the first failure', () => policy.status().lastError !== undefined)
  const ask = () => policy.stage.request?.(validExchange())
  nowMs += 60_000
  t.equal(policy.staleForSeconds(), undefined)
  t.match(await ask(), { kind: 'allow' })
  nowMs += 1
  t.equal(policy.staleForSeconds(), 60.001)
  t.match(await ask(), { kind: 'error', reason: 'policy_stale', cause: /the server answered 500/ })
})

t.test('a problem is over when the server confirms what is in force', async (t) => {
  await using server = await startServer(bundle(first, { etag: '"1"' }), status(500), status(304))
  await using opened = await open(server.url)
  await eventually('all three', () => opened.loads.length >= 3)
  t.match(opened.loads.slice(0, 3), [
    { revision: 'one' },
    { revision: 'one', problem: /the server answered 500/ },
    { revision: 'one' },
  ])
  t.notOk('problem' in (opened.loads[2] as Load))
  t.same(
    server.requests.slice(0, 3).map(({ headers }) => headers['if-none-match']),
    [undefined, '"1"', '"1"'],
    'what is in force is not sent again for a failure between',
  )
  t.match(opened.policy.bundles(), [
    { name: 'authz', activeRevision: 'one', type: 'snapshot', sizeBytes: first.length },
  ])
})

t.test('what a server without entity tags sends again is not loaded again', async (t) => {
  await using server = await startServer(bundle(first), bundle(first), bundle(first), bundle(second))
  await using opened = await open(server.url)
  await inForce(opened.policy, 'two')
  await eventually('more of the same', () => server.requests.length >= 6)
  t.same(opened.loads, [{ revision: 'one' }, { revision: 'two' }])
})

t.test('what a signed URL has in its query is never told', async (t) => {
  const resource = 'bundles/authz?sig=secret'
  await using server = await startServer(
    status(500),
    status(302, { location: '?sig=secret' }),
    bundle(Buffer.from('junk')),
    (_, response) => void response.destroy(),
    bundle(first),
  )
  await using opened = await open(server.url, { resource })
  await inForce(opened.policy, 'one')
  t.equal(server.requests[0]?.url, `/${resource}`)
  t.ok(opened.loads.length >= 3)
  t.notMatch(JSON.stringify(opened.loads), /secret/)
})

import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, createServer as createSocketServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { SluiceError } from '#base/errors.ts'
import { parseDump, readConfigDump } from '#envoy/audit/audit.ts'
import { freePorts } from '../../harness/ports.ts'
import { temporaryFolder } from '../../harness/temp.ts'

async function serving(
  listener: RequestListener,
  path?: string,
): Promise<AsyncDisposable & { readonly address: string }> {
  const server: Server = createServer(listener)
  await new Promise<void>((resolve) =>
    path === undefined ? server.listen(0, '127.0.0.1', resolve) : server.listen(path, resolve),
  )
  return {
    address: path === undefined ? `127.0.0.1:${(server.address() as AddressInfo).port}` : `unix:${path}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

t.test('the dump is read over TCP and over a Unix socket, with endpoints', async (t) => {
  using folder = temporaryFolder()
  for (const path of [undefined, join(folder.path, 'admin.sock')]) {
    const asked: (string | undefined)[] = []
    await using server = await serving((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      response.end('{"configs":[]}')
    }, path)
    const text = await readConfigDump(server.address)
    t.same(parseDump(server.address, text), { configs: [] })
    t.same(asked, ['GET /config_dump?include_eds'])
  }
})

t.test('each fault is told with the address, what was found and what was expected', async (t) => {
  const [free] = (await freePorts(1)) as [number]
  const silent = createSocketServer()
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  await using refusing = await serving((_, response) => response.writeHead(404).end())
  await using cut = await serving((_, response) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('{', () => response.destroy())
  })
  await using large = await serving((_, response) => response.end('x'.repeat(1001)))
  await using endless = await serving((_, response) => void response.write('{'))
  const rows: [name: string, address: string, code: string, found: RegExp][] = [
    ['nobody listens', `127.0.0.1:${free}`, 'envoy_admin_unreachable', /ECONNREFUSED/],
    ['there is no socket', 'unix:/nowhere/admin.sock', 'envoy_admin_unreachable', /ENOENT/],
    [
      'somebody says nothing',
      `127.0.0.1:${(silent.address() as AddressInfo).port}`,
      'envoy_admin_unreachable',
      /no whole answer within 200 ms/,
    ],
    ['an answer does not end', endless.address, 'envoy_admin_unreachable', /no whole answer within 200 ms/],
    ['an answer breaks off', cut.address, 'envoy_admin_unreachable', /aborted|hang up|RESET/i],
    ['an answer is too large', large.address, 'envoy_admin_unreachable', /more than 1000 bytes/],
    ['another server', refusing.address, 'envoy_dump_unreadable', /status 404/],
  ]
  for (const [name, address, code, found] of rows) {
    // Only who is silent is waited for until the end.
    const deadlineMs = found.source.includes('200 ms') ? 200 : 60_000
    const thrown = await readConfigDump(address, { deadlineMs, maxBytes: 1000 }).then(
      () => undefined,
      (error: unknown) => error,
    )
    t.ok(thrown instanceof SluiceError, name)
    t.match(thrown, { code, found, place: address.replace(/^unix:/, ''), expected: /Envoy/ }, name)
  }
  t.throws(() => parseDump('127.0.0.1:1', Buffer.from('<html>')), {
    code: 'envoy_dump_unreadable',
    message: /127\.0\.0\.1:1 .*Unexpected token.*expected the configuration of an Envoy/,
  })
})

t.test('a call that is ended leaves nothing behind', async (t) => {
  await using server = await serving(() => {})
  const stop = new AbortController()
  const call = readConfigDump(server.address, { signal: stop.signal })
  stop.abort()
  await t.rejects(call, { code: 'envoy_admin_unreachable' })
})

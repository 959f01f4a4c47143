import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { createServiceClient, type ServiceConfig } from '#policy/service/service.ts'
import { createTls } from '#policy/service/tls.ts'
import { startBundleServer } from '../../harness/bundle-server.ts'
import { temporaryFolder } from '../../harness/temp.ts'

const { signal } = new AbortController()

interface Arrival {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

async function startServer(answer: RequestListener) {
  const arrivals: Arrival[] = []
  const server: Server = createServer((request, response) => {
    let body = ''
    request.on('data', (piece: Buffer) => {
      body += piece.toString()
    })
    request.on('end', () => {
      const { method, url, headers } = request
      arrivals.push({ method, url, headers, body })
      answer(request, response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    arrivals,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

t.test('a path is joined to the URL as OPA does it', async (t) => {
  const rows: [url: string, path: string, joined: string][] = [
    ['http://h', 'bundles/a', 'http://h/bundles/a'],
    ['http://h/', '/bundles/a/', 'http://h/bundles/a'],
    ['http://h/v1//', 'a', 'http://h/v1/a'],
    ['http://h/v1', 'a?b=c', 'http://h/v1/a?b=c'],
    ['http://h/v1', '', 'http://h/v1/'],
  ]
  for (const [url, path, joined] of rows)
    t.equal(createServiceClient('s', { url }).urlOf(path).href, joined, `${url} ${path}`)
})

t.test('a post carries its body, the headers of both, and a token read for each call', async (t) => {
  await using server = await startServer((_, response) => response.writeHead(202).end(gzipSync('ok')))
  using folder = temporaryFolder()
  const token_path = join(folder.path, 'token')
  writeFileSync(token_path, ' one \n')
  const client = createServiceClient('s', {
    url: server.url,
    headers: { 'X-Team': 'a', 'User-Agent': 'mine' },
    credentials: { bearer: { token_path, scheme: 'Basic' } },
  })
  const headers = { 'Content-Type': 'application/json', 'content-encoding': 'gzip' }
  const answer = await client.post({ path: 'logs', headers, body: '[1]', signal })
  t.equal(answer.status, 202)
  writeFileSync(token_path, 'two')
  await client.post({ path: 'logs', body: Buffer.from('[2]'), signal })
  t.match(server.arrivals, [
    {
      method: 'POST',
      url: '/logs',
      body: '[1]',
      headers: {
        'x-team': 'a',
        'user-agent': 'mine',
        'content-type': 'application/json',
        'content-encoding': 'gzip',
        'content-length': '3',
        authorization: 'Basic one',
      },
    },
    { body: '[2]', headers: { authorization: 'Basic two' } },
  ])
  writeFileSync(token_path, '')
  const gone = createServiceClient('s', {
    url: server.url,
    credentials: { bearer: { token_path: join(folder.path, 'none') } },
  })
  await t.rejects(gone.post({ path: 'logs', body: '', signal }), /ENOENT/)
})

t.test('a post is sent on only where the method stays, and without what is ours', async (t) => {
  await using elsewhere = await startServer((_, response) => response.end())
  await using server = await startServer(({ url }, response) => {
    const status = Number(url?.slice(1))
    response.writeHead(status, { location: `${elsewhere.url}/there` }).end()
  })
  const client = createServiceClient('s', {
    url: server.url,
    headers: { 'x-key': 'secret' },
    credentials: { bearer: { token: 'secret' } },
  })
  for (const [status, isFollowed] of [
    [301, false],
    [302, false],
    [303, false],
    [307, true],
    [308, true],
  ] as const) {
    elsewhere.arrivals.length = 0
    const answer = await client.post({ path: String(status), body: 'x', signal })
    t.equal(answer.status, isFollowed ? 200 : status)
    t.equal(elsewhere.arrivals.length, isFollowed ? 1 : 0, String(status))
    if (isFollowed) {
      t.match(elsewhere.arrivals[0], { method: 'POST', body: 'x' })
      t.notMatch(JSON.stringify(elsewhere.arrivals), /secret/)
    }
  }
})

t.test('a server that says nothing, stops, or goes on for ever is given up', async (t) => {
  await using server = await startServer(({ url }, response) => {
    if (url === '/cut')
      response.writeHead(200, { 'content-length': '10' }).write('x', () => response.destroy())
    if (url === '/much') response.end(Buffer.alloc(100))
    if (url === '/bomb')
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(100_000)))
    if (url === '/bad') response.writeHead(200, { 'content-encoding': 'gzip' }).end('no gzip')
    if (url === '/nowhere') response.writeHead(302, { location: 'http://[' }).end()
  })
  const client = createServiceClient('s', { url: server.url, response_header_timeout_seconds: 1 })
  const get = (path: string) => client.get({ path, maxBytes: 50, signal })
  await t.rejects(get('silence'), { message: /\/silence: no answer in time/ })
  await t.rejects(get('cut'), { message: /aborted|cut off|hang up/ })
  await t.rejects(get('much'), { message: /\/much: more than 50 bytes/ })
  await t.rejects(get('bomb'), { message: /larger than|more than 50/ })
  await t.rejects(get('bad'), { message: /incorrect header/ })
  await t.rejects(get('nowhere'), { message: /redirects to what is no URL/ })
  const stopping = new AbortController()
  const waiting = client.get({ path: 'silence', signal: stopping.signal })
  stopping.abort()
  await t.rejects(waiting, { message: /abort/ })
})

const ca = createDevCa({ trustDomain: 'test.example' })
const foreign = createDevCa({ trustDomain: 'other.example' })
const issue = (from: typeof ca, name: string) =>
  from.issue({ spiffeId: `spiffe://${from.trustDomain}/${name}`, dnsNames: ['localhost'] })

t.test('mutual TLS: the right certificates talk, every other pair does not', async (t) => {
  using folder = temporaryFolder()
  const file = (name: string, text: string) => {
    const path = join(folder.path, name)
    writeFileSync(path, text)
    return path
  }
  const server = issue(ca, 'server')
  const client = issue(ca, 'client')
  const stranger = issue(foreign, 'client')
  await using bundles = await startBundleServer({
    tls: {
      key: server.privateKeyPem,
      cert: server.certificatePem,
      ca: ca.bundlePem,
      requestCert: true,
      rejectUnauthorized: true,
    },
  })
  bundles.put('/b', Buffer.from('bundle'))
  const ca_cert = file('ca.pem', ca.bundlePem)
  const own = { cert: file('c.pem', client.certificatePem), private_key: file('k.pem', client.privateKeyPem) }
  const strange = {
    cert: file('sc.pem', stranger.certificatePem),
    private_key: file('sk.pem', stranger.privateKeyPem),
  }
  const get = (change: Partial<ServiceConfig>) =>
    createServiceClient('s', { url: bundles.url, ...change }).get({ path: 'b', signal })
  const good: Partial<ServiceConfig>[] = [
    { tls: { ca_cert }, credentials: { client_tls: own } },
    { credentials: { client_tls: { ...own, ca_cert } } },
    { tls: { ca_cert, system_ca_required: true }, credentials: { client_tls: own } },
    { allow_insecure_tls: true, credentials: { client_tls: own } },
  ]
  for (const change of good) t.equal(String((await get(change)).body), 'bundle', JSON.stringify(change))
  const bad: [change: Partial<ServiceConfig>, says: RegExp][] = [
    [{ credentials: { client_tls: own } }, /certificate/],
    [{ tls: { ca_cert: file('f.pem', foreign.bundlePem) }, credentials: { client_tls: own } }, /certificate/],
    [{ tls: { ca_cert } }, /alert|certificate required|hang up|ECONNRESET/],
    [{ tls: { ca_cert }, credentials: { client_tls: strange } }, /alert|unknown ca|hang up|ECONNRESET/],
    [
      { tls: { ca_cert }, credentials: { client_tls: { ...own, private_key: strange.private_key } } },
      /key values mismatch/,
    ],
    [
      { tls: { ca_cert }, credentials: { client_tls: { ...own, cert: join(folder.path, 'none') } } },
      /ENOENT/,
    ],
    [{ tls: { ca_cert: join(folder.path, 'none') } }, /ENOENT/],
  ]
  for (const [change, says] of bad) await t.rejects(get(change), { message: says }, JSON.stringify(change))
})

t.test('a key may have a passphrase, and is read again when its time has come', async (t) => {
  using folder = temporaryFolder()
  const path = (name: string) => join(folder.path, name)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const sealed = privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'open',
  })
  writeFileSync(path('k'), sealed)
  writeFileSync(path('c'), 'first')
  let now = 0
  const client_tls = { cert: path('c'), private_key: path('k'), private_key_passphrase: 'open' }
  const settings = (cert_reread_interval_seconds?: number) =>
    createTls(
      { url: 'https://h', credentials: { client_tls: { ...client_tls, cert_reread_interval_seconds } } },
      () => now,
    )
  const always = settings()
  const seldom = settings(60)
  t.match(always(), { cert: 'first', passphrase: 'open', rejectUnauthorized: true, minVersion: 'TLSv1.2' })
  t.match(seldom(), { cert: 'first' })
  writeFileSync(path('c'), 'second')
  now = 59_999
  t.match(always(), { cert: 'second' })
  t.match(seldom(), { cert: 'first' })
  now = 60_000
  t.match(seldom(), { cert: 'second' })
})

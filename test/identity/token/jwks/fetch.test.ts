import type { LookupAddress, lookup as systemLookup } from 'node:dns'
import t from 'tap'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { createFetch, type FetchOptions } from '#identity/token/jwks/fetch.ts'
import { startKeyServer } from '../../../harness/key-server.ts'

const ca = createDevCa({ trustDomain: 'test.example' })
const foreign = createDevCa({ trustDomain: 'other.example' })
const certificate = ca.issue({ spiffeId: 'spiffe://test.example/keys', dnsNames: ['keys.example'] })
const tls = { key: certificate.privateKeyPem, cert: certificate.certificatePem }
const { signal } = new AbortController()

/** Says where every name is, each time something else where there are several. */
function resolver(...answers: (readonly string[])[]) {
  const names: string[] = []
  const lookup = (name: string, _: object, callback: (error: null, found: LookupAddress[]) => void) => {
    const addresses = answers[Math.min(names.length, answers.length - 1)] ?? []
    names.push(name)
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }
  return { names, lookup: lookup as unknown as typeof systemLookup }
}

const fetchFrom = (host: string, more: Partial<FetchOptions> = {}) =>
  createFetch({
    allowedHosts: new Set([host]),
    allowPrivateAddresses: true,
    ca: () => ca.bundlePem,
    lookup: resolver(['127.0.0.1']).lookup,
    timeoutMs: 10_000,
    ...more,
  })

t.test('a document comes over TLS, with how long it is fresh', async (t) => {
  await using server = await startKeyServer({ tls })
  const host = `keys.example:${server.port}`
  const url = `https://${host}/keys`
  const rows: [cacheControl: string, maxAgeSeconds: number | undefined][] = [
    ['max-age=60', 60],
    ['public, MAX-AGE=3600, must-revalidate', 3600],
    ['no-store', undefined],
    ['max-age=-1', undefined],
    ['s-maxage=5', undefined],
    ['max-age=99999999999', undefined],
  ]
  for (const [cacheControl, maxAgeSeconds] of rows) {
    server.on('/keys', (_, response) =>
      response.setHeader('cache-control', cacheControl).end('{"keys":["é"]}'),
    )
    t.same(await fetchFrom(host)(url, signal), { text: '{"keys":["é"]}', maxAgeSeconds }, cacheControl)
  }
})

t.test('what is wrong with an answer is said, with its address and without its query', async (t) => {
  await using server = await startKeyServer({ tls })
  const host = `keys.example:${server.port}`
  const at = (path: string) => `https://${host}${path}?secret=1`
  const answers: Parameters<typeof server.on>[] = [
    ['/redirect?secret=1', (_, response) => response.writeHead(302, { location: at('/elsewhere') }).end()],
    ['/error?secret=1', (_, response) => response.writeHead(500).end('{"keys":[]}')],
    ['/empty?secret=1', (_, response) => response.writeHead(204).end()],
    ['/packed?secret=1', (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x')],
    ['/huge?secret=1', (_, response) => response.end(Buffer.alloc((1 << 20) + 1, 0x20))],
    [
      '/endless?secret=1',
      (_, response) => {
        const more = () => {
          while (response.write(Buffer.alloc(1 << 16, 0x20)));
        }
        response.on('drain', more)
        more()
      },
    ],
    [
      '/cut?secret=1',
      (_, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('{"keys":', () => response.destroy())
      },
    ],
    ['/latin?secret=1', (_, response) => response.end(Buffer.from('7b22e9227d', 'hex'))],
    ['/reset?secret=1', (request) => request.socket.destroy()],
  ]
  for (const [path, answer] of answers) server.on(path, answer)
  const rows: [path: string, why: RegExp][] = [
    ['/redirect', /answered 302/],
    ['/error', /answered 500/],
    ['/empty', /answered 204/],
    ['/missing', /answered 404/],
    ['/packed', /encoding that was not asked for/],
    ['/huge', /more than 1048576 bytes/],
    ['/endless', /more than 1048576 bytes/],
    ['/cut', /aborted|cut off/],
    ['/latin', /not UTF-8/],
    ['/reset', /hang up|ECONNRESET/],
  ]
  for (const [path, why] of rows) {
    const failure: unknown = await fetchFrom(host)(at(path), signal).catch((thrown: unknown) => thrown)
    t.match(failure, { message: why }, path)
    t.match(failure, { message: new RegExp(`^https://keys\\.example:\\d+${path}: `) }, path)
    t.notMatch(failure, { message: /secret/ }, path)
  }
  t.notOk(server.asked.includes('/elsewhere?secret=1'), 'nobody went where the redirect led')
})

t.test('a server that does not answer, or trickles, is given up', async (t) => {
  await using server = await startKeyServer({ tls })
  const host = `keys.example:${server.port}`
  server.on('/silent', () => undefined)
  server.on('/trickle', (_, response) => void response.write('{'))
  for (const path of ['/silent', '/trickle']) {
    const fetch = fetchFrom(host, { timeoutMs: 50 })
    await t.rejects(
      fetch(`https://${host}${path}`, signal),
      { message: /no whole answer within 50 ms/ },
      path,
    )
  }
  const stopping = new AbortController()
  const stopped = fetchFrom(host)(`https://${host}/silent`, stopping.signal)
  stopping.abort()
  await t.rejects(stopped, { message: /abort/ })
})

t.test('keys come from nobody but a host that is allowed, over TLS, with a certificate', async (t) => {
  await using server = await startKeyServer({ tls })
  await using plain = await startKeyServer()
  for (const each of [server, plain]) each.on('/', (_, response) => response.end('{}'))
  const host = `keys.example:${server.port}`
  const rows: [name: string, url: string, more: Partial<FetchOptions>, why: RegExp][] = [
    [
      'another host',
      `https://${host}/`,
      { allowedHosts: new Set(['idp.example']) },
      /not one of the allowed hosts/,
    ],
    ['another port', `https://keys.example/`, {}, /not one of the allowed hosts/],
    ['a host that only ends so', `https://evil${host}/`, {}, /not one of the allowed hosts/],
    ['a user', `https://user:secret@${host}/`, {}, /a user in the URL/],
    ['plain HTTP', `http://${host}/`, {}, /not https/],
    ['a file', 'file:///etc/passwd', { allowedHosts: new Set(['']) }, /not https/],
    ['no URL', 'keys', {}, /not a URL/],
    ['a foreign CA', `https://${host}/`, { ca: () => foreign.bundlePem }, /certificate/],
    ['the public CAs', `https://${host}/`, { ca: undefined }, /certificate/],
    [
      'a certificate of another name',
      `https://other.example:${server.port}/`,
      { allowedHosts: new Set([`other.example:${server.port}`]) },
      /altnames|does not match/,
    ],
  ]
  for (const [name, url, more, why] of rows)
    await t.rejects(fetchFrom(host, more)(url, signal), { message: why }, name)
  t.same(server.asked, [], 'nobody was asked')
  const local = `127.0.0.1:${plain.port}`
  t.match(await fetchFrom(local)(`http://${local}/`, signal), { text: '{}' }, 'in the pod it may be plain')
})

t.test(
  'no answer of a name server leads to an address that is not public, unless that is configured',
  async (t) => {
    await using server = await startKeyServer({ tls })
    server.on('/', (_, response) => response.end('{}'))
    const host = `keys.example:${server.port}`
    const url = `https://${host}/`
    const fetchAt = (isPrivateAllowed: boolean, ...answers: (readonly string[])[]) => {
      const names = resolver(...answers)
      const fetch = fetchFrom(host, { allowPrivateAddresses: isPrivateAllowed, lookup: names.lookup })
      return { names: names.names, fetched: fetch(url, signal) }
    }
    const refused: [name: string, isPrivateAllowed: boolean, addresses: readonly string[], why: RegExp][] = [
      ['loopback', false, ['127.0.0.1'], /127\.0\.0\.1 is private/],
      ['loopback of IPv6', false, ['::1'], /::1 is private/],
      ['loopback in disguise', false, ['::ffff:127.0.0.1'], /is private/],
      ['a private one', false, ['10.1.2.3'], /is private/],
      ['a private one beside a public one', false, ['1.1.1.1', '10.1.2.3'], /is private/],
      ['the credentials of a cloud', false, ['169.254.169.254'], /is forbidden/],
      ['the same where private ones are allowed', true, ['169.254.169.254'], /is forbidden/],
      ['the same in disguise', true, ['::ffff:a9fe:a9fe'], /is forbidden/],
      ['the same beside a good one', true, ['127.0.0.1', '169.254.169.254'], /is forbidden/],
      ['nothing', true, [], /no address/],
    ]
    for (const [name, isPrivateAllowed, addresses, why] of refused)
      await t.rejects(fetchAt(isPrivateAllowed, addresses).fetched, { message: why }, name)
    t.same(server.asked, [])
    const rebinding = fetchAt(true, ['127.0.0.1'], ['169.254.169.254'])
    t.match(await rebinding.fetched, { text: '{}' })
    t.same(
      rebinding.names,
      ['keys.example'],
      'the name is resolved once: what was looked at is what is connected to',
    )
  },
)

t.test('an address in the URL itself is looked at likewise', async (t) => {
  const rows: [url: string, isPrivateAllowed: boolean, why: RegExp][] = [
    ['https://127.0.0.1/', false, /is private/],
    ['https://[::1]/', false, /is private/],
    ['https://2130706433/', false, /127\.0\.0\.1 is private/],
    ['https://0x7f.1/', false, /127\.0\.0\.1 is private/],
    ['https://169.254.169.254/', true, /is forbidden/],
    ['https://[::ffff:169.254.169.254]/', true, /is forbidden/],
    ['http://10.0.0.1/', true, /not https/],
    ['http://127.0.0.1/', false, /is private/],
  ]
  for (const [url, allowPrivateAddresses, why] of rows) {
    const fetch = fetchFrom(new URL(url).host, { allowPrivateAddresses })
    await t.rejects(fetch(url, signal), { message: why }, url)
  }
})

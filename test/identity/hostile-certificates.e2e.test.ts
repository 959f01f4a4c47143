import { readFileSync, writeFileSync } from 'node:fs'
import { type ClientHttp2Session, connect } from 'node:http2'
import { join } from 'node:path'
import t from 'tap'
import { createDevCa, type IssueRequest, openDevCa } from '#identity/dev-ca/dev-ca.ts'
import { http, type Identity } from '../harness/http.ts'
import { askedPath, startIdentityWorld } from '../harness/identity-world.ts'
import { hasOpenssl } from '../harness/openssl.ts'
import { run } from '../harness/run.ts'
import { eventually, temporaryFolder } from '../harness/temp.ts'

const trustDomain = 'example.org'
const spiffeId = `spiffe://${trustDomain}/ns/acme/sa/app`
const folder = temporaryFolder()
t.teardown(() => folder[Symbol.dispose]())
const ca = openDevCa(folder.path, { trustDomain })
const leaving = createDevCa({ trustDomain })
const [serverAuth, clientAuth, codeSigning] = ['1', '2', '3'].map((last) => `1.3.6.1.5.5.7.3.${last}`) as [
  string,
  string,
  string,
]

const world = await startIdentityWorld({
  identity: {
    trustDomains: [trustDomain],
    source: {
      ...{ type: 'files', certificate: 'server.pem', privateKey: 'server.key' },
      trustBundles: { [trustDomain]: 'ca.pem' },
    },
  },
  prepare: (path) => {
    ca.write(join(path, 'server'), ca.issue({ spiffeId: `spiffe://${trustDomain}/server` }))
    writeFileSync(join(path, 'ca.pem'), ca.bundlePem + leaving.bundlePem)
  },
})
t.teardown(() => world[Symbol.asyncDispose]())

/** What a new connection with this certificate comes to: `served`, a reason of ours, or `no connection`. */
async function ask(identity: Identity): Promise<string> {
  const call = { port: world.port, path: askedPath, tls: { ca: ca.bundlePem, identity } }
  // Refused handshakes end in different ways.
  const answer = await http(call).catch(() => undefined)
  if (answer === undefined) return 'no connection'
  return answer.status === 200 ? 'served' : `${answer.status} ${world.lastReason()}`
}

const good = ca.issue({ spiffeId })
const wrong = (how: NonNullable<IssueRequest['wrong']>) => ca.issue({ spiffeId, wrong: how })
const uris = (...all: readonly string[]) => wrong({ uris: all })
const invalid = '401 peer_certificate_invalid'
const refused = 'no connection'

t.test('who shows a hostile certificate is served by nobody', async (t) => {
  t.equal(await ask(good), 'served')
  const rows: readonly (readonly [name: string, identity: Identity, outcome: string])[] = [
    ['two URI SANs of one trust domain', uris(spiffeId, 'spiffe://example.org/admin'), invalid],
    ['a URI SAN of another trust domain behind ours', uris(spiffeId, 'spiffe://other.org/admin'), invalid],
    ['a URI SAN of no SPIFFE behind ours', uris(spiffeId, 'https://example.org'), invalid],
    ['a bare trust domain', uris('spiffe://example.org'), refused],
    ['the root path', uris('spiffe://example.org/'), invalid],
    ['a NUL in the ID', uris('spiffe://example.org/a\0b'), invalid],
    ['separators of x-forwarded-client-cert', uris('spiffe://example.org/a,By=b;URI=c'), invalid],
    ['an ID of 2,049 bytes', uris(`spiffe://example.org/${'a'.repeat(2028)}`), invalid],
    ['an ID of 2,048 bytes', uris(`spiffe://example.org/${'a'.repeat(2027)}`), 'served'],
    ['a SPIFFE ID as DNS name only', wrong({ uris: [], otherNames: [{ tag: 2, text: spiffeId }] }), refused],
    ['a SPIFFE ID as email only', wrong({ uris: [], otherNames: [{ tag: 1, text: spiffeId }] }), refused],
    ['a SPIFFE ID as subject only', wrong({ uris: [], subject: spiffeId }), refused],
    ['for servers alone', wrong({ extendedKeyUsage: [serverAuth] }), invalid],
    ['for clients alone', wrong({ extendedKeyUsage: [clientAuth] }), invalid],
    ['for signing code', wrong({ extendedKeyUsage: [codeSigning] }), invalid],
    ['a CA', wrong({ isCa: true }), refused],
    ['a leaf that may sign', wrong({ keyUsage: ['digitalSignature', 'keyCertSign'] }), refused],
    ['an unknown critical extension', wrong({ extensions: [critical] }), refused],
    ['one that has expired', wrong({ notBeforeMs: Date.now() - 7_200_000 }), refused],
    ['one that is not valid yet', wrong({ notBeforeMs: Date.now() + 600_000 }), refused],
    ['a CA of the same name', createDevCa({ trustDomain }).issue({ spiffeId }), refused],
  ]
  for (const [name, identity, outcome] of rows) t.equal(await ask(identity), outcome, name)
  t.equal(await ask(good), 'served', 'and who is good still is')
})

const critical = { id: '1.2.3.4', isCritical: true, value: Buffer.from([5, 0]) }

/** A certificate by OpenSSL, signed by our CA. */
async function byOpenssl(name: string, extensions: readonly string[]): Promise<Identity> {
  const at = (extension: string) => join(folder.path, `openssl-${name}.${extension}`)
  writeFileSync(at('cnf'), ['[leaf]', ...extensions, ''].join('\n'))
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('key')]
  await run('openssl', ['req', '-new', ...key, '-subj', '/O=x', '-out', at('csr')])
  const signer = [
    '-CA',
    join(folder.path, 'ca.pem'),
    '-CAkey',
    join(folder.path, 'ca.key'),
    '-CAcreateserial',
  ]
  const leaf = ['-days', '1', '-extfile', at('cnf'), '-extensions', 'leaf', '-out', at('pem')]
  await run('openssl', ['x509', '-req', '-in', at('csr'), ...signer, ...leaf])
  return { certificatePem: readFileSync(at('pem'), 'utf8'), privateKeyPem: readFileSync(at('key'), 'utf8') }
}

t.test('certificates of OpenSSL are judged alike', async (t) => {
  if (!hasOpenssl) return t.pass('there is no openssl')
  const usage = ['keyUsage=critical,digitalSignature', 'extendedKeyUsage=serverAuth,clientAuth']
  const name = `subjectAltName=URI:${spiffeId}`
  const rows: readonly (readonly [name: string, extensions: readonly string[], outcome: string])[] = [
    ['good', [...usage, name], 'served'],
    ['two-uris', [...usage, `${name},URI:spiffe://example.org/b`], invalid],
    ['dns-only', [...usage, `subjectAltName=DNS:${spiffeId}`], refused],
    ['usage-not-critical', ['keyUsage=digitalSignature', name], invalid],
    ['no-usage', [name], refused],
    ['ca', [...usage, name, 'basicConstraints=critical,CA:TRUE'], refused],
    ['code', ['keyUsage=critical,digitalSignature', 'extendedKeyUsage=codeSigning', name], invalid],
    ['unknown-critical', [...usage, name, '1.2.3.4=critical,ASN1:NULL'], refused],
    ['unknown', [...usage, name, '1.2.3.4=ASN1:NULL'], 'served'],
  ]
  for (const [each, extensions, outcome] of rows)
    t.equal(await ask(await byOpenssl(each, extensions)), outcome, each)
})

function openSession(identity: Identity): ClientHttp2Session {
  const session = connect(`https://127.0.0.1:${world.port}`, {
    ca: ca.bundlePem,
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    checkServerIdentity: () => undefined,
  })
  session.on('error', () => {})
  return session
}

function askOver(session: ClientHttp2Session): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': askedPath })
    stream.on('response', (headers) => resolve(headers[':status'] ?? 0))
    stream.on('error', reject)
    stream.on('close', () => reject(new Error('the stream ended')))
    stream.resume()
  })
}

t.test('a certificate that ends while its connection is open ends its caller', async (t) => {
  const session = openSession(ca.issue({ spiffeId, ttlSeconds: 10 }))
  t.teardown(() => session.destroy())
  t.equal(await askOver(session), 200)
  await eventually('it is refused', async () => (await askOver(session)) === 401)
  t.equal(world.lastReason(), 'peer_certificate_expired')
  t.equal(session.closed, false, 'on the same connection')
})

t.test('a CA that is taken away ends its callers on connections that are open, and new ones', async (t) => {
  const identity = leaving.issue({ spiffeId })
  const session = openSession(identity)
  t.teardown(() => session.destroy())
  t.equal(await askOver(session), 200)
  writeFileSync(join(world.folder, 'ca.pem'), ca.bundlePem)
  await eventually('it is refused', async () => (await askOver(session)) === 401)
  t.equal(world.lastReason(), 'peer_certificate_untrusted')
  t.equal(session.closed, false, 'on the same connection')
  await eventually('Envoy refuses it too', async () => (await ask(identity)) === refused)
  t.equal(await ask(good), 'served')
})

t.test('a crowd of new certificates, good and bad, holds up nobody who is known', async (t) => {
  const known = openSession(good)
  t.teardown(() => known.destroy())
  t.equal(await askOver(known), 200)
  const crowd = Array.from({ length: 40 }, (_, i) => [
    ca.issue({ spiffeId: `spiffe://example.org/crowd/${i}` }),
    uris(`spiffe://example.org/crowd/${i}`, spiffeId),
  ]).flat()
  const outcomes = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const seen: number[] = []
      for (let each = crowd.pop(); each !== undefined; each = crowd.pop()) {
        const session = openSession(each)
        seen.push(await askOver(session), await askOver(known))
        session.destroy()
      }
      return seen
    }),
  )
  const count = (status: number) => outcomes.flat().filter((each) => each === status).length
  t.equal(count(200), 40 + 80, 'the good ones, and who is known each time')
  t.equal(count(401), 40, 'and no bad one')
})

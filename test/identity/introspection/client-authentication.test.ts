import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parsePublicJwk } from '#crypto/jose/jwk.ts'
import { parseCompactJws, verifyJws } from '#crypto/jose/jws.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { clientProof } from '#identity/introspection/client-authentication.ts'
import { createIntrospection } from '#identity/introspection/introspection.ts'
import { startAuthorizationServer } from '../../harness/authorization-server.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { anAnswer, issuer, opened, someRules } from './kit.ts'

t.test('a secret is sent as the server wants it, and read anew each time', async (t) => {
  using folder = temporaryFolder()
  const secretFile = join(folder.path, 'secret')
  writeFileSync(secretFile, 'p:a ss%ä\n')
  const auth = { clientId: 'cli:ent', secretFile } as const
  const basic = clientProof({ method: 'client_secret_basic', ...auth }, issuer, 0)
  // RFC 6749, 2.3.1: both encoded as in a form, then joined.
  t.same(basic, {
    headers: { authorization: `Basic ${Buffer.from('cli%3Aent:p%3Aa+ss%25%C3%A4').toString('base64')}` },
    form: {},
  })
  const post = () => clientProof({ method: 'client_secret_post', ...auth }, issuer, 0)
  t.same(post(), { headers: {}, form: { client_id: 'cli:ent', client_secret: 'p:a ss%ä' } })
  writeFileSync(secretFile, 'another')
  t.match(post(), { form: { client_secret: 'another' } })
  writeFileSync(secretFile, '\n')
  t.throws(post, /empty/)
})

t.test('an assertion is signed by our key, for the issuer, for a minute', async (t) => {
  using folder = temporaryFolder()
  const keyFile = join(folder.path, 'key.pem')
  const pairs = {
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    EdDSA: generateKeyPairSync('ed25519'),
  }
  for (const [algorithm, { privateKey, publicKey }] of Object.entries(pairs)) {
    writeFileSync(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }))
    const auth = { method: 'private_key_jwt', clientId: 'sluice', keyFile, algorithm, keyId: 'k1' } as const
    const { headers, form } = clientProof(auth, issuer, 1_700_000_000_999)
    t.same(headers, {})
    t.match(form, {
      client_id: 'sluice',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    })
    const parsed = parseCompactJws(form['client_assertion'] ?? '')
    const key = parsePublicJwk(publicKey.export({ format: 'jwk' }))
    if (!parsed.ok || !key.ok) throw new Error('no assertion')
    t.ok(verifyJws(parsed.jws, key.key, algorithm), algorithm)
    t.equal(parsed.jws.kid, 'k1')
    const claims = { iss: 'sluice', sub: 'sluice', aud: issuer, iat: 1_700_000_000, exp: 1_700_000_060 }
    t.match(parsed.jws.claims, { ...claims, jti: String })
    const again = clientProof({ ...auth, audience: 'https://idp.example/token' }, issuer, 0).form
    const other = parseCompactJws(again['client_assertion'] ?? '')
    t.match(other, { jws: { claims: { aud: 'https://idp.example/token' } } })
    t.notSame(other.ok && other.jws.claims['jti'], parsed.jws.claims['jti'])
  }
  // The key in the file is the last one, of Ed25519.
  for (const algorithm of ['ES256', 'RS256', 'HS256', 'none'])
    t.throws(
      () => clientProof({ method: 'private_key_jwt', clientId: 'a', keyFile, algorithm }, issuer, 0),
      algorithm,
    )
})

t.test('a file of ours that is missing fails the call, and asks nobody', async (t) => {
  await using asked = await opened({
    config: { authentication: { method: 'client_secret_post', clientId: 'a', secretFile: '/nowhere' } },
  })
  t.match(await asked.introspect('a'), { ok: false, reason: 'introspection_failed', why: /ENOENT/ })
  t.equal(asked.server.calls.length, 0)
})

t.test('over TLS we show our certificate, and take the server only from who may vouch for it', async (t) => {
  using folder = temporaryFolder()
  const [ca, stranger] = [
    createDevCa({ trustDomain: 'example.org' }),
    createDevCa({ trustDomain: 'example.org' }),
  ]
  const server = ca.issue({ spiffeId: 'spiffe://example.org/idp', dnsNames: ['localhost'] })
  const client = ca.issue({ spiffeId: 'spiffe://example.org/sluice' })
  const files = {
    ca: join(folder.path, 'ca.pem'),
    stranger: join(folder.path, 'stranger.pem'),
    certFile: join(folder.path, 'client.pem'),
    keyFile: join(folder.path, 'client.key'),
  }
  writeFileSync(files.ca, ca.bundlePem)
  writeFileSync(files.stranger, stranger.bundlePem)
  writeFileSync(files.certFile, client.certificatePem)
  writeFileSync(files.keyFile, client.privateKeyPem)
  await using idp = await startAuthorizationServer({
    tls: { cert: server.certificatePem, key: server.privateKeyPem, ca: ca.bundlePem, requestCert: true },
    script: anAnswer({ exp: Math.floor(Date.now() / 1000) + 300, iat: undefined }),
  })
  const ask = (more: { readonly ca?: string; readonly endpoint?: string }) =>
    createIntrospection(someRules(), {
      endpoint: idp.endpoint,
      authentication: { method: 'tls_client_auth', clientId: 'sluice' },
      certificate: { certFile: files.certFile, keyFile: files.keyFile },
      timeoutMs: 30_000,
      cacheSeconds: 30,
      negativeCacheSeconds: 5,
      maxConcurrent: 4,
      ...more,
    }).introspect('a', 'peer')
  t.match(await ask({ ca: files.ca }), { ok: true })
  const [call] = idp.calls
  t.equal(call?.certificate, new X509Certificate(client.certificatePem).fingerprint256)
  t.equal(call?.form.get('client_id'), 'sluice')
  for (const wrong of [
    { ca: files.stranger },
    {},
    { ca: files.ca, endpoint: idp.endpoint.replace('localhost', '127.0.0.1') },
  ])
    t.match(await ask(wrong), { ok: false, reason: 'introspection_failed', why: /certificate|altnames/i })
  t.equal(idp.calls.length, 1, 'a token is not sent to who is not known')
})

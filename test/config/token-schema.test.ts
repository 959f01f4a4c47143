import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig, missingFiles } from '#config/config.ts'
import { temporaryFolder } from '../harness/temp.ts'

/** A whole configuration with what is to be looked at; YAML in one line. */
const configWith = (text: string) =>
  `listen: {agent: "unix:/run/a.sock"}\nidentity: {trustDomains: [example.org]}\n${text}\n`
const issuers = 'issuers: [{issuer: "https://i", audience: a, jwks: {file: keys.json}}]'
const issuerWith = (introspection: string, more = '') =>
  configWith(
    `issuers: [{issuer: "https://idp.example", audience: models${more}, introspection: ${introspection}}]`,
  )
const secret = '{method: client_secret_basic, clientId: sluice, secretFile: secret}'
const endpoint = '"https://idp.example/introspect"'

function load(text: string) {
  using folder = temporaryFolder()
  const path = join(folder.path, 'sluice.yaml')
  writeFileSync(path, text)
  return { config: loadConfig(path), folder: folder.path }
}

t.test('what is not said is the stricter of two', async (t) => {
  const { config } = load(
    configWith(
      `tokens: {dpop: {externalUrl: "https://models.example", nonce: {secretFile: nonces}}}\n${issuers}`,
    ),
  )
  t.match(config.tokens, {
    required: true,
    dpop: { required: false, iatWindowSeconds: 60, nonce: { rotationSeconds: 300 } },
    replay: 'memory',
    certificateBinding: { graceSeconds: 0 },
  })
  const { config: other } = load(issuerWith(`{endpoint: ${endpoint}, auth: ${secret}}`))
  t.match(other.issuers?.[0]?.introspection, {
    tokens: 'opaque',
    timeoutMs: 100,
    cacheSeconds: 30,
    negativeCacheSeconds: 5,
    maxConcurrent: 32,
    signed: false,
  })
})

t.test('files are read from the folder of the configuration, and named where they are missing', async (t) => {
  const { config, folder } = load(
    configWith(
      'tokens: {dpop: {externalUrl: "https://a.example/", nonce: {secretFile: nonces}}, replay: {url: "rediss://r", ca: redis.pem}}\n' +
        `issuers: [{issuer: "https://i", audience: a, introspection: {endpoint: ${endpoint}, ca: as.pem, certificate: {certFile: c.pem, keyFile: k.pem}, auth: {method: private_key_jwt, clientId: s, keyFile: key.pem}}}]`,
    ),
  )
  const files = missingFiles(config).map(({ place }) => place)
  t.same(files, [
    `tokens.dpop.nonce.secretFile: ${folder}/nonces`,
    `tokens.replay.ca: ${folder}/redis.pem`,
    `issuers.0.introspection.auth.keyFile: ${folder}/key.pem`,
    `issuers.0.introspection.ca: ${folder}/as.pem`,
    `issuers.0.introspection.certificate.certFile: ${folder}/c.pem`,
    `issuers.0.introspection.certificate.keyFile: ${folder}/k.pem`,
  ])
  const { config: posted, folder: other } = load(issuerWith(`{endpoint: ${endpoint}, auth: ${secret}}`))
  t.match(missingFiles(posted), [{ place: `issuers.0.introspection.auth.secretFile: ${other}/secret` }])
  mkdirSync(other)
  writeFileSync(join(other, 'secret'), 's')
  t.same(missingFiles(posted), [])
})

t.test('what could not work is refused when it is read', async (t) => {
  const dpop = (more: string) => configWith(`tokens: {dpop: {externalUrl: "https://a.example"${more}}}`)
  const url = (text: string) => configWith(`tokens: {dpop: {externalUrl: "${text}"}}`)
  const rows: [what: string, text: string, message: RegExp][] = [
    ['a query', url('https://a.example/?b'), /externalUrl/],
    ['a user', url('https://u@a.example'), /externalUrl/],
    ['no scheme', url('a.example'), /externalUrl/],
    ['no URL at all', configWith('tokens: {dpop: {externalUrl: []}}'), /externalUrl/],
    ['a symmetric algorithm', dpop(', algorithms: [HS256]'), /algorithms/],
    ['no algorithm', dpop(', algorithms: []'), /algorithms/],
    ['a window of hours', dpop(', iatWindowSeconds: 7200'), /iatWindowSeconds: 7200; expected at most 600/],
    ['a realm that ends its quotes', configWith(`tokens: {realm: 'a"b'}`), /realm/],
    [
      'metadata over plain HTTP',
      configWith('tokens: {resourceMetadata: "http://a.example/"}'),
      /resourceMetadata/,
    ],
    ['a store for nothing', configWith('tokens: {replay: "redis://r"}'), /replay.*dpop beside it/],
    [
      'a store of another kind',
      configWith('tokens: {dpop: {externalUrl: "https://a.example"}, replay: "http://r"}'),
      /replay/,
    ],
    [
      'introspection over plain HTTP',
      issuerWith(`{endpoint: "http://idp.example/i", auth: ${secret}}`),
      /endpoint/,
    ],
    ['nobody asks', issuerWith(`{endpoint: ${endpoint}}`), /auth/],
    ['an unknown method', issuerWith(`{endpoint: ${endpoint}, auth: {method: none, clientId: a}}`), /auth/],
    [
      'a certificate that is not there',
      issuerWith(`{endpoint: ${endpoint}, auth: {method: tls_client_auth, clientId: a}}`),
      /certificate/,
    ],
    [
      'a certificate without TLS',
      issuerWith(
        `{endpoint: "http://127.0.0.1:1/i", certificate: {certFile: a, keyFile: b}, auth: ${secret}}`,
      ),
      /endpoint/,
    ],
    [
      'remembered for too long',
      issuerWith(`{endpoint: ${endpoint}, cacheSeconds: 60, auth: ${secret}}`),
      /cacheSeconds: 60; expected at most 30/,
    ],
    [
      'signed answers without keys',
      issuerWith(`{endpoint: ${endpoint}, signed: true, auth: ${secret}}`),
      /jwks.*signed/,
    ],
    [
      'JWT-SVIDs',
      configWith(
        `issuers: [{issuer: "spiffe://a", audience: a, profile: jwt-svid, introspection: {endpoint: ${endpoint}, auth: ${secret}}}]`,
      ),
      /introspection.*bundle/,
    ],
    [
      'two issuers to ask',
      configWith(
        `issuers: [${['a', 'b'].map((name) => `{issuer: ${name}, audience: a, introspection: {endpoint: ${endpoint}, auth: ${secret}}}`).join()}]`,
      ),
      /issuers\.1\.introspection.*another issuer/,
    ],
  ]
  for (const [what, text, message] of rows) t.throws(() => load(text), { message }, what)
})

t.test('no mistake prints the password of a store', async (t) => {
  const password = 's3cr3t-7f3a'
  const dpop = 'dpop: {externalUrl: "https://a.example"}'
  for (const replay of [
    `"redis://u:${password}@h?x"`,
    `"http://u:${password}@h"`,
    `{url: "redis://:${password}@h#x"}`,
    `{uri: "redis://:${password}@h"}`,
    `["redis://:${password}@h"]`,
  ]) {
    try {
      load(configWith(`tokens: {${dpop}, replay: ${replay}}`))
      t.fail(`taken: ${replay}`)
    } catch (thrown) {
      t.notMatch(String(thrown), password, replay)
    }
  }
})

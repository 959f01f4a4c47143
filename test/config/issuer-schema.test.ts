import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfig, missingFiles } from '#config/config.ts'

function load(t: Test, issuers: readonly object[]) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-issuers-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'sluice.yaml')
  const identity = { trustDomains: ['example.org'], source: { type: 'spire' } }
  writeFileSync(path, JSON.stringify({ identity, issuers, listen: { agent: 'unix:/run/sluice/agent.sock' } }))
  return { folder, config: () => loadConfig(path) }
}

const valid = { issuer: 'https://idp.example', audience: 'models', jwks: { url: 'https://idp.example/keys' } }
const svid = { issuer: 'spiffe://example.org', audience: 'models', profile: 'jwt-svid' }

t.test('an issuer needs a name, an audience and keys; the rest has defaults that are safe', async (t) => {
  const { folder, config } = load(t, [
    valid,
    { ...valid, issuer: 'a', jwks: { file: 'keys.json' }, ca: 'ca.pem', persist: 'state/keys.json' },
    svid,
  ])
  const loaded = config()
  t.match(loaded.issuers?.[0], {
    profile: 'jwt',
    algorithms: [
      'RS256',
      'RS384',
      'RS512',
      'PS256',
      'PS384',
      'PS512',
      'ES256',
      'ES384',
      'ES512',
      'EdDSA',
      'Ed25519',
    ],
    userClaim: 'sub',
    maxLifetimeSeconds: 86_400,
    clockSkewSeconds: 30,
    requireBinding: false,
    refreshSeconds: 300,
    cooldownSeconds: 30,
    staleSeconds: 3600,
    allowedHosts: [],
    allowPrivateAddresses: false,
  })
  t.match(loaded.issuers?.[1], {
    jwks: { file: join(folder, 'keys.json') },
    ca: join(folder, 'ca.pem'),
    persist: join(folder, 'state/keys.json'),
  })
  t.match(
    missingFiles(loaded).map(({ place }) => place),
    [/^issuers\.1\.jwks\.file: /, /^issuers\.1\.ca: /],
    'the file that keys are kept in need not be there',
  )
})

t.test('an issuer that could not work, or not safely, is refused with its place', async (t) => {
  const { audience: _, ...withoutAudience } = valid
  const { jwks: __, ...withoutKeys } = valid
  const rows: [name: string, issuers: readonly object[], message: RegExp][] = [
    ['none', [], /issuers: \[\]; expected at least 1/],
    ['no audience', [withoutAudience], /issuers\.0\.audience: nothing/],
    ['no audiences', [{ ...valid, audience: [] }], /issuers\.0\.audience/],
    ['an empty audience', [{ ...valid, audience: '' }], /issuers\.0\.audience/],
    ['no keys', [withoutKeys], /issuers\.0\.jwks: nothing; expected file, url or discovery/],
    ['two places for keys', [{ ...valid, jwks: { file: 'a', url: 'https://a' } }], /issuers\.0\.jwks/],
    [
      'an unknown key',
      [{ ...valid, audiences: 'a' }],
      /issuers\.0\.audiences: a key that is not known; expected audience/,
    ],
    ['plain HTTP', [{ ...valid, jwks: { url: 'http://idp.example/keys' } }], /expected an https URL/],
    ['plain HTTP to a name', [{ ...valid, jwks: { url: 'http://localhost/keys' } }], /expected an https URL/],
    [
      'a user in the URL',
      [{ ...valid, jwks: { url: 'https://a:b@idp.example/keys' } }],
      /expected an https URL/,
    ],
    ['no URL', [{ ...valid, jwks: { url: 'keys' } }], /expected an https URL/],
    [
      'discovery without a URL',
      [{ ...valid, issuer: 'idp', jwks: { discovery: 'oidc' } }],
      /issuers\.0\.issuer: "idp"; expected an https URL/,
    ],
    [
      'discovery with a query',
      [{ ...valid, issuer: 'https://a/?b', jwks: { discovery: 'oauth' } }],
      /issuers\.0\.issuer/,
    ],
    [
      'a symmetric algorithm',
      [{ ...valid, algorithms: ['HS256'] }],
      /issuers\.0\.algorithms\.0: "HS256"; expected "RS256" or/,
    ],
    ['no signature', [{ ...valid, algorithms: ['none'] }], /issuers\.0\.algorithms\.0: "none"/],
    ['no algorithm', [{ ...valid, algorithms: [] }], /issuers\.0\.algorithms/],
    [
      'much skew',
      [{ ...valid, clockSkewSeconds: 61 }],
      /issuers\.0\.clockSkewSeconds: 61; expected at most 60/,
    ],
    [
      'a long cooldown',
      [{ ...valid, cooldownSeconds: 301 }],
      /issuers\.0\.cooldownSeconds: 301; expected at most refreshSeconds/,
    ],
    ['a host with a path', [{ ...valid, allowedHosts: ['a/b'] }], /issuers\.0\.allowedHosts\.0/],
    ['one issuer twice', [valid, valid], /issuers\.1\.issuer: .* expected another issuer/],
    [
      'a trust domain without its scheme',
      [{ ...svid, issuer: 'example.org' }],
      /expected a trust domain such as/,
    ],
    [
      'a workload as trust domain',
      [{ ...svid, issuer: 'spiffe://example.org/a' }],
      /expected a trust domain such as/,
    ],
    [
      'keys of a trust domain from elsewhere',
      [{ ...svid, jwks: valid.jwks }],
      /issuers\.0\.jwks: .*expected none/,
    ],
    ['EdDSA for JWT-SVIDs', [{ ...svid, algorithms: ['EdDSA'] }], /issuers\.0\.algorithms/],
  ]
  for (const [name, issuers, message] of rows) t.throws(load(t, issuers).config, { message }, name)
  for (const url of ['http://127.0.0.1:8080/keys', 'http://[::1]/keys'])
    t.doesNotThrow(load(t, [{ ...valid, jwks: { url } }]).config, url)
})

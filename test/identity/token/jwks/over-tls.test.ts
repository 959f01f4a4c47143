import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { createTokenVerifier } from '#identity/token/token.ts'
import { manualClock } from '../../../decision/an-exchange.ts'
import { startKeyServer } from '../../../harness/key-server.ts'
import { eventually, temporaryFolder } from '../../../harness/temp.ts'
import { createSigner, setOf, someIssuer, someone, someToken } from '../kit.ts'

const ca = createDevCa({ trustDomain: 'test.example' })
const { privateKeyPem: key, certificatePem: cert } = ca.issue({
  spiffeId: 'spiffe://test.example/idp',
  dnsNames: ['localhost'],
})

t.test('a verifier finds an issuer on the network, and the keys that it changes to', async (t) => {
  using folder = temporaryFolder()
  const caFile = join(folder.path, 'ca.pem')
  writeFileSync(caFile, ca.bundlePem)
  await using server = await startKeyServer({ tls: { key, cert } })
  const issuer = `https://localhost:${server.port}`
  const young = createSigner('ed25519', 'key-2')
  let set = setOf(someone)
  server.on('/.well-known/openid-configuration', (_, response) =>
    response.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` })),
  )
  server.on('/keys', (_, response) => response.end(set))
  const config = { issuer, jwks: { discovery: 'oidc' }, ca: caFile, allowPrivateAddresses: true }
  const clock = manualClock()
  await using verifier = createTokenVerifier({ issuers: [someIssuer(config)], clock })
  t.match(verifier.problem(), /waiting for https:\/\/localhost/)
  await eventually('the keys are there', () => verifier.problem() === undefined)
  t.match(verifier.verify(someToken({ iss: issuer }), ''), { ok: true, token: { issuer } })
  set = setOf(young)
  const next = someToken({ iss: issuer }, { kid: 'key-2' })
  t.match(verifier.verify(next, ''), { reason: 'token_key_unknown' })
  await eventually(
    'the new key is there',
    () => server.asked.length === 4 && verifier.status().issuers[0]?.keys === 1,
  )
  await eventually('the old one is gone', () => {
    const verdict = verifier.verify(someToken({ iss: issuer, jti: 'other' }), '')
    return !verdict.ok && verdict.reason === 'token_key_unknown'
  })
  t.equal(server.asked.length, 4)
})

t.test('an issuer at a private address is not asked unless that is configured', async (t) => {
  await using server = await startKeyServer({ tls: { key, cert } })
  const issuer = `https://localhost:${server.port}`
  await using verifier = createTokenVerifier({
    issuers: [someIssuer({ issuer, jwks: { discovery: 'oidc' } })],
  })
  await eventually('it is refused', () => /is private/.test(verifier.warning() ?? ''))
  t.match(verifier.problem(), /is private \(allowPrivateAddresses\)/)
  t.same(server.asked, [])
})

import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import { createDevCa, type IssueRequest, openDevCa } from '#identity/dev-ca/dev-ca.ts'
import { createIdentityStage } from '#identity/identity.ts'
import { parseLeafPem } from '#identity/x509/leaf.ts'
import { acme, manualClock, someRequest, someResources } from '../decision/an-exchange.ts'
import fc from '../fast-check.ts'

const clock = manualClock()
const ca = createDevCa({ trustDomain: 'example.org', clock })
const spiffeId = 'spiffe://example.org/ns/acme/sa/app'
const pemOf = (wrong: NonNullable<IssueRequest['wrong']> = {}) => ca.issue({ spiffeId, wrong }).certificatePem

function identify(
  request: Parameters<typeof someRequest>[0],
  tenants = [acme],
): { verdict: Verdict; x: Exchange } {
  const stage = createIdentityStage({ trustDomains: ['example.org'], clock })
  const x: Exchange = {
    id: 'x',
    request: someRequest(request),
    resources: someResources({ tenants }),
    startedUs: 0,
  }
  return { verdict: stage.request?.(x) as Verdict, x }
}
const withPem = (pem: string, isChainValid = true) => ({ certificate: { pem, isChainValid } })

t.test(
  'a leaf that breaks a rule of the X509-SVID standard is refused, though Envoy lets it in',
  async (t) => {
    const rows: [name: string, pem: string, why: RegExp][] = [
      ['two URI SANs', pemOf({ uris: [spiffeId, 'spiffe://example.org/admin'] }), /2 URI SANs/],
      ['no URI SAN', pemOf({ uris: [] }), /0 URI SANs/],
      ['a bare trust domain', pemOf({ uris: ['spiffe://example.org'] }), /has no path/],
      ['a trailing slash', pemOf({ uris: ['spiffe://example.org/'] }), /empty segment/],
      ['a dot segment', pemOf({ uris: ['spiffe://example.org/a/../b'] }), /dot segment/],
      ['a query', pemOf({ uris: ['spiffe://example.org/a?b'] }), /character outside/],
      ['percent-encoding', pemOf({ uris: ['spiffe://example.org/%61'] }), /character outside/],
      [
        'separators of XFCC',
        pemOf({ uris: ['spiffe://example.org/a;URI=spiffe://example.org/admin'] }),
        /character outside/,
      ],
      ['a NUL', pemOf({ uris: ['spiffe://example.org/a\0b'] }), /character outside/],
      ['over 2,048 bytes', pemOf({ uris: [`spiffe://example.org/${'a'.repeat(2048)}`] }), /longer than 2048/],
      ['upper case', pemOf({ uris: ['spiffe://EXAMPLE.org/a'] }), /trust domain/],
      ['another scheme', pemOf({ uris: ['https://example.org/a'] }), /does not start/],
      ['a CA', pemOf({ isCa: true }), /a CA certificate/],
      ['no key usage', pemOf({ keyUsage: [] }), /no key usage/],
      ['key usage not critical', pemOf({ isKeyUsageCritical: false }), /not critical/],
      ['no digitalSignature', pemOf({ keyUsage: ['keyEncipherment'] }), /lacks digitalSignature/],
      ['keyCertSign', pemOf({ keyUsage: ['digitalSignature', 'keyCertSign'] }), /keyCertSign/],
      ['cRLSign', pemOf({ keyUsage: ['digitalSignature', 'cRLSign'] }), /cRLSign/],
      ['no clientAuth', pemOf({ extendedKeyUsage: ['1.3.6.1.5.5.7.3.1'] }), /lacks serverAuth or clientAuth/],
      ['no serverAuth', pemOf({ extendedKeyUsage: ['1.3.6.1.5.5.7.3.2'] }), /lacks serverAuth or clientAuth/],
      ['the CA itself', ca.bundlePem, /a CA certificate/],
      ['two PEM blocks', pemOf() + pemOf(), /not exactly one PEM block/],
      ['no PEM', 'hello', /not exactly one PEM block/],
      [
        'rubbish in PEM',
        '-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n',
        /not a certificate/,
      ],
      ['too large', '-----BEGIN CERTIFICATE-----\n'.padEnd(40_000, 'A'), /too large/],
    ]
    for (const [name, pem, why] of rows) {
      const { verdict, x } = identify(withPem(pem))
      t.match(verdict, { kind: 'deny', reason: 'peer_certificate_invalid', detail: why }, name)
      t.equal(x.peer, undefined, `${name}: proves nobody`)
    }
  },
)

t.test('a valid leaf proves the workload, and its tenant', async (t) => {
  for (const keyUsage of [
    ['digitalSignature'],
    ['digitalSignature', 'keyEncipherment', 'keyAgreement'],
  ] as const) {
    const pem = pemOf({ keyUsage })
    const { verdict, x } = identify(withPem(pem))
    t.equal(verdict.kind, 'allow')
    t.match(x.peer, { spiffeId, trustDomain: 'example.org', path: ['ns', 'acme', 'sa', 'app'] })
    t.equal(
      x.peer?.certificateSha256,
      new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase(),
    )
    t.equal(x.tenant?.name, 'acme')
  }
  t.equal(
    identify(withPem(pemOf({ extendedKeyUsage: [] }))).verdict.kind,
    'allow',
    'extended key usage may be absent',
  )
})

t.test('who is not proven is refused, each for its own reason', async (t) => {
  const good = pemOf()
  const foreign = createDevCa({ trustDomain: 'other.org', clock }).issue({
    spiffeId: 'spiffe://other.org/a',
  }).certificatePem
  const stranger = ca.issue({ spiffeId: 'spiffe://example.org/ns/acme2/sa/x' }).certificatePem
  const twice = { ...acme, name: 'second' }
  const rows: [name: string, outcome: { verdict: Verdict }, reason: string][] = [
    ['no certificate', identify({}), 'peer_certificate_missing'],
    ['chain not valid', identify(withPem(good, false)), 'peer_certificate_untrusted'],
    ['ext_proc that does not say', identify({ certificate: { pem: good } }), 'peer_certificate_untrusted'],
    ['foreign trust domain', identify(withPem(foreign)), 'peer_trust_domain_foreign'],
    ['no tenant', identify(withPem(stranger)), 'tenant_unknown'],
    ['a set without any tenant', identify(withPem(good), []), 'tenant_unknown'],
    ['two tenants', identify(withPem(good), [acme, twice]), 'tenant_ambiguous'],
  ]
  for (const [name, { verdict }, reason] of rows) t.match(verdict, { kind: 'deny', reason }, name)
  t.equal(
    identify({ api: 'ext_authz', certificate: { pem: good } }).verdict.kind,
    'allow',
    'ext_authz has no such bit',
  )
})

t.test('the validity is looked at on every request, also of a known certificate', async (t) => {
  const own = manualClock()
  const stage = createIdentityStage({ trustDomains: ['example.org'], clock: own })
  const pem = createDevCa({ trustDomain: 'example.org', clock: own }).issue({
    spiffeId,
    ttlSeconds: 60,
  }).certificatePem
  const ask = () => {
    const x: Exchange = {
      id: 'x',
      request: someRequest(withPem(pem)),
      resources: someResources(),
      startedUs: 0,
    }
    return stage.request?.(x) as Verdict
  }
  t.equal(ask().kind, 'allow')
  own.advanceMs(61_000)
  t.match(ask(), { kind: 'deny', reason: 'peer_certificate_expired' })
  own.advanceMs(-300_000)
  t.match(ask(), { kind: 'deny', reason: 'peer_certificate_expired' }, 'nor before it begins')
})

t.test('no bytes make the leaf parser throw', async (t) => {
  const der = new X509Certificate(pemOf()).raw
  const pem = (bytes: Buffer) =>
    `-----BEGIN CERTIFICATE-----\n${bytes.toString('base64')}\n-----END CERTIFICATE-----\n`
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.nat(255), (at, value) => {
      const changed = Buffer.from(der)
      changed[at] = value
      parseLeafPem(pem(changed))
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('the development CA signs what its bundle verifies, and survives a restart', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-ca-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const first = openDevCa(folder, { trustDomain: 'example.org' })
  const second = openDevCa(folder, { trustDomain: 'example.org' })
  t.equal(second.bundlePem, first.bundlePem)
  const issued = second.issue({ spiffeId })
  const leaf = new X509Certificate(issued.certificatePem)
  const root = new X509Certificate(first.bundlePem)
  t.ok(leaf.verify(root.publicKey))
  t.ok(leaf.checkIssued(root))
  second.write(join(folder, 'app'), issued)
  t.equal(statSync(join(folder, 'app.key')).mode & 0o777, 0o600)
  t.throws(() => createIdentityStage({ trustDomains: ['spiffe://x'] }), /expected a trust domain name/)
})

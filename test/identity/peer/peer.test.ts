import { createPrivateKey } from 'node:crypto'
import t from 'tap'
import type { TrustBundle } from '#identity/bundle/trust-bundle.ts'
import { createDevCa, type DevCa, type IssueRequest } from '#identity/dev-ca/dev-ca.ts'
import { createPeerVerifier, type PeerVerifierOptions } from '#identity/peer/peer.ts'
import type { IdentityState } from '#identity/source/source.ts'
import { parseX509Svid, type X509Svid } from '#identity/x509/svid.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import { blocksOf, certificatesOf, dersOf } from '../x509/kit.ts'

const clock = manualClock()
const spiffeId = 'spiffe://example.org/ns/acme/sa/app'
const trustDomains = ['example.org', 'other.test']
const caOf = (more: Partial<Parameters<typeof createDevCa>[0]> = {}) =>
  createDevCa({ trustDomain: 'example.org', clock, ...more })
const leafOf = (ca: DevCa, request: Partial<IssueRequest> = {}) =>
  blocksOf(ca.issue({ spiffeId, ...request }).certificatePem)[0] ?? ''

let generations = 0
function stateOf(
  authorities: Readonly<Record<string, readonly DevCa[]>>,
  svids: readonly X509Svid[] = [],
): IdentityState {
  const bundles = Object.entries(authorities).map(([trustDomain, cas]): [string, TrustBundle] => [
    trustDomain,
    {
      trustDomain,
      x509Authorities: certificatesOf(...cas.map(({ bundlePem }) => bundlePem)),
      jwtAuthorities: [],
    },
  ])
  return { generation: ++generations, svids, bundles: new Map(bundles) }
}

/** An identity of our own, signed by an intermediate. */
function ownSvid(ca: DevCa): X509Svid {
  const { certificatePem, privateKeyPem } = ca.issue({ spiffeId: 'spiffe://example.org/ns/models/sa/server' })
  const parsed = parseX509Svid({
    chain: dersOf(certificatePem),
    privateKey: createPrivateKey(privateKeyPem),
    authorities: () => certificatesOf(ca.bundlePem),
    nowMs: clock.nowMs(),
  })
  if (!parsed.ok) throw new Error(parsed.why)
  return parsed.svid
}

function verifier(options: Partial<PeerVerifierOptions> = {}) {
  const peers = createPeerVerifier({ trustDomains, clock, ...options })
  const verify = (
    pem: string,
    isChainValid: boolean | undefined = true,
    api: 'ext_proc' | 'ext_authz' = 'ext_proc',
  ) => peers.verify({ pem, ...(isChainValid !== undefined && { isChainValid }) }, api)
  return { verify, askAuthz: (pem: string) => peers.verify({ pem }, 'ext_authz') }
}

t.test('a caller is who its chain to the bundle of its own trust domain proves', async (t) => {
  const [ca, other] = [caOf(), caOf({ trustDomain: 'other.test' })]
  const state = stateOf({ 'example.org': [ca], 'other.test': [other] })
  const { verify, askAuthz } = verifier({ state: () => state })
  t.match(verify(leafOf(ca)), { ok: true, peer: { spiffeId, trustDomain: 'example.org' } })
  t.match(verify(leafOf(other, { spiffeId: 'spiffe://other.test/a' })), { ok: true })
  t.match(askAuthz(leafOf(ca)), { ok: true }, 'ext_authz does not say what Envoy found')
  const untrusted = { ok: false, reason: 'peer_certificate_untrusted' }
  t.match(verify(leafOf(ca), false), untrusted, "Envoy's no is a no")
  t.match(
    createPeerVerifier({ trustDomains, clock, state: () => state }).verify({ pem: leafOf(ca) }, 'ext_proc'),
    untrusted,
  )
  t.match(verify(leafOf(other)), untrusted, 'another domain’s CA speaks for its own only')
  t.match(verify(leafOf(ca, { spiffeId: 'spiffe://other.test/a' })), untrusted)
  t.match(verify(leafOf(caOf())), untrusted, 'a stranger')
})

t.test('what is wrong with a leaf has its own reason, whatever its chain', async (t) => {
  const ca = caOf()
  const state = stateOf({ 'example.org': [ca] })
  const { verify } = verifier({ state: () => state })
  const rows: [name: string, pem: string, reason: string][] = [
    ['no certificate', 'hello', 'peer_certificate_invalid'],
    ['two SPIFFE IDs', leafOf(ca, { wrong: { uris: [spiffeId, spiffeId] } }), 'peer_certificate_invalid'],
    [
      'expired',
      leafOf(ca, { wrong: { notBeforeMs: clock.nowMs() - 7_200_000 } }),
      'peer_certificate_expired',
    ],
    [
      'not valid yet',
      leafOf(ca, { wrong: { notBeforeMs: clock.nowMs() + 60_000 } }),
      'peer_certificate_expired',
    ],
    [
      'a foreign trust domain',
      leafOf(ca, { spiffeId: 'spiffe://foreign.test/a' }),
      'peer_trust_domain_foreign',
    ],
    ['no bundle', leafOf(ca, { spiffeId: 'spiffe://other.test/a' }), 'peer_bundle_missing'],
  ]
  for (const [name, pem, reason] of rows) t.match(verify(pem), { ok: false, reason }, name)
})

t.test('a change of the bundles reaches the next request of a known caller', async (t) => {
  const [ca, later] = [caOf(), caOf()]
  let state: IdentityState | undefined
  const { verify } = verifier({ state: () => state })
  const pem = leafOf(ca)
  const missing = { ok: false, reason: 'peer_bundle_missing' }
  t.match(verify(pem), missing, 'nothing is known yet')
  state = stateOf({ 'example.org': [ca] })
  t.match(verify(pem), { ok: true })
  state = stateOf({ 'example.org': [later] })
  t.match(verify(pem), { ok: false, reason: 'peer_certificate_untrusted' }, 'its root was taken out')
  state = stateOf({ 'example.org': [] })
  t.match(verify(pem), missing, 'all keys were revoked')
  state = stateOf({})
  t.match(verify(pem), missing, 'the bundle is gone')
  state = stateOf({ 'example.org': [later, ca] })
  t.match(verify(pem), { ok: true }, 'trusted again')
  state = undefined
  t.match(verify(pem), missing)
})

t.test('the validity of a caller and of its CAs is looked at on every request', async (t) => {
  const own = manualClock()
  const ca = createDevCa({ trustDomain: 'example.org', clock: own, ttlSeconds: 600 })
  const state = stateOf({ 'example.org': [ca] })
  const { verify } = verifier({ state: () => state, clock: own })
  const [short, long] = [leafOf(ca, { ttlSeconds: 60 }), leafOf(ca, { ttlSeconds: 3600 })]
  t.match([verify(short), verify(long)], [{ ok: true }, { ok: true }])
  own.advanceMs(61_000)
  t.match([verify(short), verify(long)], [{ ok: false, reason: 'peer_certificate_expired' }, { ok: true }])
  own.advanceMs(600_000)
  t.match(verify(long), { ok: false, reason: 'peer_certificate_untrusted', detail: /a CA is not valid/ })
})

t.test('a CA that becomes valid is found out within seconds', async (t) => {
  const own = manualClock()
  const ca = createDevCa({
    trustDomain: 'example.org',
    clock: own,
    wrong: { notBeforeMs: own.nowMs() + 5000 },
  })
  const state = stateOf({ 'example.org': [ca] })
  const { verify } = verifier({ state: () => state, clock: own })
  const pem = leafOf(ca)
  t.match(verify(pem), { ok: false, reason: 'peer_certificate_untrusted' })
  own.advanceMs(10_000)
  t.match(verify(pem), { ok: true })
})

t.test('intermediates are those of our own chains', async (t) => {
  const root = caOf({ maxPathLength: 1 })
  const [ours, theirs] = [root.intermediate(), root.intermediate()]
  let state = stateOf({ 'example.org': [root] })
  const strict = verifier({ state: () => state })
  const trusting = verifier({ state: () => state, peerChain: 'envoy' })
  const [near, far] = [leafOf(ours), leafOf(theirs)]
  const untrusted = { ok: false, reason: 'peer_certificate_untrusted' }
  t.match([strict.verify(near), strict.verify(far)], [untrusted, untrusted])
  state = stateOf({ 'example.org': [root] }, [ownSvid(ours)])
  t.match([strict.verify(near), strict.verify(far)], [{ ok: true }, untrusted])
  t.match([trusting.verify(near), trusting.verify(far)], [{ ok: true }, { ok: true }])
  t.match(trusting.askAuthz(far), { ok: true })
  t.match(trusting.verify(far, false), untrusted)
})

t.test('Envoy is believed of strangers only, never of who is known to be wrong', async (t) => {
  const [ca, later] = [caOf({ commonName: 'SPIFFE' }), caOf({ commonName: 'SPIFFE' })]
  const [old, fresh] = [caOf(), caOf()]
  let state = stateOf({ 'example.org': [later, old] })
  const { verify } = verifier({ state: () => state, peerChain: 'envoy' })
  const untrusted = { ok: false, reason: 'peer_certificate_untrusted' }
  t.match(verify(leafOf(ca)), untrusted, 'a CA by that name did not sign it')
  const pem = leafOf(old)
  t.match(verify(pem), { ok: true })
  state = stateOf({ 'example.org': [fresh] })
  t.match(verify(pem), untrusted, 'its issuer was trusted once and is no longer')
  t.match(verify(leafOf(old)), untrusted, 'nor is a new certificate of it')
  state = stateOf({ 'example.org': [] })
  t.match(verify(leafOf(caOf())), { ok: false, reason: 'peer_bundle_missing' })
})

t.test('a flood of certificates never seen before is bounded, and known callers go on', async (t) => {
  const own = manualClock()
  const ca = createDevCa({ trustDomain: 'example.org', clock: own, commonName: 'SPIFFE' })
  const forger = createDevCa({
    trustDomain: 'example.org',
    clock: own,
    commonName: 'SPIFFE',
    wrong: { hasKeyIds: false },
  })
  const state = stateOf({ 'example.org': [ca] })
  const { verify } = verifier({ state: () => state, clock: own, maxChecksPerSecond: 10 })
  const known = leafOf(ca)
  t.match(verify(known), { ok: true })
  const junk = Array.from({ length: 30 }, () => leafOf(forger, { wrong: { hasKeyIds: false } }))
  const reasons = junk.map((pem) => {
    const verdict = verify(pem)
    return verdict.ok ? 'ok' : verdict.reason
  })
  t.equal(reasons.filter((reason) => reason === 'peer_certificate_untrusted').length, 9)
  t.equal(reasons.filter((reason) => reason === 'peer_checks_exhausted').length, 21)
  t.match(verify(known), { ok: true }, 'a known caller')
  const late = leafOf(ca)
  t.match(verify(late), { ok: false, reason: 'peer_checks_exhausted' })
  for (const pem of Array.from({ length: 50 }, () => leafOf(caOf())))
    t.match(verify(pem), { ok: false, reason: 'peer_certificate_untrusted' }, 'strangers cost no check')
  own.advanceMs(200)
  t.match(verify(late), { ok: true }, 'a while later')
})

t.test('thousands of certificates that are none push nobody out', async (t) => {
  const ca = caOf()
  let checks = 0
  const bundles = stateOf({ 'example.org': [ca] })
  const state: IdentityState = {
    ...bundles,
    bundles: Object.assign(new Map(bundles.bundles), {
      get(name: string) {
        checks++
        return bundles.bundles.get(name)
      },
    }),
  }
  const { verify } = verifier({ state: () => state })
  const pem = leafOf(ca)
  t.match(verify(pem), { ok: true })
  t.equal(checks, 1)
  for (let i = 0; i < 6000; i++) verify(`junk ${i}`)
  t.match(verify(pem), { ok: true })
  t.equal(checks, 1, 'its chain was remembered')
})

t.test('without bundles Envoy alone judges chains', async (t) => {
  const { verify, askAuthz } = verifier()
  const stranger = leafOf(caOf())
  t.match(verify(stranger), { ok: true })
  t.match(askAuthz(stranger), { ok: true })
  t.match(verify(stranger, false), { ok: false, reason: 'peer_certificate_untrusted' })
})

import t from 'tap'
import { type CaProfile, createDevCa, type DevCa, type IssueRequest } from '#identity/dev-ca/dev-ca.ts'
import { findChain } from '#identity/x509/chain.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import { hasOpenssl, opensslVerdict } from '../../harness/openssl.ts'
import { blocksOf, certificatesOf } from './kit.ts'

const clock = manualClock()
const nowMs = clock.nowMs()
const spiffeId = 'spiffe://example.org/ns/acme/sa/app'
const caOf = (profile: CaProfile = {}) => createDevCa({ trustDomain: 'example.org', clock, ...profile })
const unknownCritical = { id: '1.3.6.1.4.1.99999.1', isCritical: true, value: Buffer.from([5, 0]) }

interface Row {
  readonly name: string
  readonly leaf: string
  readonly intermediates?: readonly string[]
  readonly roots: readonly string[]
  readonly atMs?: number
  /** `undefined` where the chain is good. */
  readonly why?: RegExp
  /** Where OpenSSL judges another way, what it says. */
  readonly openssl?: RegExp | 'ok'
}

/** A leaf, and the certificates that came with it. */
function issued(
  ca: DevCa,
  wrong: NonNullable<IssueRequest['wrong']> = {},
): Pick<Row, 'leaf' | 'intermediates'> {
  const [leaf = '', ...intermediates] = blocksOf(ca.issue({ spiffeId, wrong }).certificatePem)
  return { leaf, intermediates }
}

const root = caOf()
const deep = caOf({ maxPathLength: 2 })
const middle = deep.intermediate({ maxPathLength: 1 })
const low = middle.intermediate()
const [first, second] = [caOf({ commonName: 'SPIFFE' }), caOf({ commonName: 'SPIFFE' })]
const [bare, otherBare] = [
  caOf({ commonName: 'bare', wrong: { hasKeyIds: false } }),
  caOf({ commonName: 'bare', wrong: { hasKeyIds: false } }),
]
const withUris = (uriConstraints: NonNullable<CaProfile['uriConstraints']>) => caOf({ uriConstraints })
const within = (hosts: readonly string[]) => issuedBy(withUris({ permitted: hosts }))
const without = (hosts: readonly string[]) => issuedBy(withUris({ excluded: hosts }))
function issuedBy(ca: DevCa, wrong: NonNullable<IssueRequest['wrong']> = {}) {
  return { ...issued(ca, wrong), roots: [ca.bundlePem] }
}

const rows: readonly Row[] = [
  { name: 'a leaf and its root', ...issuedBy(root) },
  { name: 'an intermediate', ...issuedBy(deep.intermediate()) },
  { name: 'two intermediates', ...issuedBy(low) },
  {
    name: 'intermediates in another order',
    ...issued(low),
    intermediates: [...(issued(low).intermediates ?? [])].reverse(),
    roots: [deep.bundlePem],
  },
  ...(['p384', 'rsa', 'ed25519'] as const).map((keyType) => ({
    name: `a root of ${keyType}`,
    ...issuedBy(caOf({ keyType })),
  })),
  {
    name: 'the second of two roots of one name',
    ...issued(second),
    roots: [first.bundlePem, second.bundlePem],
  },
  {
    name: 'the first of two roots of one name',
    ...issued(first),
    roots: [second.bundlePem, first.bundlePem],
  },
  {
    name: 'the second of two roots of one name that name no keys',
    ...issued(otherBare, { hasKeyIds: false }),
    roots: [bare.bundlePem, otherBare.bundlePem],
    openssl: /Missing Subject Key Identifier|Missing Authority Key Identifier/,
  },
  {
    name: 'no roots',
    ...issued(root),
    roots: [],
    why: /its issuer is not known/,
    openssl: /unable to get local issuer|Error loading/,
  },
  {
    name: 'a root of another domain',
    ...issued(root),
    roots: [caOf().bundlePem],
    why: /its issuer is not known/,
  },
  {
    name: 'the wrong root under the right name',
    ...issued(first),
    roots: [second.bundlePem],
    why: /did not sign it/,
  },
  {
    name: 'the wrong root under the right name, without key ids',
    ...issued(bare, { hasKeyIds: false }),
    roots: [otherBare.bundlePem],
    why: /did not sign it/,
  },
  {
    name: 'an intermediate that is missing',
    ...issued(low),
    intermediates: [],
    roots: [deep.bundlePem],
    why: /its issuer is not known/,
  },
  {
    name: 'a root that is missing',
    ...issued(low),
    roots: [root.bundlePem],
    why: /the issuer of its issuer is not known/,
  },
  {
    name: 'an intermediate below a root of path length 0',
    ...issuedBy(root.intermediate()),
    why: /more CAs than one of them permits/,
  },
  {
    name: 'two intermediates below one of path length 0',
    ...issuedBy(deep.intermediate().intermediate()),
    why: /more CAs/,
  },
  {
    name: 'an intermediate that is no CA',
    ...issuedBy(deep.intermediate({ wrong: { isCa: false } })),
    why: /its issuer is no CA/,
  },
  {
    name: 'an intermediate without keyCertSign',
    ...issuedBy(deep.intermediate({ wrong: { keyUsage: ['cRLSign'] } })),
    why: /may not sign certificates/,
  },
  {
    name: 'an intermediate without a key usage',
    ...issuedBy(deep.intermediate({ wrong: { keyUsage: [] } })),
    why: /may not sign certificates/,
  },
  {
    name: 'an intermediate that is a workload',
    ...issuedBy(deep.intermediate({ wrong: { uris: ['spiffe://example.org/a'] } })),
    why: /a workload by its SPIFFE ID/,
    openssl: 'ok',
  },
  {
    name: 'an intermediate with an unknown critical extension',
    ...issuedBy(deep.intermediate({ wrong: { extensions: [unknownCritical] } })),
    why: /not understood/,
  },
  {
    name: 'a root with an unknown critical extension',
    ...issuedBy(caOf({ wrong: { extensions: [unknownCritical] } })),
    why: /not understood/,
  },
  {
    name: 'a root that has expired',
    ...issuedBy(caOf({ ttlSeconds: 60 })),
    atMs: nowMs + 120_000,
    why: /not valid at this time/,
  },
  {
    name: 'a root that is not valid yet',
    ...issuedBy(caOf({ wrong: { notBeforeMs: nowMs + 60_000 } })),
    why: /not valid at this time/,
  },
  {
    name: 'an intermediate that has expired',
    ...issuedBy(deep.intermediate({ ttlSeconds: 60 })),
    atMs: nowMs + 120_000,
    why: /not valid at this time/,
  },
  { name: 'a host that is permitted', ...within(['example.org']) },
  { name: 'a host below one that is permitted', ...within(['.org']) },
  { name: 'one of several that are permitted', ...within(['a.test', 'example.org']) },
  { name: 'a host that is not permitted', ...within(['example.com']), why: /not permitted by a CA/ },
  { name: 'a host above one that is permitted', ...within(['.example.org']), why: /not permitted by a CA/ },
  {
    name: 'a host that only ends like one that is permitted',
    ...within(['ample.org']),
    why: /not permitted by a CA/,
  },
  { name: 'a host that is excluded', ...without(['example.org']), why: /excluded by a CA/ },
  { name: 'a host below one that is excluded', ...without(['.org']), why: /excluded by a CA/ },
  { name: 'a host that is not excluded', ...without(['example.com']) },
  {
    name: 'a constraint of an intermediate',
    ...issuedBy(deep.intermediate({ uriConstraints: { permitted: ['example.com'] } })),
    why: /not permitted by a CA/,
  },
]

t.test('a chain is good where RFC 5280 and the X509-SVID standard say so, and OpenSSL agrees', async (t) => {
  for (const { name, leaf, intermediates = [], roots, atMs = nowMs, why, openssl } of rows) {
    const [certificate] = certificatesOf(leaf)
    if (certificate === undefined) return t.fail(name)
    const verdict = findChain(certificate, {
      intermediates: certificatesOf(...intermediates),
      authorities: certificatesOf(...roots),
      nowMs: atMs,
    })
    if (why === undefined) t.equal(verdict.ok, true, `${name}: ${verdict.ok ? '' : verdict.why}`)
    else t.match(verdict, { ok: false, why }, name)
    if (!hasOpenssl) continue
    const said = opensslVerdict({ leaf, intermediates, roots, atMs })
    if (openssl !== undefined) t.match(said, openssl, `${name}, by OpenSSL`)
    else t.equal(said === 'ok', why === undefined, `${name}, by OpenSSL: ${said}`)
  }
})

t.test('whoever sends many certificates of one name makes nothing slow', async (t) => {
  const crowd = Array.from({ length: 40 }, () => caOf({ commonName: 'bare', wrong: { hasKeyIds: false } }))
  const [leaf] = certificatesOf(issued(bare, { hasKeyIds: false }).leaf)
  if (leaf === undefined) return t.fail('no leaf')
  const verdict = findChain(leaf, {
    intermediates: [],
    authorities: certificatesOf(...crowd.map(({ bundlePem }) => bundlePem)),
    nowMs,
  })
  t.match(verdict, { ok: false, kind: 'broken' })
})

t.test('two intermediates that signed each other are no chain', async (t) => {
  const [a, b] = [caOf({ commonName: 'a', maxPathLength: 3 }), caOf({ commonName: 'b', maxPathLength: 3 })]
  const circle = [
    a.intermediate({ commonName: 'b', maxPathLength: 2 }).certificatePem,
    b.intermediate({ commonName: 'a', maxPathLength: 2 }).certificatePem,
  ]
  const [leaf] = certificatesOf(issued(a).leaf)
  if (leaf === undefined) return t.fail('no leaf')
  const options = { intermediates: certificatesOf(...circle), nowMs }
  t.match(findChain(leaf, { ...options, authorities: [] }), { ok: false })
  t.match(findChain(leaf, { ...options, authorities: certificatesOf(a.bundlePem) }), { ok: true })
})

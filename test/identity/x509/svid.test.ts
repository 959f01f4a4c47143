import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { createDevCa, type Issued } from '#identity/dev-ca/dev-ca.ts'
import { type ParsedSvid, parseX509Svid } from '#identity/x509/svid.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import { certificatesOf, dersOf } from './kit.ts'

const clock = manualClock()
const spiffeId = 'spiffe://domain1.test/workload'
const ca = createDevCa({ trustDomain: 'domain1.test', clock })
const deep = createDevCa({ trustDomain: 'domain1.test', clock, maxPathLength: 2 })
const stranger = createDevCa({ trustDomain: 'domain2.test', clock })
const good = ca.issue({ spiffeId })
const wrong = (more: NonNullable<Parameters<typeof ca.issue>[0]['wrong']>) =>
  ca.issue({ spiffeId, wrong: more })

interface Given {
  readonly issued: Issued
  readonly chain?: readonly Buffer[]
  readonly key?: string
  readonly roots?: readonly string[]
  readonly afterMs?: number
}

function parse({ issued, chain, key, roots = [ca.bundlePem], afterMs = 0 }: Given): ParsedSvid {
  const authorities = new Map([['domain1.test', certificatesOf(...roots)]])
  return parseX509Svid({
    chain: chain ?? dersOf(issued.certificatePem),
    privateKey: createPrivateKey(key ?? issued.privateKeyPem),
    authorities: (name) => authorities.get(name),
    nowMs: clock.nowMs() + afterMs,
  })
}

// The cases of go-spiffe's x509svid tests, and those that it leaves out.
t.test('our own pair is taken where everything fits', async (t) => {
  const between = deep.intermediate({ maxPathLength: 1 })
  const rows: [name: string, given: Given, certificates: number][] = [
    ['a single certificate', { issued: good }, 1],
    ['an intermediate', { issued: between.issue({ spiffeId }), roots: [deep.bundlePem] }, 2],
    ['two', { issued: between.intermediate().issue({ spiffeId }), roots: [deep.bundlePem] }, 3],
    ['a second root beside the right one', { issued: good, roots: [deep.bundlePem, ca.bundlePem] }, 1],
    ['key encipherment', { issued: wrong({ keyUsage: ['digitalSignature', 'keyEncipherment'] }) }, 1],
    ['no extended key usage', { issued: wrong({ extendedKeyUsage: [] }) }, 1],
  ]
  for (const [name, given, certificates] of rows) {
    const parsed = parse(given)
    if (!parsed.ok) t.fail(`${name}: ${parsed.why}`)
    else {
      t.equal(parsed.svid.id.text, spiffeId, name)
      t.equal(parsed.svid.chain.length, certificates, name)
    }
  }
})

t.test('a pair that breaks a rule is never taken', async (t) => {
  const [der = Buffer.alloc(0)] = dersOf(good.certificatePem)
  const damaged = Buffer.from(der)
  damaged[0] = 0x27
  const forged = Buffer.from(der)
  forged[forged.length - 1] = (forged.at(-1) as number) ^ 1
  const rsaKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const below = (profile: Parameters<typeof deep.intermediate>[0]) => ({
    issued: deep.intermediate(profile).issue({ spiffeId }),
    roots: [deep.bundlePem],
  })
  const rows: [name: string, given: Given, why: RegExp][] = [
    ['an empty chain', { issued: good, chain: [] }, /no certificate/],
    ['six certificates', { issued: good, chain: Array.from({ length: 6 }, () => der) }, /a chain of 6/],
    ['a certificate that is none', { issued: good, chain: [damaged] }, /not a certificate/],
    ['nothing', { issued: good, chain: [Buffer.alloc(0)] }, /not a certificate/],
    [
      'something behind the certificate',
      { issued: good, chain: [Buffer.concat([der, der])] },
      /not a certificate/,
    ],
    ['a signature that was changed', { issued: good, chain: [forged] }, /did not sign it/],
    ['an intermediate that is none', { issued: good, chain: [der, damaged] }, /malformed DER/],
    ['a leaf as an intermediate', { issued: good, chain: [der, der] }, /the chain: its issuer is no CA/],
    [
      'the key of another certificate',
      { issued: good, key: ca.issue({ spiffeId }).privateKeyPem },
      /does not belong/,
    ],
    [
      'a key of another kind',
      { issued: good, key: rsaKey.export({ type: 'pkcs8', format: 'pem' }).toString() },
      /does not belong/,
    ],
    [
      'no bundle of its trust domain',
      { issued: stranger.issue({ spiffeId: 'spiffe://domain2.test/a' }) },
      /no trust bundle for domain2.test/,
    ],
    ['no roots', { issued: good, roots: [] }, /its issuer is not known/],
    [
      'roots of another trust domain under its name',
      { issued: good, roots: [stranger.bundlePem] },
      /its issuer is not known/,
    ],
    [
      'another trust domain, signed by our CA',
      { issued: ca.issue({ spiffeId: 'spiffe://domain2.test/a' }) },
      /no trust bundle for domain2.test/,
    ],
    ['no URI SAN', { issued: wrong({ uris: [] }) }, /0 URI SANs/],
    ['two URI SANs', { issued: wrong({ uris: [spiffeId, spiffeId] }) }, /2 URI SANs/],
    [
      'another scheme',
      { issued: wrong({ uris: ['sparfe://domain1.test/workload'] }) },
      /does not start with spiffe/,
    ],
    ['a bare trust domain', { issued: wrong({ uris: ['spiffe://domain1.test'] }) }, /has no path/],
    ['the root path', { issued: wrong({ uris: ['spiffe://domain1.test/'] }) }, /empty segment/],
    [
      'a SPIFFE ID as a DNS name',
      { issued: wrong({ uris: [], otherNames: [{ tag: 2, text: spiffeId }] }) },
      /0 URI SANs/,
    ],
    [
      'a SPIFFE ID as a mail address',
      { issued: wrong({ uris: [], otherNames: [{ tag: 1, text: spiffeId }] }) },
      /0 URI SANs/,
    ],
    [
      'a NUL in the SPIFFE ID',
      { issued: wrong({ uris: [], otherNames: [{ tag: 6, text: `${spiffeId}\0.evil` }] }) },
      /character outside/,
    ],
    [
      'an octet above 127',
      { issued: wrong({ uris: [], otherNames: [{ tag: 6, text: `${spiffeId}\xff` }] }) },
      /character outside/,
    ],
    [
      'an empty subject and a SAN that is not critical',
      { issued: wrong({ isAltNameCritical: false }) },
      /SAN is not critical/,
    ],
    ['a CA', { issued: wrong({ isCa: true }) }, /a CA certificate/],
    ['no digitalSignature', { issued: wrong({ keyUsage: ['keyAgreement'] }) }, /lacks digitalSignature/],
    ['keyCertSign', { issued: wrong({ keyUsage: ['digitalSignature', 'keyCertSign'] }) }, /has keyCertSign/],
    ['cRLSign', { issued: wrong({ keyUsage: ['digitalSignature', 'cRLSign'] }) }, /has cRLSign/],
    [
      'an unknown critical extension',
      { issued: wrong({ extensions: [{ id: '1.2.3.4', isCritical: true, value: Buffer.from([5, 0]) }] }) },
      /critical extension that is not understood: 1.2.3.4/,
    ],
    [
      'an extension that stands twice',
      {
        issued: wrong({ extensions: [{ id: '2.5.29.19', isCritical: true, value: Buffer.from([0x30, 0]) }] }),
      },
      /2.5.29.19 stands twice/,
    ],
    ['an intermediate that is no CA', below({ wrong: { isCa: false } }), /the chain: its issuer is no CA/],
    [
      'an intermediate without keyCertSign',
      below({ wrong: { keyUsage: ['cRLSign'] } }),
      /the chain: its issuer may not sign/,
    ],
    ['expired', { issued: good, afterMs: 3_600_000 }, /has expired/],
    ['not valid yet', { issued: good, afterMs: -61_000 }, /not valid yet/],
  ]
  for (const [name, given, why] of rows) t.match(parse(given), { ok: false, why }, name)
})

t.test('an extension that is unknown and not critical does no harm', async (t) => {
  const extensions = [{ id: '1.2.3.4', isCritical: false, value: Buffer.from([5, 0]) }]
  t.equal(parse({ issued: wrong({ extensions }) }).ok, true)
})

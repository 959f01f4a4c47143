import t from 'tap'
import type { Peer } from '#decision/exchange.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { createForwardedReader } from '#identity/forwarded/forwarded.ts'
import fc from '../../fast-check.ts'
import { certificatesOf } from '../x509/kit.ts'

const gatewayId = 'spiffe://example.org/ns/gateways/sa/edge'
const clientId = 'spiffe://example.org/ns/acme/sa/app'
const hash = 'ab'.repeat(32)
const clientHash = 'cd'.repeat(32)
const gateway: Peer = {
  spiffeId: gatewayId,
  trustDomain: 'example.org',
  path: ['ns', 'gateways', 'sa', 'edge'],
  certificateSha256: hash,
  notAfterMs: 0,
}
const reader = createForwardedReader(['spiffe://example.org/ns/gateways/**'])

function headersOf(...values: readonly string[]): RequestHeaders {
  const headers = new RequestHeaders()
  for (const value of values) headers.add('X-Forwarded-Client-Cert', value)
  return headers
}
const read = (...values: readonly string[]) => reader.read(headersOf(...values), gateway)

/** What Envoy in front of us appends. */
const ours = `By=spiffe://example.org/ns/models/sa/server;Hash=${hash}`
const theirs = `By=${gatewayId};Hash=${clientHash};Subject="CN=a\\,b";URI=${clientId}`
const oursJson = { by: ['spiffe://example.org/ns/models/sa/server'], hash }
const theirsJson = { by: [gatewayId], hash: clientHash, subject: 'CN=a,b', uri: [clientId], dns: ['a.test'] }
const json = (...elements: readonly unknown[]) => JSON.stringify(elements)

const leafPem = createDevCa({ trustDomain: 'example.org' }).issue({ spiffeId: clientId }).certificatePem
const leafHash = certificatesOf(leafPem)[0]?.sha256 ?? ''

t.test('a trusted gateway says who its client is', async (t) => {
  const peer = { spiffeId: clientId, certificateSha256: clientHash, by: gatewayId }
  const rows: [name: string, header: string, expected: object][] = [
    ['as text', `${theirs},${ours}`, { kind: 'forwarded', peer }],
    ['as JSON', json(theirsJson, oursJson), { kind: 'forwarded', peer }],
    [
      'names in another case',
      `hash=${clientHash};uri=${clientId},by=x;HASH=${hash.toUpperCase()}`,
      { kind: 'forwarded', peer },
    ],
    [
      'no hash of the client',
      `URI=${clientId},${ours}`,
      { kind: 'forwarded', peer: { spiffeId: clientId, by: gatewayId } },
    ],
    ['a quoted URI', `Hash=${clientHash};URI="${clientId}",${ours}`, { kind: 'forwarded', peer }],
    [
      'a certificate, and names behind the URI',
      `Hash=${leafHash};Cert="${encodeURIComponent(leafPem)}";URI=${clientId};DNS=a.test,${ours}`,
      { kind: 'forwarded', peer: { ...peer, certificateSha256: leafHash } },
    ],
    [
      'a certificate in JSON',
      json({ cert: leafPem, uri: [clientId] }, oursJson),
      { kind: 'forwarded', peer: { ...peer, certificateSha256: leafHash } },
    ],
    [
      'of several in JSON the last before ours',
      json({ uri: ['spiffe://x/y'] }, theirsJson, oursJson),
      { kind: 'forwarded', peer },
    ],
    ['only ours', ours, { kind: 'none' }],
    ['only ours, as JSON', json(oursJson), { kind: 'none' }],
    ['a client without SPIFFE ID', `By=a;Hash=${clientHash};DNS=a.test,${ours}`, { kind: 'none' }],
    ['an empty URI', `By=a;Hash=${clientHash};URI=,${ours}`, { kind: 'none' }],
  ]
  for (const [name, header, expected] of rows) t.same(read(header), expected, name)
  t.same(reader.read(new RequestHeaders(), gateway), { kind: 'none' }, 'no header')
})

t.test('nobody else is believed', async (t) => {
  const rows: [name: string, peer: Partial<Peer>][] = [
    ['a workload', { spiffeId: clientId, path: ['ns', 'acme', 'sa', 'app'] }],
    ['a namespace that begins alike', { path: ['ns', 'gateways2', 'sa', 'edge'] }],
    ['another trust domain', { trustDomain: 'other.test' }],
  ]
  for (const [name, more] of rows)
    t.same(reader.read(headersOf(`${theirs},${ours}`), { ...gateway, ...more }), { kind: 'ignored' }, name)
  t.same(createForwardedReader([]).read(headersOf('rubbish"'), gateway), { kind: 'ignored' })
})

t.test('what is not exactly what Envoy writes is refused', async (t) => {
  const hostile = (san: string) => `By=${gatewayId};Hash=${clientHash};Subject="";URI=${san},${ours}`
  const admin = 'spiffe://example.org/admin'
  const rows: [name: string, header: string, why: RegExp][] = [
    ['nothing', '', /a pair without =/],
    ['only a comma', ',', /a pair without =|not known/],
    ['a pair without =', `foo;${theirs},${ours}`, /not known|without =/],
    ['a name that is not known', `Foo=bar,${ours}`, /not known/],
    ['a blank before a name', `${theirs}, ${ours}`, /not known/],
    ['a semicolon at the end', `${theirs};,${ours}`, /not known/],
    ['a comma at the end', `${theirs},${ours},`, /a pair without =/],
    ['a quote that is not closed', `Subject="CN=a;URI=${clientId},${ours}`, /not closed/],
    ['something behind a quote', `Subject="a"b;URI=${clientId},${ours}`, /neither ; nor ,/],
    ['a quote within a value', `Hash=${clientHash};URI=${clientId}",${ours}`, /neither ; nor ,/],
    ['an escape that is not known', `Subject="\\x";URI=${clientId},${ours}`, /escape/],
    ['a backslash outside of quotes', `Subject=a\\;b;URI=${clientId},${ours}`, /neither ; nor ,/],
    ['a hash that is none', `Hash=zz;URI=${clientId},${ours}`, /a hash that is none/],
    ['a hash twice', `Hash=${clientHash};Hash=${clientHash};URI=${clientId},${ours}`, /hash stands twice/],
    ['two URIs', hostile(`spiffe://example.org/a;URI=${admin}`), /more than one URI/],
    ['pairs in a URI', hostile(`${admin};DNS=x`), /behind the URI/],
    [
      'an element in a URI',
      hostile(`spiffe://example.org/a,By=x;Hash=${clientHash};URI=${admin}`),
      /more than two elements/,
    ],
    ['three elements as text', `URI=spiffe://example.org/a,${theirs},${ours}`, /more than two elements/],
    ['a URI that is no SPIFFE ID', hostile('https://example.org/a'), /URI: does not start/],
    ['octets outside of the SPIFFE ID', hostile('spiffe://example.org/a%62'), /character outside/],
    ['a NUL', hostile('spiffe://example.org/a\0'), /character outside/],
    ['a bare trust domain', hostile('spiffe://example.org'), /no path/],
    ['the last element of another certificate', theirs, /not of the certificate of the peer/],
    ['ours before theirs', `${ours},${theirs}`, /not of the certificate of the peer/],
    ['no hash in the last element', `${theirs},By=a`, /not of the certificate of the peer/],
    [
      'a certificate of somebody else',
      `Hash=${leafHash};Cert="${encodeURIComponent(leafPem)}";URI=${admin},${ours}`,
      /not the one of the URI/,
    ],
    [
      'a certificate with another hash',
      `Hash=${clientHash};Cert="${encodeURIComponent(leafPem)}";URI=${clientId},${ours}`,
      /not the one of the URI/,
    ],
    ['a certificate that is none', `Cert="hello";URI=${clientId},${ours}`, /not exactly one PEM block/],
    ['a certificate that is not URL-encoded', `Cert="%zz";URI=${clientId},${ours}`, /not URL-encoded/],
    ['20 elements', Array.from({ length: 20 }, () => 'By=a').join(), /more than 16 elements/],
    ['40,000 characters', `Subject="${'a'.repeat(40_000)}"`, /longer than/],
    ['JSON that ends early', '[{', /not a name/],
    ['JSON with something behind it', `${json(theirsJson, oursJson)},${ours}`, /something follows/],
    ['a member twice', `[{"uri":[],"uri":["${admin}"]},${JSON.stringify(oursJson)}]`, /stands twice/],
    ['names in upper case in JSON', json({ URI: [clientId] }, oursJson), /not known/],
    ['a URI as text in JSON', json({ uri: clientId }, oursJson), /no list/],
    ['numbers in JSON', json(1, oursJson), /not an object/],
    ['two URIs in JSON', json({ uri: [clientId, admin] }, oursJson), /more than one URI/],
    [
      'separators in a URI in JSON',
      json({ uri: [`spiffe://example.org/a;URI=${admin}`] }, oursJson),
      /character outside/,
    ],
    ['a hash that is none in JSON', json({ hash: 5, uri: [clientId] }, oursJson), /a hash that is none/],
    ['an object', JSON.stringify(theirsJson), /not known|without =/],
    ['no elements in JSON', '[]', /not of the certificate of the peer/],
  ]
  for (const [name, header, why] of rows) t.match(read(header), { kind: 'invalid', why }, name)
  t.match(read(theirs, ours), { kind: 'invalid', why: /more than one header/ }, 'two headers')
})

t.test('no text makes the reader throw, or take a URI that is not one', async (t) => {
  const alphabet = fc.constantFrom(
    'By=',
    'Hash=',
    'URI=',
    'DNS=',
    'Cert=',
    'Subject=',
    ',',
    ';',
    '"',
    '\\',
    clientHash,
    clientId,
    '=',
    'a',
    '[',
    '{',
    ' ',
    '\0',
    '\xff',
  )
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 20 }), (parts) => {
      const found = read(`${parts.join('')},${ours}`)
      return (
        found.kind !== 'forwarded' ||
        found.peer.spiffeId === clientId ||
        /^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)+$/.test(found.peer.spiffeId)
      )
    }),
    { numRuns: 3000 },
  )
  t.pass()
})

t.test('no certificate’s name brings another identity than its own', async (t) => {
  // A gateway that writes what a certificate says, as Envoy does: URIs are not quoted.
  const piece = fc.constantFrom(
    ';',
    ',',
    '"',
    '\\',
    'URI=spiffe://example.org/admin',
    `Hash=${clientHash}`,
    'By=x',
    'DNS=x',
    'spiffe://example.org/admin',
    'a',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.boolean(), (pieces, hasNames) => {
      const san = `spiffe://example.org/app${pieces.join('')}`
      const behind = hasNames ? ';DNS=a.test' : ''
      const found = read(`By=${gatewayId};Hash=${clientHash};URI=${san}${behind},${ours}`)
      return found.kind !== 'forwarded' || found.peer.spiffeId === san
    }),
    { numRuns: 3000 },
  )
  t.pass()
})

t.test('a pattern that is none is refused when the agent starts', async (t) => {
  t.throws(() => createForwardedReader(['example.org/*']), { code: 'trusted_forwarder_invalid' })
})

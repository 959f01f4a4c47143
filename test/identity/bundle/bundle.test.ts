import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import t from 'tap'
import { parsePublicJwk } from '#crypto/jose/jwk.ts'
import { parseSpiffeBundle, parseTrustBundleMap, spiffeBundleText } from '#identity/bundle/bundle.ts'
import { parsePemBundle } from '#identity/bundle/pem-bundle.ts'
import type { JwtAuthority, TrustBundle } from '#identity/bundle/trust-bundle.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import fc from '../../fast-check.ts'
import { certificatesOf, dersOf } from '../x509/kit.ts'
import { trustBundleMapText } from './map-text.ts'

const [ca, other] = [createDevCa({ trustDomain: 'domain.test' }), createDevCa({ trustDomain: 'domain.test' })]
const x5c = (pem: string) => dersOf(pem).map((der) => der.toString('base64'))
const publicMembers = (pem: string) => certificatesOf(pem)[0]?.publicKey().export({ format: 'jwk' }) ?? {}
const x509Key = { use: 'x509-svid', ...publicMembers(ca.bundlePem), x5c: x5c(ca.bundlePem) }
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwtKey = {
  use: 'jwt-svid',
  kid: 'C6vs25welZOx6WksNYfbMfiw9l96pMnD',
  ...pair.publicKey.export({ format: 'jwk' }),
}
const valid = { spiffe_sequence: 1, spiffe_refresh_hint: 60, keys: [x509Key, jwtKey] }
const parse = (value: object | string) =>
  parseSpiffeBundle('domain.test', typeof value === 'string' ? value : JSON.stringify(value))

t.test('a bundle says which keys verify what', async (t) => {
  const parsed = parse(valid)
  if (!parsed.ok) return t.fail(parsed.why)
  const { bundle } = parsed
  t.match(bundle, { trustDomain: 'domain.test', sequence: 1n, refreshHintSeconds: 60 })
  t.same(
    bundle.x509Authorities.map(({ der }) => der.toString('base64')),
    x5c(ca.bundlePem),
  )
  t.same(
    bundle.jwtAuthorities.map(({ kid }) => kid),
    [jwtKey.kid],
  )
  t.equal(bundle.jwtAuthorities[0]?.object.equals(pair.publicKey), true)
})

t.test('what is not for us is passed over', async (t) => {
  const { use, ...useless } = jwtKey
  const rows: [name: string, key: object][] = [
    ['an unknown use', { ...jwtKey, use: 'wit-svid' }],
    ['a use in upper case', { ...jwtKey, use: 'JWT-SVID' }],
    ['no use', useless],
    ['an unknown type', { use: 'jwt-svid', kty: 'AKP', kid: 'a', alg: 'ML-DSA-65', pub: 'AAAA' }],
    ['no type', { use: 'x509-svid', x5c: x5c(ca.bundlePem) }],
    ['an authority without x5c', { use: 'x509-svid', ...publicMembers(ca.bundlePem) }],
    ['an authority with an empty x5c', { ...x509Key, x5c: [] }],
  ]
  for (const [name, key] of rows) {
    const parsed = parse({ keys: [key] })
    t.match(parsed, { ok: true, bundle: { x509Authorities: [], jwtAuthorities: [] } }, name)
    t.match(parse({ keys: [key, x509Key] }), { ok: true, bundle: { x509Authorities: { length: 1 } } }, name)
  }
  t.match(
    parse({ keys: [{ ...x509Key, x5c: [...x5c(ca.bundlePem), 'rubbish'] }] }),
    { ok: true, bundle: { x509Authorities: { length: 1 } } },
    'what follows the first certificate',
  )
})

t.test('a bundle without keys is one, and trusts nobody', async (t) => {
  t.match(parse({ keys: [] }), { ok: true, bundle: { x509Authorities: [], jwtAuthorities: [] } })
})

t.test('a bundle that is wrong anywhere is none', async (t) => {
  const { kid, ...nameless } = jwtKey
  const foreign = publicMembers(other.bundlePem)
  const rows: [name: string, value: object | string, why: RegExp][] = [
    ['nothing', '', /not JSON/],
    ['no JSON', 'hello', /not JSON/],
    ['a list', [], /not an object/],
    ['null', 'null', /not an object/],
    ['no keys', { spiffe_sequence: 1 }, /no keys/],
    ['keys that are no list', { keys: {} }, /no keys/],
    ['a key that is no object', { keys: ['a'] }, /key 0 is no object/],
    ['300 keys', { keys: Array.from({ length: 300 }, () => jwtKey) }, /300 keys/],
    ['a JWT key without kid', { keys: [nameless] }, /has no kid/],
    ['two JWT keys of one kid', { keys: [jwtKey, jwtKey] }, /same kid/],
    ['a private JWT key', { keys: [{ ...jwtKey, d: 'AAAA' }] }, /private key/],
    ['a point that is on no curve', { keys: [{ ...jwtKey, x: jwtKey.y }] }, /is no key/],
    ['an x5c that is text', { keys: [{ ...x509Key, x5c: x509Key.x5c[0] }] }, /no list of certificates/],
    ['an x5c of numbers', { keys: [{ ...x509Key, x5c: [1] }] }, /no list of certificates/],
    ['a certificate that is none', { keys: [{ ...x509Key, x5c: ['aGVsbG8='] }] }, /certificate that is none/],
    ['a certificate in base64url', { keys: [{ ...x509Key, x5c: ['_-8='] }] }, /not base64/],
    [
      'a key that is not that of its certificate',
      { keys: [{ ...x509Key, ...foreign }] },
      /another than that/,
    ],
    ['a negative sequence', { ...valid, spiffe_sequence: -1 }, /spiffe_sequence/],
    ['a sequence as text', { ...valid, spiffe_sequence: '1' }, /spiffe_sequence/],
    ['a sequence with a fraction', { ...valid, spiffe_sequence: 1.5 }, /spiffe_sequence/],
    ['a sequence of 65 bits', '{"spiffe_sequence":18446744073709551616,"keys":[]}', /spiffe_sequence/],
    ['a refresh hint as text', { ...valid, spiffe_refresh_hint: '60' }, /spiffe_refresh_hint/],
    ['a negative refresh hint', { ...valid, spiffe_refresh_hint: -1 }, /spiffe_refresh_hint/],
    ['keys twice', '{"keys":[],"keys":[]}', /stands twice/],
    ['a member of a key twice', '{"keys":[{"kty":"EC","kty":"RSA"}]}', /stands twice/],
    ['__proto__', '{"keys":[],"__proto__":{}}', /__proto__/],
    ['over 1 MiB', ' '.repeat((1 << 20) + 1), /over 1 MiB/],
  ]
  for (const [name, value, why] of rows) t.match(parse(value), { ok: false, why }, name)
})

t.test('a sequence has 64 bits, all of which count', async (t) => {
  const text = '{"spiffe_sequence":18446744073709551615,"keys":[]}'
  const parsed = parse(text)
  t.match(parsed, { ok: true, bundle: { sequence: 18446744073709551615n } })
  if (parsed.ok) t.match(spiffeBundleText(parsed.bundle), /"spiffe_sequence": 18446744073709551615,/)
})

function authority(kid: string, publicKey: KeyObject): JwtAuthority {
  const parsed = parsePublicJwk(publicKey.export({ format: 'jwk' }))
  if (!parsed.ok) throw new Error(parsed.why)
  return { ...parsed.key, kid }
}

t.test('what is written is read again as it was', async (t) => {
  const bundle: TrustBundle = {
    trustDomain: 'domain.test',
    x509Authorities: certificatesOf(ca.bundlePem, other.bundlePem),
    jwtAuthorities: [
      authority('a', pair.publicKey),
      authority('b', generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey),
    ],
    sequence: 7n,
    refreshHintSeconds: 300,
  }
  const isSame = (one: TrustBundle, two: TrustBundle) => {
    t.same(
      one.x509Authorities.map(({ sha256 }) => sha256),
      two.x509Authorities.map(({ sha256 }) => sha256),
    )
    t.same(
      one.jwtAuthorities.map(({ kid }) => kid),
      two.jwtAuthorities.map(({ kid }) => kid),
    )
    t.ok(one.jwtAuthorities.every(({ object }, at) => object.equals(two.jwtAuthorities[at]?.object as never)))
    t.equal(one.sequence, two.sequence)
  }
  const text = spiffeBundleText(bundle)
  t.notMatch(text, /"d":/)
  const read = parse(text)
  if (!read.ok) return t.fail(read.why)
  isSame(read.bundle, bundle)
  t.equal(read.bundle.refreshHintSeconds, 300)
  const map = parseTrustBundleMap(
    trustBundleMapText(bundle, { trustDomain: 'empty.test', x509Authorities: [], jwtAuthorities: [] }),
  )
  if (!map.ok) return t.fail(map.why)
  t.same([...map.bundles.keys()], ['domain.test', 'empty.test'])
  isSame(map.bundles.get('domain.test') as TrustBundle, bundle)
})

t.test('a map is read whole or not at all', async (t) => {
  const rows: [name: string, text: string, why: RegExp][] = [
    ['no trust_domains', '{}', /no trust_domains/],
    ['a list', '{"trust_domains":[]}', /no trust_domains/],
    ['a trust domain twice', '{"trust_domains":{"a":{"keys":[]},"a":{"keys":[]}}}', /stands twice/],
    [
      'a trust domain twice, once escaped',
      '{"trust_domains":{"a":{"keys":[]},"\\u0061":{"keys":[]}}}',
      /stands twice/,
    ],
    ['trust_domains twice', '{"trust_domains":{},"trust_domains":{}}', /stands twice/],
    ['a name that is none', '{"trust_domains":{"A":{"keys":[]}}}', /outside a-z/],
    ['a SPIFFE ID as a name', '{"trust_domains":{"spiffe://a":{"keys":[]}}}', /outside a-z/],
    ['one bundle that is none', '{"trust_domains":{"a":{"keys":[]},"b":{}}}', /b: no keys/],
  ]
  for (const [name, text, why] of rows) t.match(parseTrustBundleMap(text), { ok: false, why }, name)
  t.same(parseTrustBundleMap('{"trust_domains":{}}'), { ok: true, bundles: new Map() })
})

t.test('PEM is read whole or not at all', async (t) => {
  const both = `# ours\n${ca.bundlePem}\nsome text\n${other.bundlePem}`
  t.match(parsePemBundle('domain.test', both), { ok: true, bundle: { x509Authorities: { length: 2 } } })
  const rows: [name: string, text: string, why: RegExp][] = [
    ['nothing', '', /no PEM/],
    ['no PEM', 'Not PEM encoded file', /no PEM/],
    ['half a certificate', ca.bundlePem.slice(0, 200), /half written/],
    ['a whole one and half of another', ca.bundlePem + other.bundlePem.slice(0, 200), /half written/],
    ['a key', ca.issue({ spiffeId: 'spiffe://domain.test/a' }).privateKeyPem, /block 0 is PRIVATE KEY/],
    [
      'a certificate that is none',
      '-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n',
      /block 0 is no certificate/,
    ],
  ]
  for (const [name, text, why] of rows) t.match(parsePemBundle('domain.test', text), { ok: false, why }, name)
})

t.test('no text makes a reader throw', async (t) => {
  const whole = JSON.stringify(valid)
  const cut = fc.record({ at: fc.nat(whole.length), remove: fc.nat(20), insert: fc.string({ maxLength: 5 }) })
  fc.assert(
    fc.property(cut, ({ at, remove, insert }) => {
      const text = whole.slice(0, at) + insert + whole.slice(at + remove)
      parse(text)
      parseTrustBundleMap(`{"trust_domains":{"a":${text}}}`)
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import t from 'tap'
import { answersTo } from './against-opa.ts'
import {
  altNames,
  asked,
  basicConstraints,
  bitString,
  extendedKeyUsage,
  extension,
  id,
  inhibitAnyPolicy,
  int,
  issue,
  keyUsage,
  nameConstraints,
  named,
  one,
  pem,
  policies,
  policyConstraints,
  policyMappings,
  type Request,
  raw,
  requestOf,
  seq,
  set,
  usages,
} from './certificates.ts'
import { q } from './tokens.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
const keys = {
  rsa,
  ec: one,
  p224: generateKeyPairSync('ec', { namedCurve: 'secp224r1' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'secp521r1' }),
  k1: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  ed: generateKeyPairSync('ed25519'),
  ed448: generateKeyPairSync('ed448'),
  x: generateKeyPairSync('x25519'),
  dsa: generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 }),
  pss: generateKeyPairSync('rsa-pss', { modulusLength: 1024 }),
} as const

const make = (change: Partial<Request> = {}) => issue({ subject: one, issuer: one, ...change })
const withExtensions = (...extensions: readonly Buffer[]) => make({ extensions })
const attribute = (type: string, tag: number, value: Buffer | string) => set(seq(id(type), raw(tag, value)))
const withSubject = (...attributes: readonly Buffer[]) => make({ subjectName: seq(...attributes) })
const spki = (key: KeyObject) => key.export({ format: 'der', type: 'spki' })
const uris = (...all: readonly string[]) => withExtensions(altNames(...all.map((uri) => named(6, uri))))
const time = (tag: number, text: string) => make({ notBefore: raw(tag, text) })

const certificates: readonly Buffer[] = [
  make(),
  ...[0, 1, 2, 3].map((version) => make({ version })),
  ...Object.values(keys).map(({ publicKey }) => make({ spki: spki(publicKey) })),
  // Serial numbers
  ...['00', '7f', '80', '00ff', '0001', '', `7f${'ff'.repeat(30)}`].map((hex) =>
    make({ serial: raw(2, Buffer.from(hex, 'hex')) }),
  ),
  // Names
  withSubject(),
  withSubject(set()),
  withSubject(
    ...[
      '2.5.4.6',
      '2.5.4.7',
      '2.5.4.8',
      '2.5.4.9',
      '2.5.4.10',
      '2.5.4.11',
      '2.5.4.17',
      '2.5.4.5',
      '2.5.4.12',
    ].map((type) => attribute(type, 0x0c, `é ${type}`)),
    attribute('2.5.4.10', 0x13, 'second'),
    set(seq(id('2.5.4.3'), raw(0x0c, 'a')), seq(id('2.5.4.3'), raw(0x0c, '<b>&'))),
  ),
  ...[
    [0x13, "it's (a) *+,-./:=?&"],
    [0x13, 'a@b'],
    [0x13, 'a_b'],
    [0x14, Buffer.from('e9e8', 'hex')],
    [0x16, 'a@b'],
    [0x16, 'é'],
    [0x12, '12 3'],
    [0x12, 'a'],
    [0x0c, Buffer.from('ff', 'hex')],
    [0x1e, Buffer.from('004100e9', 'hex')],
    [0x1e, Buffer.from('00410000', 'hex')],
    [0x1e, Buffer.from('d83dde00', 'hex')],
    [0x1e, Buffer.from('00', 'hex')],
    [0x1c, 'abcd'],
    [0x04, 'x'],
    [0x0c, 'nul\0'],
  ].map(([tag, value]) => withSubject(attribute('2.5.4.3', tag as number, value as string))),
  // Times
  ...[
    '200101000000Z',
    '2001010000Z',
    '200101000000+0400',
    '200101000000-0130',
    '200101000000+0000',
    '500101000000Z',
    '490101000000Z',
    '200229000000Z',
    '210229000000Z',
    '201301000000Z',
    '200101240000Z',
    '200101236000Z',
    '200101235960Z',
    '200101000000',
    '200101000000.5Z',
    '200101000000+2400',
  ].map((text) => time(0x17, text)),
  ...[
    '20200101000000Z',
    '00010101000000Z',
    '99991231235959Z',
    '20200101000000.5Z',
    '20200101000000+0500',
    '202001010000Z',
  ].map((text) => time(0x18, text)),
  time(0x16, '200101000000Z'),
  // Extensions
  withExtensions(basicConstraints(true), basicConstraints(true)),
  ...[basicConstraints(true, 0), basicConstraints(false, 3), basicConstraints(true, 0x80)].map((each) =>
    withExtensions(each),
  ),
  withExtensions(extension('2.5.29.19', seq(raw(1, Buffer.from([1])), int(1)))),
  withExtensions(extension('2.5.29.15', bitString(7, 0, 0x80))),
  withExtensions(extension('2.5.29.15', bitString(0))),
  withExtensions(extension('2.5.29.15', bitString(8, 0))),
  withExtensions(keyUsage(0xff)),
  withExtensions(
    extendedKeyUsage(
      usages.any,
      usages.server,
      '1.3.6.1.5.5.7.3.9',
      '2.16.840.1.113730.4.1',
      '1.3.6.1.4.1.311.61.1.1',
      '1.2.3.4.2147483647',
    ),
  ),
  withExtensions(extendedKeyUsage()),
  withExtensions(extension('2.5.29.14', raw(4, Buffer.from([1, 2, 3])))),
  withExtensions(extension('2.5.29.14', raw(4, ''))),
  withExtensions(extension('2.5.29.14', raw(4, 'x'), true)),
  withExtensions(extension('2.5.29.35', seq(raw(0x80, 'kid')))),
  withExtensions(extension('2.5.29.35', seq(raw(0x80, '')))),
  withExtensions(extension('2.5.29.35', seq())),
  withExtensions(
    extension(
      '2.5.29.31',
      seq(seq(raw(0xa0, raw(0xa0, Buffer.concat([named(6, 'http://a'), named(6, 'http://\xff')])))), seq()),
    ),
  ),
  withExtensions(
    extension(
      '1.3.6.1.5.5.7.1.1',
      seq(
        seq(id('1.3.6.1.5.5.7.48.1'), named(6, 'http://o')),
        seq(id('1.3.6.1.5.5.7.48.2'), named(6, 'http://i')),
        seq(id('1.2.3'), named(2, 'x')),
      ),
    ),
  ),
  withExtensions(extension('1.3.6.1.5.5.7.1.1', seq(), true)),
  withExtensions(
    policies('1.2.3', '2.5.29.32.0'),
    policyMappings(['1.2.3', '1.2.4']),
    policyConstraints(2, 0),
    inhibitAnyPolicy(0),
  ),
  withExtensions(policies('1.2.3', '1.2.3')),
  withExtensions(policies()),
  withExtensions(extension('2.5.29.32', seq(seq(raw(6, Buffer.from('2a8fffffffffffffff7f', 'hex')))))),
  withExtensions(extension('2.5.29.32', seq(seq(raw(6, Buffer.from('2a8001', 'hex')))))),
  withExtensions(
    nameConstraints(
      [named(2, 'a.example'), named(7, Buffer.from('0a000000ff000000', 'hex')), named(1, 'a@b.c')],
      [named(6, '.c.example'), named(7, Buffer.alloc(32))],
    ),
  ),
  ...[
    [2, 'a.'],
    [2, 'a..b'],
    [2, '.a'],
    [6, '1.2.3.4'],
    [1, 'a b@c'],
    [1, '@'],
  ].map(([tag, name]) => withExtensions(nameConstraints([named(tag as number, name as string)], []))),
  withExtensions(extension('1.2.3.4', Buffer.from('x'), true), extension('1.2.3.5', Buffer.alloc(0))),
  withExtensions(
    altNames(
      named(2, 'a'),
      named(1, 'b@c'),
      named(7, Buffer.from([1, 2, 3, 4])),
      named(7, Buffer.from('00000000000000000000ffff01020304', 'hex')),
      named(7, Buffer.from('20010db8000000000000000000000001', 'hex')),
      named(8, '1.2'),
    ),
  ),
  withExtensions(altNames(named(7, Buffer.from([1, 2, 3])))),
  withExtensions(altNames(named(2, 'é'))),
  ...[
    '',
    'spiffe://td/a/b',
    'SPIFFE://TD/',
    'http://u:p@h:80/a%20b/%2f?q=1&r=%zz#f%20g',
    'http://u@h/é',
    'urn:a:b?c',
    'a/b:c',
    'a:b',
    ':a',
    '//h/p',
    '///p',
    'http:///p',
    'file:/p',
    'http://h?',
    'http://h#',
    'http://[::1]:8/',
    'http://[::1%25eth0]/',
    'http://[1.2.3.4]/',
    'http://h:x/',
    'http://h:1:2/',
    'x://h:1:2/',
    'http://h%41/',
    'http://h%c3%a9/',
    'http://a b/',
    'http://a\u0001b/',
    'http://h/%',
    '*',
    'http://h/a*b',
    "http://h/a'b",
    'http://a@b@c/',
    'http://h./',
    'http://.h/',
    'x://h_<>"/',
    'mailto:a@b',
  ].map((uri) => uris(uri)),
  // Not quite certificates
  Buffer.concat([make(), make()]),
  Buffer.concat([make(), Buffer.from([0])]),
  make().subarray(0, -1),
  make().subarray(1),
  Buffer.concat([Buffer.from([0x30, 0x80]), make().subarray(4), Buffer.from([0, 0])]),
  Buffer.alloc(0),
]

const sealed = pem(make())
const texts = [
  sealed,
  sealed.replaceAll('\n', '\r\n'),
  `before\n${sealed}between\n${sealed}after`,
  ` ${sealed}`,
  sealed.trimEnd(),
  sealed.replace('-----END', '----END'),
  sealed.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE'),
  sealed.replace('-----\n', '-----\nProc-Type: 4\nA: b\n\n'),
  sealed.replace('-----\n', '-----\nA: b\n'),
  sealed.replace('MII', 'M I\tI'),
  sealed.replace('MII', '!MII'),
  sealed.replace('-----BEGIN', '-----BEGIN CERTIFICATE-----\n-----BEGIN'),
  '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n',
  '-----BEGIN',
  '-----BEGIN CERTIFICATE-----',
  `-----BEGIN A:B-----\n${sealed}`,
  Buffer.from(sealed).toString('base64'),
  `${make().toString('base64').slice(0, 60)}\n${make().toString('base64').slice(60)}`,
  make().toString('base64url'),
  '',
  '=',
  '\0',
]

const requests = [
  requestOf([]),
  requestOf([
    asked(
      altNames(named(2, 'a.b'), named(6, 'x://y')),
      basicConstraints(true),
      extension('1.2', Buffer.alloc(0), true),
    ),
  ]),
  requestOf([asked(altNames(named(2, 'a.b')), altNames(named(2, 'a.b')))]),
  requestOf([asked(), asked(basicConstraints(false))]),
  requestOf([seq(id('1.2.840.113549.1.9.7'), set(raw(0x0c, 'password')))]),
  requestOf([seq(id('1.2.840.113549.1.9.14'), set())]),
  requestOf([
    seq(
      id('1.2.3'),
      set(
        seq(
          seq(id('1.2'), int(-3 & 0xff)),
          seq(id('1.2'), id('1.2.3')),
          seq(id('1.2'), bitString(4, 0xf0)),
          seq(id('1.2'), raw(0x17, '200101000000Z')),
          seq(id('1.2'), raw(1, Buffer.from([255]))),
          seq(id('1.2'), seq()),
          seq(id('1.2'), raw(4, 'x')),
        ),
      ),
    ),
  ]),
  requestOf([], seq(set(seq(id('2.5.4.3'), int(5))), set(seq(id('2.5.4.5'), raw(4, 'x'))))),
  requestOf([Buffer.from([5, 0])]),
  requestOf([]).subarray(0, -1),
  Buffer.concat([requestOf([]), Buffer.from([5, 0])]),
]

const expressions = [
  ...certificates.map((der) => `crypto.x509.parse_certificates(${q(der.toString('base64'))})`),
  ...texts.flatMap((text) => [
    `crypto.x509.parse_certificates(${q(text)})`,
    `crypto.x509.parse_and_verify_certificates(${q(text)})`,
    `crypto.x509.parse_certificate_request(${q(text)})`,
  ]),
  ...requests.flatMap((der) => {
    const text = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
    return [text, der.toString('base64'), Buffer.from(text).toString('base64')].map(
      (each) => `crypto.x509.parse_certificate_request(${q(each)})`,
    )
  }),
]

t.test(`${expressions.length} certificates and requests are read as opa reads them`, async (t) => {
  for (const { expression, ours, theirs } of await answersTo(expressions)) t.equal(ours, theirs, expression)
})

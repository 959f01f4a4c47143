import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import {
  altNames,
  basicConstraints,
  commonName,
  extendedKeyUsage,
  extension,
  id,
  issue,
  keyUsage,
  named,
  raw,
  seq,
  usages,
} from './certificates.ts'
import { type ChainCase, ca, chain, judgeChains, leaf, middle, root, stranger } from './chains.ts'

const site = altNames(
  named(2, 'www.example.com'),
  named(2, '*.wild.example.com'),
  named(7, Buffer.from([10, 0, 0, 1])),
)
const expired = { notAfter: raw(0x17, '210101000000Z') }
const unborn = { notBefore: raw(0x17, '480101000000Z') }
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const rsaRoot = { name: 'root', ...rsa }
const small = { name: 'root', ...generateKeyPairSync('rsa', { modulusLength: 768 }) }
const edRoot = { name: 'root', ...generateKeyPairSync('ed25519') }
const algorithm = (dotted: string, ...parameters: readonly Buffer[]) => seq(id(dotted), ...parameters)
const none = Buffer.from([5, 0])

const cases: readonly ChainCase[] = [
  ['a root, one between and a leaf', chain({}), true],
  ['the root alone', [chain({})[0] as Buffer], false],
  ['a root and its leaf', [chain({})[0] as Buffer, issue({ subject: leaf, issuer: root })], true],
  ['the root as its own leaf', [chain({})[0] as Buffer, chain({})[0] as Buffer], false],
  ['the same root twice', ((one) => [one, one])(chain({})[0] as Buffer), true],
  ['the leaf first', chain({}).toReversed(), false],
  ['nothing between', [chain({})[0] as Buffer, chain({})[2] as Buffer], false],
  ['the one between twice', ((c) => [c[0], c[1], c[1], c[2]] as Buffer[])(chain({})), true],
  [
    'a leaf that another key signed',
    chain({ leaf: { issuer: stranger, issuerName: commonName('middle') } }),
    false,
  ],
  [
    'one between that another key signed',
    chain({ middle: { issuer: stranger, issuerName: commonName('root') } }),
    false,
  ],
  ['an expired leaf', chain({ leaf: expired }), false],
  ['one expired between', chain({ middle: expired }), false],
  ['an expired root', chain({ root: expired }), false],
  ['a leaf of the future', chain({ leaf: unborn }), false],
  [
    'an expired leaf when it was none',
    chain({ leaf: expired }),
    true,
    '{"CurrentTime": 1600000000000000000}',
  ],
  ['the last nanosecond', chain({ leaf: expired }), true, '{"CurrentTime": 1609459200000000000}'],
  ['one nanosecond later', chain({ leaf: expired }), false, '{"CurrentTime": 1609459200000000001}'],
  ['one nanosecond early', chain({}), false, '{"CurrentTime": 1577836799999999999}'],
  ['the year 1970', chain({}), false, '{"CurrentTime": 0}'],
  ['one between that is no CA', chain({ middle: { extensions: [basicConstraints(false)] } }), false],
  ['one between without basic constraints', chain({ middle: { extensions: [keyUsage(4)] } }), false],
  ['one between of version 1', chain({ middle: { version: 0, extensions: [] } }), false],
  ['a root of version 1', chain({ root: { version: 0, extensions: [] } }), true],
  ['a root that is no CA', chain({ root: { extensions: [basicConstraints(false)] } }), false],
  ['a root that allows none between', chain({ root: { extensions: [basicConstraints(true, 0)] } }), false],
  ['a root that allows one between', chain({ root: { extensions: [basicConstraints(true, 1)] } }), true],
  ['one between that allows none', chain({ middle: { extensions: [basicConstraints(true, 0)] } }), true],
  [
    'one between that may not sign certificates',
    chain({ middle: { extensions: [ca, keyUsage(0x80)] } }),
    false,
  ],
  ['one between that may', chain({ middle: { extensions: [ca, keyUsage(0x04)] } }), true],
  ['a root that may not sign certificates', chain({ root: { extensions: [ca, keyUsage(0x02)] } }), false],
  ['a leaf for servers', chain({ leaf: { extensions: [extendedKeyUsage(usages.server)] } }), true],
  ['a leaf for clients', chain({ leaf: { extensions: [extendedKeyUsage(usages.client)] } }), false],
  [
    'a leaf for clients, as one',
    chain({ leaf: { extensions: [extendedKeyUsage(usages.client)] } }),
    true,
    '{"KeyUsages": ["KeyUsageClientAuth"]}',
  ],
  [
    'a leaf for clients, as anything',
    chain({ leaf: { extensions: [extendedKeyUsage(usages.client)] } }),
    true,
    '{"KeyUsages": {"KeyUsageAny"}}',
  ],
  [
    'a leaf for clients, as one of two',
    chain({ leaf: { extensions: [extendedKeyUsage(usages.client)] } }),
    true,
    '{"KeyUsages": ["KeyUsageServerAuth", "KeyUsageClientAuth"]}',
  ],
  ['a leaf for anything', chain({ leaf: { extensions: [extendedKeyUsage(usages.any)] } }), true],
  ['a leaf for what nobody knows', chain({ leaf: { extensions: [extendedKeyUsage('1.2.3.4')] } }), false],
  [
    'one between for clients',
    chain({ middle: { extensions: [ca, extendedKeyUsage(usages.client)] } }),
    false,
  ],
  [
    'usages that leave nothing in common',
    chain({
      middle: { extensions: [ca, extendedKeyUsage(usages.client)] },
      leaf: { extensions: [extendedKeyUsage(usages.server)] },
    }),
    false,
    '{"KeyUsages": ["KeyUsageServerAuth", "KeyUsageClientAuth"]}',
  ],
  [
    'a leaf with a critical extension',
    chain({ leaf: { extensions: [extension('1.2.3', none, true)] } }),
    false,
  ],
  [
    'one between with a critical extension',
    chain({ middle: { extensions: [ca, extension('1.2.3', none, true)] } }),
    false,
  ],
  ['a leaf with another extension', chain({ leaf: { extensions: [extension('1.2.3', none)] } }), true],
  [
    'a leaf with critical names nobody reads',
    chain({ leaf: { extensions: [extension('2.5.29.17', seq(named(4, seq())), true)] } }),
    false,
  ],
  // Host names
  ...(
    [
      ['www.example.com', true],
      ['WWW.Example.COM', true],
      ['www.example.com.', true],
      ['example.com', false],
      ['a.wild.example.com', true],
      ['a.b.wild.example.com', false],
      ['wild.example.com', false],
      ['*.wild.example.com', true],
      ['10.0.0.1', true],
      ['[10.0.0.1]', true],
      ['10.0.0.2', false],
      ['::ffff:10.0.0.1', true],
      ['\\"www.example.com\\"', true],
      ['leaf', false],
      ['www.example.com\\u0000', false],
      ['', true],
    ] as const
  ).map(
    ([host, valid]) =>
      [
        `a leaf asked for ${host}`,
        chain({ leaf: { extensions: [site] } }),
        valid,
        `{"DNSName": "${host}"}`,
      ] as const,
  ),
  // Options
  ['an unknown option', chain({}), undefined, '{"Roots": 1}'],
  ['an option that is no string', chain({}), undefined, '{"DNSName": 1}'],
  ['a time that is no integer', chain({}), undefined, '{"CurrentTime": 1.5}'],
  ['a time of too many digits', chain({}), undefined, '{"CurrentTime": 99999999999999999999}'],
  ['a usage nobody knows', chain({}), undefined, '{"KeyUsages": ["KeyUsageNone"]}'],
  ['usages that are none', chain({}), undefined, '{"KeyUsages": "KeyUsageAny"}'],
  ['usages of which one is no string', chain({}), true, '{"KeyUsages": [1]}'],
  ['a bound on comparisons', chain({}), true, '{"MaxConstraintComparisons": 10}'],
  // Keys and signatures
  [
    'an RSA root',
    chain({
      root: { subject: rsaRoot, issuer: rsaRoot, algorithm: algorithm('1.2.840.113549.1.1.11', none) },
      middle: { issuer: rsaRoot, algorithm: algorithm('1.2.840.113549.1.1.11', none) },
    }),
    true,
  ],
  [
    'an RSA signature with SHA-512',
    chain({
      root: { subject: rsaRoot, issuer: rsaRoot, algorithm: algorithm('1.2.840.113549.1.1.11', none) },
      middle: { issuer: rsaRoot, algorithm: algorithm('1.2.840.113549.1.1.13', none), digest: 'sha512' },
    }),
    true,
  ],
  [
    'SHA-1',
    chain({
      root: { subject: rsaRoot, issuer: rsaRoot, algorithm: algorithm('1.2.840.113549.1.1.5', none) },
      middle: { issuer: rsaRoot, algorithm: algorithm('1.2.840.113549.1.1.5', none), digest: 'sha1' },
    }),
    false,
  ],
  [
    'MD5',
    chain({
      root: { subject: rsaRoot, issuer: rsaRoot, algorithm: algorithm('1.2.840.113549.1.1.4', none) },
      middle: { issuer: rsaRoot, algorithm: algorithm('1.2.840.113549.1.1.4', none), digest: 'md5' },
    }),
    false,
  ],
  [
    'an RSA key of 768 bits',
    chain({
      root: { subject: small, issuer: small, algorithm: algorithm('1.2.840.113549.1.1.11', none) },
      middle: { issuer: small, algorithm: algorithm('1.2.840.113549.1.1.11', none) },
    }),
    false,
  ],
  [
    'an Ed25519 root',
    chain({
      root: { subject: edRoot, issuer: edRoot, algorithm: algorithm('1.3.101.112'), digest: null },
      middle: { issuer: edRoot, algorithm: algorithm('1.3.101.112'), digest: null },
    }),
    true,
  ],
  [
    'an algorithm of another kind of key',
    chain({ middle: { algorithm: algorithm('1.2.840.113549.1.1.11', none) } }),
    false,
  ],
  ['an algorithm nobody knows', chain({ middle: { algorithm: algorithm('1.2.3') } }), false],
  // The search
  [
    'a loop of two',
    ((c) => [c[0], c[1], issue({ subject: root, issuer: middle, extensions: [ca] }), c[2]] as Buffer[])(
      chain({}),
    ),
    true,
  ],
  [
    'a loop without an end',
    [
      issue({ subject: stranger, issuer: stranger, extensions: [ca] }),
      issue({ subject: middle, issuer: root, extensions: [ca] }),
      issue({ subject: root, issuer: middle, extensions: [ca] }),
      issue({ subject: leaf, issuer: middle }),
    ],
    false,
  ],
  [
    'a hundred signatures of one name',
    [
      chain({})[0] as Buffer,
      ...Array.from({ length: 49 }, () =>
        issue({ subject: middle, issuer: stranger, issuerName: commonName('root'), extensions: [ca] }),
      ),
      ...chain({}).slice(1),
    ],
    true,
  ],
  [
    'more of one name than are tried',
    [
      chain({})[0] as Buffer,
      ...Array.from({ length: 101 }, (_, index) =>
        issue({
          subject: middle,
          issuer: stranger,
          issuerName: commonName('root'),
          serial: raw(2, Buffer.from([1, index])),
          extensions: [ca],
        }),
      ),
      ...chain({}).slice(1),
    ],
    false,
  ],
]

t.test(`${cases.length} chains are as valid as opa finds them`, (t) => judgeChains(t, cases))

import t from 'tap'
import fc from '../../fast-check.ts'
import { answersTo } from './against-opa.ts'
import {
  altNames,
  basicConstraints,
  extendedKeyUsage,
  extension,
  identity,
  inhibitAnyPolicy,
  issue,
  keyUsage,
  nameConstraints,
  named,
  pem,
  policies,
  policyConstraints,
  policyMappings,
  raw,
  seq,
  usages,
} from './certificates.ts'
import { jwkOf, pairs, pemOf, q, type Signer, secret, token } from './tokens.ts'

const people = ['a', 'b', 'c', 'd'].map((name) => identity(name))
/** The name of another with a key of its own. */
const impostor = identity('b')

const domains = [
  'example.com',
  'a.example.com',
  '.example.com',
  'A.Example.Com',
  'badexample.com',
  'a-a.com',
  'org',
  '',
]
const names = fc.oneof(
  fc.constantFrom(...domains, '*.example.com', '*.a.example.com').map((name) => named(2, name)),
  fc.constantFrom('u@example.com', '"q q"@example.com', 'bad', 'u@').map((name) => named(1, name)),
  fc
    .constantFrom('spiffe://example.com/x', 'https://A.example.com:1/', 'urn:x')
    .map((name) => named(6, name)),
  fc
    .constantFrom('0a000001', '20010db8000000000000000000000001')
    .map((hex) => named(7, Buffer.from(hex, 'hex'))),
)
const subtrees = fc.oneof(
  fc.tuple(fc.constantFrom(1, 2, 6), fc.constantFrom(...domains)).map(([tag, domain]) => named(tag, domain)),
  fc
    .constantFrom('0a000000ff000000', '0000000000000000', '0'.repeat(64))
    .map((hex) => named(7, Buffer.from(hex, 'hex'))),
)
const few = <T>(item: fc.Arbitrary<T>, max = 2) => fc.array(item, { maxLength: max })
const policy = fc.constantFrom('1.2.3', '1.2.4', '2.5.29.32.0')
const usage = fc.constantFrom(usages.server, usages.client, usages.any, '1.2.3.4')
const rarely = <T>(item: fc.Arbitrary<T>) => fc.option(item, { freq: 2, nil: undefined })
const keyId = fc.constantFrom('k1', 'k2')

/** One of each kind of extension at most, as a certificate may have. */
const extensions = fc
  .record({
    constraints: fc.option(
      fc.record({
        isCa: fc.constantFrom(true, true, true, false),
        length: fc.option(fc.nat({ max: 2 }), { nil: undefined }),
      }),
      { freq: 8, nil: undefined },
    ),
    usage: rarely(fc.constantFrom(0x04, 0x80)),
    extended: rarely(fc.uniqueArray(usage, { maxLength: 2 })),
    names: rarely(few(names)),
    nameConstraints: rarely(fc.tuple(few(subtrees), few(subtrees))),
    policies: rarely(fc.uniqueArray(policy, { maxLength: 3 })),
    explicit: rarely(fc.tuple(fc.nat({ max: 2 }), fc.option(fc.nat({ max: 1 }), { nil: undefined }))),
    mappings: rarely(few(fc.tuple(fc.constantFrom('1.2.3', '1.2.4'), fc.constantFrom('1.2.4', '1.2.5')))),
    inhibit: rarely(fc.nat({ max: 2 })),
    subjectKey: rarely(keyId),
    authorityKey: rarely(keyId),
  })
  .map((said) => [
    ...(said.constraints === undefined
      ? []
      : [basicConstraints(said.constraints.isCa, said.constraints.length)]),
    ...(said.usage === undefined ? [] : [keyUsage(said.usage)]),
    ...(said.extended === undefined ? [] : [extendedKeyUsage(...said.extended)]),
    ...(said.names === undefined ? [] : [altNames(...said.names)]),
    ...(said.nameConstraints === undefined ? [] : [nameConstraints(...said.nameConstraints)]),
    ...(said.policies === undefined ? [] : [policies(...said.policies)]),
    ...(said.explicit === undefined ? [] : [policyConstraints(...said.explicit)]),
    ...(said.mappings === undefined ? [] : [policyMappings(...said.mappings)]),
    ...(said.inhibit === undefined ? [] : [inhibitAnyPolicy(said.inhibit)]),
    ...(said.subjectKey === undefined ? [] : [extension('2.5.29.14', raw(4, said.subjectKey))]),
    ...(said.authorityKey === undefined ? [] : [extension('2.5.29.35', seq(raw(0x80, said.authorityKey)))]),
  ])

const chains = fc
  .tuple(
    fc.array(extensions, { minLength: 2, maxLength: 4 }),
    fc.nat({ max: 20 }),
    fc.constantFrom('{}', '{"KeyUsages": ["KeyUsageAny"]}', '{"DNSName": "a.example.com"}'),
  )
  .map(([each, chance, options]) => {
    const certificates = each.map((said, index) => {
      const issuer = chance === 20 && index > 0 ? impostor : people[Math.max(0, index - 1)]
      return issue({ subject: people[index] as never, issuer: issuer as never, extensions: said })
    })
    return `crypto.x509.parse_and_verify_certificates_with_options(${q(pem(...certificates))}, ${options})`
  })

const signers: readonly Signer[] = ['rsa', 'ec', 'ec521', 'ed', 'secret', 'nobody']
const certs = [
  ...Object.values(pairs).map(({ publicKey }) => pemOf(publicKey)),
  ...Object.values(pairs).map(({ privateKey }) => JSON.stringify(jwkOf(privateKey, { kid: '1' }))),
  JSON.stringify(secret),
  JSON.stringify({
    keys: [jwkOf(pairs.ec.publicKey, { kid: '1' }), jwkOf(pairs.rsa.publicKey, { alg: 'RS256' }), secret],
  }),
]
/** What a token by a signer would say, and what verifies it. */
const natural: Readonly<Record<Signer, readonly [alg: string, cert: string]>> = {
  rsa: ['RS256', pemOf(pairs.rsa.publicKey)],
  ec: ['ES256', pemOf(pairs.ec.publicKey)],
  ec521: ['ES512', pemOf(pairs.ec521.publicKey)],
  ed: ['EdDSA', pemOf(pairs.ed.publicKey)],
  secret: ['HS256', JSON.stringify(secret)],
  nobody: ['none', pemOf(pairs.rsa.publicKey)],
}
const claim = fc.constantFrom<unknown>('a', '', ['a', 1], 1.5, 4e9, 0, null)
const calls = fc
  .record({
    by: fc.constantFrom(...signers),
    isNatural: fc.boolean(),
    alg: fc.constantFrom('RS256', 'PS256', 'ES256', 'ES512', 'HS256', 'EdDSA', 'Ed25519', 'none', ''),
    kid: rarely(fc.constantFrom('1', '2')),
    digest: fc.constantFrom('sha256', 'sha256', 'sha512'),
    salt: rarely(fc.constantFrom(20, 32)),
    // A string is all that OPA can bear as an issuer.
    payload: fc.record(
      { aud: claim, exp: claim, nbf: claim, iss: fc.constantFrom('i', '') },
      { requiredKeys: [] },
    ),
    cert: fc.constantFrom(...certs),
    constraints: fc.record(
      { aud: fc.constantFrom('a', ''), iss: fc.constantFrom('i', ''), time: fc.constantFrom(0, 2e9, 2e18) },
      { requiredKeys: [] },
    ),
    name: fc.constantFrom('rs256', 'ps256', 'es256', 'es512', 'eddsa'),
  })
  .map(({ by, isNatural, kid, digest, salt, payload, constraints, name, ...other }) => {
    const [alg, cert] = isNatural ? natural[by] : [other.alg, other.cert]
    const header = { alg, kid }
    const text = q(token({ header, payload, by, digest, ...(salt !== undefined && { salt }) }))
    return [
      `io.jwt.decode_verify(${text}, ${JSON.stringify({ ...constraints, cert })})`,
      `io.jwt.verify_${name}(${text}, ${q(cert)})`,
    ]
  })

t.test('chains made by chance are as valid as opa finds them', async (t) => {
  const expressions = fc.sample(chains, { numRuns: 150, seed: 1 })
  const answers = await answersTo(expressions)
  for (const { expression, ours, theirs } of answers) t.equal(ours, theirs, expression)
  const valid = answers.filter(({ ours }) => ours?.startsWith('[true')).length
  t.ok(valid > 10 && valid < 140, `${valid} are valid: both answers were asked for`)
})

t.test('tokens made by chance are as good as opa finds them', async (t) => {
  const answers = await answersTo(fc.sample(calls, { numRuns: 250, seed: 1 }).flat())
  for (const { expression, ours, theirs } of answers) t.equal(ours, theirs, expression)
  const good = answers.filter(({ ours }) => ours === 'true' || ours?.startsWith('[true')).length
  t.ok(good > 10, `${good} are good`)
})

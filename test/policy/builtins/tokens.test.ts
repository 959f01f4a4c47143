import t from 'tap'
import type { Builtin } from '#policy/builtins/builtin.ts'
import { builtins } from '#policy/builtins/builtins.ts'
import fc from '../../fast-check.ts'
import { answersTo } from './against-opa.ts'
import { encoded, jwkOf, pairs, pemOf, q, type Signer, secret, token } from './tokens.ts'

const claims = { iss: 'i', aud: ['a', 'b'], sub: 'x', exp: 4_000_000_000 }
const good = token({ header: { alg: 'RS256', kid: '1' }, payload: claims, by: 'rsa' })
const es = token({ header: { alg: 'ES256' }, payload: { sub: 'x' }, by: 'ec' })
const wide = token({ header: { alg: 'ES256' }, payload: { sub: 'x' }, by: 'ec521' })
const hs = token({ header: { alg: 'HS256' }, payload: { sub: 'x' }, by: 'secret' })
const pss = (salt: number) => token({ header: { alg: 'PS256' }, payload: { sub: 'x' }, by: 'rsa', salt })
/** A public key taken for a secret: the oldest trick. */
const confused = token({ header: { alg: 'HS256' }, payload: { sub: 'x' }, by: 'rsa' })
const rsaPem = q(pemOf(pairs.rsa.publicKey))
const ecPem = q(pemOf(pairs.ec.publicKey))
const edPem = q(pemOf(pairs.ed.publicKey))
const set = (...keys: readonly object[]) => q(JSON.stringify({ keys }))
const rsaJwk = (more: object = {}) => jwkOf(pairs.rsa.publicKey, more)
const withCert = (cert: string, more = '') => `{"cert": ${cert}, "aud": "a"${more}}`
const nested = (inner: string, by: Signer = 'rsa', cty = 'JWT') =>
  token({ header: { alg: 'RS256', cty }, payload: inner, by })
const claiming = (payload: unknown) => token({ header: { alg: 'HS256' }, payload, by: 'secret' })
const halves = (signature: Buffer) => [signature.subarray(0, 32), signature.subarray(32)] as const
const longer = (() => {
  const [header, payload, signature] = es.split('.') as [string, string, string]
  const [r, s] = halves(Buffer.from(signature, 'base64url'))
  const zero = Buffer.alloc(1)
  return `${header}.${payload}.${Buffer.concat([zero, r, zero, s]).toString('base64url')}`
})()

const expressions = [
  // Keys
  ...[
    rsaPem,
    set(rsaJwk({ kid: '1' })),
    set(rsaJwk({ kid: '2' })),
    set(jwkOf(pairs.ec.publicKey, { kid: '1' }), rsaJwk({ kid: '1' })),
    set(jwkOf(pairs.ec.publicKey, { kid: '2' }), rsaJwk()),
    set(rsaJwk({ alg: 'RS512' })),
    set(rsaJwk({ alg: 'RS512', kid: '1' })),
    set(rsaJwk({ alg: 'RSA-OAEP' })),
    set(rsaJwk({ alg: 'ROT13' })),
    set(rsaJwk({ use: 'enc', key_ops: ['encrypt'] })),
    set(rsaJwk({ key_ops: 'verify' })),
    set(rsaJwk({ kid: 1 })),
    set(rsaJwk({ x5c: [] })),
    set(rsaJwk({ x5c: ['AAAA'] })),
    set(rsaJwk(), { kty: 'FOO' }),
    set(rsaJwk(), { kty: 'EC', crv: 'secp256k1', x: 'AA', y: 'AA' }),
    set(rsaJwk(), { ...jwkOf(pairs.ec.publicKey), y: jwkOf(pairs.ec.publicKey).x }),
    set(rsaJwk({ n: '' })),
    set(rsaJwk({ e: 'Ag' })),
    set(rsaJwk({ n: '!' })),
    set(rsaJwk(), { kty: 'OKP', crv: 'Ed448', x: 'AAAA' }),
    set(rsaJwk(), secret),
    set(),
    q('{"keys": null}'),
    q('{'),
    q(''),
    q('null'),
    q(JSON.stringify(jwkOf(pairs.rsa.privateKey))),
    q(JSON.stringify({ ...jwkOf(pairs.rsa.privateKey), q: undefined })),
    q(`${pemOf(pairs.rsa.publicKey)}\n`),
    q(`${pemOf(pairs.rsa.publicKey)}${pemOf(pairs.ec.publicKey)}`),
    q(`# a comment\n${pemOf(pairs.rsa.publicKey)}`),
    q(pemOf(pairs.rsa.publicKey).replaceAll('PUBLIC', 'RSA PUBLIC')),
    q(pemOf(pairs.rsa.publicKey).slice(0, -40)),
    edPem,
    ecPem,
  ].flatMap((key) => [
    `io.jwt.decode_verify(${q(good)}, ${withCert(key)})`,
    `io.jwt.verify_rs256(${q(good)}, ${key})`,
    `io.jwt.verify_es256(${q(good)}, ${key})`,
  ]),
  // Algorithms
  `io.jwt.decode_verify(${q(confused)}, {"cert": ${rsaPem}})`,
  `io.jwt.verify_hs256(${q(confused)}, ${rsaPem})`,
  `io.jwt.decode_verify(${q(token({ header: { alg: 'none' }, payload: {}, by: 'nobody' }))}, {"cert": ${rsaPem}})`,
  `io.jwt.decode_verify(${q(token({ header: { alg: 'none' }, payload: {}, by: 'nobody' }))}, {"secret": "secret"})`,
  `io.jwt.decode_verify(${q(token({ header: {}, payload: {}, by: 'rsa' }))}, {"cert": ${rsaPem}})`,
  `io.jwt.decode_verify(${q(hs)}, {"cert": ${q(JSON.stringify(secret))}})`,
  `io.jwt.verify_rs256(${q(hs)}, ${q(JSON.stringify(secret))})`,
  `io.jwt.decode_verify(${q(wide)}, {"cert": ${q(pemOf(pairs.ec521.publicKey))}})`,
  `io.jwt.verify_es256(${q(wide)}, ${q(pemOf(pairs.ec521.publicKey))})`,
  ...[20, 32, 64, 222].flatMap((salt) => [
    `io.jwt.decode_verify(${q(pss(salt))}, {"cert": ${rsaPem}})`,
    `io.jwt.verify_ps256(${q(pss(salt))}, ${rsaPem})`,
  ]),
  ...['EdDSA', 'Ed25519'].flatMap((alg) => {
    const text = q(token({ header: { alg }, payload: {}, by: 'ed' }))
    return [
      `io.jwt.decode_verify(${text}, {"cert": ${edPem}})`,
      `io.jwt.verify_eddsa(${text}, ${edPem})`,
      `io.jwt.decode_verify(${text}, {"cert": ${q(JSON.stringify(jwkOf(pairs.ed.privateKey)))}})`,
      `io.jwt.verify_eddsa(${text}, ${q(JSON.stringify(jwkOf(pairs.ed.privateKey)))})`,
    ]
  }),
  `io.jwt.verify_es256(${q(longer)}, ${ecPem})`,
  `io.jwt.decode_verify(${q(longer)}, {"cert": ${ecPem}})`,
  `io.jwt.verify_es256(${q(`${es.slice(0, es.lastIndexOf('.'))}.AAAA`)}, ${ecPem})`,
  // Constraints
  ...[
    '{}',
    '{"secret": ""}',
    '{"secret": "secret", "cert": ""}',
    `{"secret": "secret", "cert": ${rsaPem}}`,
    `{"secret": "", "cert": ${rsaPem}}`,
    '{"secret": "secret", "alg": "HS256"}',
    '{"secret": "secret", "alg": "hs256"}',
    '{"secret": "secret", "alg": ""}',
    '{"secret": "secret", "time": "now"}',
    '{"secret": "secret", "time": -1}',
    '{"secret": "secret", "time": 1e400}',
    '{"secret": "secret", "iss": 1}',
    '{"secret": 1}',
  ].map((constraints) => `io.jwt.decode_verify(${q(hs)}, ${constraints})`),
  // Claims, of which each type is another story
  ...[
    ['{"aud": ""}', ''],
    ['{"aud": []}', ''],
    ['{"aud": [1, "a"]}', ', "aud": "a"'],
    ['{"aud": "a"}', ', "aud": ["a"]'],
    ['{"aud": 1}', ''],
    ['{"aud": null}', ', "aud": "a"'],
    ['{}', ', "aud": "a"'],
    ['{}', ', "iss": "i"'],
    ['{"iss": "i"}', ''],
    ['{"exp": "4000000000"}', ''],
    ['{"exp": null}', ''],
    ['{"exp": 4000000000.5}', ''],
    ['{"exp": 1.5}', ', "time": 1499999999'],
    ['{"exp": 1.5}', ', "time": 1500000000'],
    ['{"exp": 1500000000000000000000000000001}', ''],
    ['{"exp": 99999999999999999999.9}', ', "time": 5e27'],
    ['{"nbf": 1.5}', ', "time": 1500000000'],
    ['{"nbf": 1.5}', ', "time": 1499999999'],
    ['{"nbf": true}', ''],
    ['{"exp": 0}', ', "time": 0'],
    ['{"exp": 1, "exp": 4000000000}', ''],
    ['{"sub": "\\ud800"}', ''],
    ['{"sub": "\\u0000"}', ''],
    ['[]', ''],
    ['1', ''],
    ['', ''],
    ['{} {}', ''],
    [`{"deep": ${'['.repeat(500)}${']'.repeat(500)}}`, ''],
  ].map(([payload, more]) => `io.jwt.decode_verify(${q(claiming(payload))}, {"secret": "secret"${more}})`),
  `io.jwt.decode(${q(`${encoded({ alg: 'x' })}.${Buffer.from('7b2261223a22e28241ff80c3a9227d', 'hex').toString('base64url')}.`)})`,
  // Headers
  ...[
    { kid: 1 },
    { typ: 1 },
    { crit: 'x' },
    { crit: [] },
    { crit: [1, 'x'] },
    { crit: ['x'], x: 1 },
    { enc: null },
  ].flatMap((more) => {
    const text = q(token({ header: { alg: 'HS256', ...more }, payload: {}, by: 'secret' }))
    return [
      `io.jwt.decode_verify(${text}, {"secret": "secret"})`,
      `io.jwt.verify_hs256(${text}, "secret")`,
      `io.jwt.verify_rs256(${text}, ${rsaPem})`,
      `io.jwt.decode(${text})`,
    ]
  }),
  // Tokens in tokens
  ...[
    nested(good),
    nested(good, 'rsa', 'jwt'),
    nested(`"${good}"`),
    nested(good, 'ec'),
    nested(hs),
    nested('x'),
    nested(nested(good)),
  ].flatMap((text) => [`io.jwt.decode(${q(text)})`, `io.jwt.decode_verify(${q(text)}, ${withCert(rsaPem)})`]),
  // Forms
  ...[
    `${good}=`,
    `${good}\n`,
    ` ${good}`,
    good.replace('.', '..'),
    `${good}.`,
    '..',
    '.',
    '',
    'a.b.c',
    `\u0000${good}`,
    good.replace('.', '\n.'),
    `${good.slice(0, -1)}+`,
  ].flatMap((text) => [
    `io.jwt.decode(${q(text)})`,
    `io.jwt.verify_rs256(${q(text)}, ${rsaPem})`,
    `io.jwt.decode_verify(${q(text)}, ${withCert(rsaPem)})`,
  ]),
  'io.jwt.verify_hs256("!.!.", "secret")',
  `io.jwt.verify_hs256(${q(hs)}, "")`,
  `io.jwt.decode(${q(`${encoded('{"alg":"x"}')}.${encoded('{"a":1}')}.${encoded('s')}`)})`,
]

t.test(`${expressions.length} calls with tokens answer as opa's`, async (t) => {
  for (const { expression, ours, theirs } of await answersTo(expressions)) t.equal(ours, theirs, expression)
})

t.test(
  'an algorithm that only the library of opa has a name for is refused, where opa takes it',
  async (t) => {
    const named = (alg: string, by: Signer) => q(token({ header: { alg }, payload: {}, by }))
    const answers = await answersTo([
      `io.jwt.decode_verify(${named('HMAC_WITH_SHA256', 'secret')}, {"secret": "secret"})`,
      `io.jwt.decode_verify(${named('ECDSA_WITH_P256_AND_SHA256', 'ec')}, {"cert": ${ecPem}})`,
    ])
    for (const { expression, ours, theirs } of answers) {
      t.equal(ours, '[false,{},{}]', expression)
      t.match(theirs, /^\[true/, 'opa takes it')
    }
  },
)

t.test('what makes opa panic is undefined', async (t) => {
  const call = (name: string, ...operands: unknown[]) =>
    builtins.get(name)?.({ nowNs: 0n }, ...(operands as string[]))
  const typed = token({ header: { alg: 'HS256', cty: 1 }, payload: {}, by: 'secret' })
  t.throws(() => call('io.jwt.decode', typed))
  t.throws(() => call('io.jwt.decode_verify', typed, { secret: 'secret' }))
  t.throws(() => call('io.jwt.decode_verify', claiming({ iss: 1 }), { secret: 'secret', iss: 'i' }))
})

t.test(
  'a signature that was found good says nothing of the time, of another key or another token',
  async (t) => {
    const decodeVerify = builtins.get('io.jwt.decode_verify') as Builtin
    const verify = (text: string, cert: string, nowNs: bigint) =>
      (decodeVerify({ nowNs }, text, { cert, aud: 'a' }) as readonly unknown[])[0]
    const [key, other] = [pemOf(pairs.rsa.publicKey), JSON.stringify(jwkOf(pairs.ec.publicKey))]
    const [before, after] = [1_700_000_000_000_000_000n, 4_000_000_000_000_000_000n]
    for (let round = 0; round < 2; round++) {
      t.equal(verify(good, key, before), true, 'good')
      t.equal(verify(good, key, after), false, 'expired')
      t.equal(verify(good, other, before), false, 'another key')
      const forged = good.replace(/\.[^.]+\./, `.${encoded({ ...claims, sub: 'root' })}.`)
      t.equal(verify(forged, key, before), false, 'other claims')
    }
  },
)

t.test('long nonsense in a token ends soon', async (t) => {
  const decode = builtins.get('io.jwt.decode') as Builtin
  const header = encoded({ alg: 'HS256', cty: 'JWT' })
  for (const payload of [
    `${'"'.repeat(300_000)}x`,
    '.'.repeat(300_000),
    '['.repeat(300_000),
    '9'.repeat(300_000),
  ]) {
    for (const text of [
      `${header}.${encoded(payload)}.`,
      `${encoded({ alg: 'x' })}.${encoded(payload)}.`,
      payload,
    ])
      t.throws(() => decode({ nowNs: 0n }, text), `${payload.slice(0, 5)}… in ${text.length} characters`)
  }
})

t.test('a claim of a great many digits is read, and soon', async (t) => {
  const verify = builtins.get('io.jwt.decode_verify') as Builtin
  const text = claiming(`{"exp": 1${'0'.repeat(300_000)}1}`)
  const [isValid] = verify({ nowNs: 0n }, text, { secret: 'secret' }) as readonly unknown[]
  t.equal(isValid, true)
})

t.test('no damage to a token leaves it valid', async (t) => {
  const key = pemOf(pairs.ec.publicKey)
  const isTrue = (text: string) => {
    try {
      const answer = builtins.get('io.jwt.decode_verify')?.({ nowNs: 0n }, text, {
        cert: key,
      }) as readonly unknown[]
      return answer[0] === true || builtins.get('io.jwt.verify_es256')?.({ nowNs: 0n }, text, key) === true
    } catch {
      // Undefined.
      return false
    }
  }
  t.ok(isTrue(es))
  // The last character holds bits that mean nothing, which Go takes as they come.
  const place = fc.nat({ max: es.length - 2 })
  fc.assert(
    fc.property(
      place,
      fc.constantFrom(...'AQgw_-.=+/\n\u0000 é"'),
      fc.boolean(),
      (at, character, isInserted) => {
        fc.pre(isInserted ? character !== '\n' : es[at] !== character)
        return !isTrue(es.slice(0, at) + character + es.slice(isInserted ? at : at + 1))
      },
    ),
    { numRuns: 500 },
  )
})

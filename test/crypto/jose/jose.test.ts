import { generateKeyPairSync, type JsonWebKey, sign } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import t from 'tap'
import { decodeBase64url } from '#crypto/jose/base64url.ts'
import { parsePublicJwk, type VerifyingKey } from '#crypto/jose/jwk.ts'
import { isSameKeys, parseJwkSet } from '#crypto/jose/jwk-set.ts'
import { parseCompactJws, verifyJws } from '#crypto/jose/jws.ts'
import fc from '../../fast-check.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const ed25519 = generateKeyPairSync('ed25519')
const jwkOf = ({ publicKey }: Pick<typeof p256, 'publicKey'>): JsonWebKey =>
  publicKey.export({ format: 'jwk' })
const [rsaJwk, p256Jwk, p384Jwk, p521Jwk, edJwk] = [rsa, p256, p384, p521, ed25519].map(jwkOf) as [
  JsonWebKey,
  JsonWebKey,
  JsonWebKey,
  JsonWebKey,
  JsonWebKey,
]

t.test('some octets have one spelling in base64url', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (octets) => {
      t.same(decodeBase64url(Buffer.from(octets).toString('base64url')), Buffer.from(octets))
    }),
  )
  for (const text of ['YQ==', 'YQ=', 'YR', 'Y', 'Y+', 'a/b0', 'YQ\n', ' YQ', 'Y Q', 'YQ.', 'Yé', 'AA\0'])
    t.equal(decodeBase64url(text), undefined, JSON.stringify(text))
})

t.test('a JWK that is no public key to check signatures with is refused', async (t) => {
  const { n = '', e = '' } = rsaJwk
  const modulus = Buffer.from(n, 'base64url')
  const changed = (change: (octets: Buffer) => void) => {
    const octets = Buffer.from(modulus)
    change(octets)
    return octets.toString('base64url')
  }
  const { y: _, ...withoutY } = p256Jwk
  const rows: [name: string, jwk: unknown, why: RegExp][] = [
    ['null', null, /not an object/],
    ['a list', [], /not an object/],
    ['text', 'key', /not an object/],
    ['nothing in it', {}, /another type/],
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0' }, /has k/],
    ['a type in another case', { ...rsaJwk, kty: 'rsa' }, /another type/],
    ['a private RSA key', rsa.privateKey.export({ format: 'jwk' }), /has d/],
    ['a private EC key', p256.privateKey.export({ format: 'jwk' }), /has d/],
    ['a private Ed25519 key', ed25519.privateKey.export({ format: 'jwk' }), /has d/],
    ['a private member that is null', { ...p256Jwk, d: null }, /has d/],
    ['a prime', { ...rsaJwk, p: 'AQ' }, /has p/],
    ['1024 bits', { ...rsaJwk, n: changed((o) => o).slice(0, 171) }, /bits|no number|even/],
    [
      '2047 bits',
      {
        ...rsaJwk,
        n: changed((o) => {
          o[0] = 0x7f
        }),
      },
      /2047 bits/,
    ],
    ['more than 8192 bits', { ...rsaJwk, n: Buffer.alloc(1025, 0xff).toString('base64url') }, /8200 bits/],
    [
      'zeros before the modulus',
      { ...rsaJwk, n: Buffer.concat([Buffer.alloc(1), modulus]).toString('base64url') },
      /zeros/,
    ],
    [
      'an even modulus',
      {
        ...rsaJwk,
        n: changed((o) => {
          o[255] = (o[255] as number) & 0xfe
        }),
      },
      /even modulus/,
    ],
    ['an empty modulus', { ...rsaJwk, n: '' }, /zeros/],
    ['a padded modulus', { ...rsaJwk, n: `${n}==` }, /no number/],
    ['a modulus that is a number', { ...rsaJwk, n: 5 }, /no number/],
    ['the exponent 1', { ...rsaJwk, e: 'AQ' }, /exponent/],
    ['an even exponent', { ...rsaJwk, e: 'BA' }, /exponent/],
    ['the exponent 0', { ...rsaJwk, e: 'AA' }, /zeros/],
    ['an exponent of 40 bits', { ...rsaJwk, e: Buffer.alloc(5, 1).toString('base64url') }, /too large/],
    ['no exponent', { ...rsaJwk, e: undefined }, /no number/],
    ['secp256k1', { ...p256Jwk, crv: 'secp256k1' }, /another curve/],
    ['no curve', { ...p256Jwk, crv: undefined }, /another curve/],
    ['a curve that is none', { ...p256Jwk, crv: 'toString' }, /another curve/],
    ['no y', withoutY, /32 octets/],
    ['coordinates of another curve', { ...p384Jwk, crv: 'P-256' }, /32 octets/],
    ['a point off the curve', { ...p256Jwk, y: p256Jwk.x }, /no key/],
    ['the point 0, 0', { ...p256Jwk, x: 'A'.repeat(43), y: 'A'.repeat(43) }, /no key/],
    ['X25519', { ...edJwk, crv: 'X25519' }, /another curve/],
    ['Ed448', { ...edJwk, crv: 'Ed448' }, /another curve/],
    ['31 octets of Ed25519', { ...edJwk, x: Buffer.alloc(31, 1).toString('base64url') }, /32 octets/],
    ['for encryption', { ...rsaJwk, use: 'enc' }, /\(use\)/],
    ['for certificates', { ...p256Jwk, use: 'x509-svid' }, /\(use\)/],
    ['a use that is no text', { ...p256Jwk, use: ['sig'] }, /\(use\)/],
    ['to sign with', { ...p256Jwk, key_ops: ['sign'] }, /key_ops/],
    ['an operation twice', { ...p256Jwk, key_ops: ['verify', 'verify'] }, /key_ops/],
    ['operations that are no list', { ...p256Jwk, key_ops: 'verify' }, /key_ops/],
    ['an encryption algorithm', { ...rsaJwk, alg: 'RSA-OAEP' }, /alg/],
    ['HMAC by a public key', { ...rsaJwk, alg: 'HS256' }, /alg/],
    ['another family', { ...p256Jwk, alg: 'RS256' }, /alg/],
    ['another curve’s algorithm', { ...p256Jwk, alg: 'ES384' }, /alg/],
    ['none', { ...rsaJwk, alg: 'none' }, /alg/],
    ['an alg that is no text', { ...rsaJwk, alg: 1 }, /alg/],
    ['an empty kid', { ...p256Jwk, kid: '' }, /kid/],
    ['a kid that is a number', { ...p256Jwk, kid: 1 }, /kid/],
    ['a very long kid', { ...p256Jwk, kid: 'k'.repeat(1025) }, /kid/],
    ['members that are inherited', Object.create(p256Jwk), /another type/],
  ]
  for (const [name, jwk, why] of rows) t.match(parsePublicJwk(jwk), { ok: false, why }, name)
  const fits: [jwk: JsonWebKey, kind: string, coordinateBytes: number, alg: string][] = [
    [rsaJwk, 'rsa', 0, 'PS512'],
    [{ ...rsaJwk, e: 'Aw' }, 'rsa', 0, 'RS256'],
    [p256Jwk, 'ecdsa', 32, 'ES256'],
    [p384Jwk, 'ecdsa', 48, 'ES384'],
    [p521Jwk, 'ecdsa', 66, 'ES512'],
    [edJwk, 'ed25519', 0, 'EdDSA'],
    [edJwk, 'ed25519', 0, 'Ed25519'],
  ]
  for (const [jwk, kind, coordinateBytes, alg] of fits) {
    const more = { alg, kid: 'k', use: 'sig', key_ops: ['verify'], x5c: ['whatever'] }
    t.match(
      parsePublicJwk({ ...jwk, ...more }),
      { ok: true, key: { kind, coordinateBytes, alg, kid: 'k', use: 'sig' } },
      alg,
    )
  }
  t.ok(e)
})

t.test('a thumbprint is of the key alone, as others compute it', async (t) => {
  // The example of RFC 7638, 3.1.
  const example = {
    kty: 'RSA',
    n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
    e: 'AQAB',
    alg: 'RS256',
    kid: '2011-04-29',
  }
  t.match(parsePublicJwk(example), { key: { thumbprint: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs' } })
  for (const jwk of [rsaJwk, p256Jwk, p384Jwk, p521Jwk, edJwk])
    t.match(parsePublicJwk({ use: 'sig', ...jwk, kid: 'x' }), {
      key: { thumbprint: await calculateJwkThumbprint(jwk as never) },
    })
})

t.test('of a JWK set what cannot be used is passed over; the set itself must be in order', async (t) => {
  const setOf = (...keys: unknown[]) => parseJwkSet(JSON.stringify({ keys }))
  const mixed = setOf(
    { ...p256Jwk, kid: 'a' },
    { ...rsaJwk, kid: 'a' },
    { kty: 'oct', k: 'AA' },
    { ...edJwk, use: 'enc' },
    { ...p384Jwk, use: 'jwt-svid' },
    'no key',
  )
  t.match(mixed, {
    ok: true,
    set: {
      keys: [
        { kid: 'a', kind: 'ecdsa' },
        { kid: 'a', kind: 'rsa' },
      ],
    },
  })
  t.match(mixed.ok && mixed.set.skipped, [
    /keys\[2\] has k/,
    /keys\[3\] is not for/,
    /keys\[4\] is for jwt-svid/,
    /keys\[5\] not an/,
  ])
  t.match(
    setOf(),
    { ok: true, set: { keys: [], skipped: [] } },
    'an empty set says that nothing is to be trusted',
  )
  t.match(parseJwkSet(JSON.stringify({ keys: [{ ...p384Jwk, use: 'jwt-svid' }] }), { use: 'jwt-svid' }), {
    set: { keys: [{ use: 'jwt-svid' }] },
  })
  const rows: [name: string, text: string, why: RegExp][] = [
    ['no JSON', '<html>', /not JSON/],
    ['a list', '[]', /not a JWK set/],
    ['no keys', '{}', /not a JWK set/],
    ['keys that are no list', '{"keys":{}}', /not a JWK set/],
    ['keys twice', '{"keys":[],"keys":[]}', /stands twice/],
    ['65 keys', JSON.stringify({ keys: Array.from({ length: 65 }, () => p256Jwk) }), /65 keys/],
    ['too large', JSON.stringify({ keys: [], x: 'x'.repeat(1 << 20) }), /larger than/],
  ]
  for (const [name, text, why] of rows) t.match(parseJwkSet(text), { ok: false, why }, name)
})

t.test('keys are the same where the key, its name and its algorithm are', async (t) => {
  const keysOf = (...jwks: object[]) =>
    jwks.map((jwk) => (parsePublicJwk(jwk) as { readonly key: VerifyingKey }).key)
  t.ok(isSameKeys(keysOf(p256Jwk, rsaJwk), keysOf({ ...p256Jwk, use: 'sig' }, rsaJwk)))
  for (const other of [
    [],
    [rsaJwk],
    [{ ...p256Jwk, kid: 'x' }],
    [{ ...p256Jwk, alg: 'ES256' }],
    [p256Jwk, p256Jwk],
  ])
    t.notOk(isSameKeys(keysOf(p256Jwk), keysOf(...other)))
})

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const raw = (text: string | Buffer) => Buffer.from(text).toString('base64url')
const key = (parsePublicJwk(p256Jwk) as { readonly key: VerifyingKey }).key

function token(header: string, payload: string): string {
  const signed = `${header}.${payload}`
  return `${signed}.${sign('sha256', Buffer.from(signed), { key: p256.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

t.test('a token that could be read in two ways is not read', async (t) => {
  const good = token(part({ alg: 'ES256' }), part({ iss: 'a' }))
  const [header = '', payload = '', signature = ''] = good.split('.')
  // The last of 86 characters has 4 bits that count.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = alphabet[alphabet.indexOf(signature.at(-1) as string) + 1]
  const rows: [name: string, text: string, why: RegExp][] = [
    ['nothing', '', /three parts/],
    ['two parts', `${header}.${payload}`, /three parts/],
    ['four parts', `${good}.a`, /three parts/],
    ['five parts, as encrypted ones have', `${good}.d.e`, /three parts/],
    ['no header', `.${payload}.${signature}`, /header/],
    ['no payload', `${header}..${signature}`, /payload/],
    ['no signature', `${header}.${payload}.`, /signature/],
    ['a padded signature', `${good}==`, /signature/],
    ['bits left over', good.slice(0, -1) + twin, /signature/],
    ['a line end', `${good}\n`, /signature/],
    ['a space before it', ` ${good}`, /header/],
    [
      'standard base64',
      good.replace(/[-_]/g, '+').replace(signature, `${signature.slice(0, -2)}+/`),
      /base64url/,
    ],
    ['a list as header', token(part([]), payload), /header: not a JSON object/],
    ['a text as payload', token(header, part('a')), /payload: not a JSON object/],
    ['null as payload', token(header, part(null)), /payload: not a JSON object/],
    ['no JSON', token(header, raw('a')), /payload: not JSON/],
    ['no UTF-8', token(header, raw(Buffer.from('7b2261223a22ff227d', 'hex'))), /not UTF-8/],
    ['a byte order mark', token(header, raw('\ufeff{}')), /payload: not JSON/],
    ['a claim twice', token(header, raw('{"tenant":"a","tenant":"b"}')), /stands twice/],
    ['alg twice', token(raw('{"alg":"none","alg":"ES256"}'), payload), /stands twice/],
    ['no alg', token(part({}), payload), /no alg/],
    ['an alg that is a list', token(part({ alg: ['ES256'] }), payload), /no alg/],
    ['a kid that is a number', token(part({ alg: 'ES256', kid: 1 }), payload), /kid/],
    ['a typ that is null', token(part({ alg: 'ES256', typ: null }), payload), /typ/],
    ['crit', token(part({ alg: 'ES256', crit: ['exp'], exp: 1 }), payload), /crit/],
    ['an empty crit', token(part({ alg: 'ES256', crit: [] }), payload), /crit/],
    ['b64', token(part({ alg: 'ES256', b64: true }), payload), /b64/],
    ['too long', token(header, part({ a: 'a'.repeat(8192) })), /longer than/],
  ]
  for (const [name, text, why] of rows) t.match(parseCompactJws(text), { ok: false, why }, name)
  t.match(parseCompactJws(good), { ok: true, jws: { alg: 'ES256', claims: { iss: 'a' } } })
  const typed = (typ: string) => parseCompactJws(token(part({ alg: 'ES256', typ }), payload))
  for (const typ of ['at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/At+Jwt'])
    t.match(typed(typ), { jws: { typ: 'at+jwt' } }, typ)
})

t.test('no text makes the reader throw', async (t) => {
  const good = token(part({ alg: 'ES256', kid: 'a' }), part({ iss: 'a', aud: ['b', { c: null }] }))
  fc.assert(
    fc.property(
      fc.nat(good.length),
      fc.string({ unit: 'binary', maxLength: 3 }),
      fc.nat(3),
      (at, put, drop) => {
        const text = good.slice(0, at) + put + good.slice(at + drop)
        const parsed = parseCompactJws(text)
        if (text !== good && parsed.ok) t.notOk(verifyJws(parsed.jws, key, 'ES256'), text)
      },
    ),
    { numRuns: 500 },
  )
  t.pass()
})

t.test(
  'a signature is checked by the algorithm that the caller permits, with a key that is for it',
  async (t) => {
    const signers = {
      RS256: (data: Buffer) => sign('sha256', data, rsa.privateKey),
      PS256: (data: Buffer) => sign('sha256', data, { key: rsa.privateKey, padding: 6, saltLength: 32 }),
      ES256: (data: Buffer) => sign('sha256', data, { key: p256.privateKey, dsaEncoding: 'ieee-p1363' }),
      ES384: (data: Buffer) => sign('sha384', data, { key: p384.privateKey, dsaEncoding: 'ieee-p1363' }),
      ES512: (data: Buffer) => sign('sha512', data, { key: p521.privateKey, dsaEncoding: 'ieee-p1363' }),
      EdDSA: (data: Buffer) => sign(null, data, ed25519.privateKey),
    }
    const keyFor = {
      RS256: rsaJwk,
      PS256: rsaJwk,
      ES256: p256Jwk,
      ES384: p384Jwk,
      ES512: p521Jwk,
      EdDSA: edJwk,
    }
    const keyed = (jwk: object) => (parsePublicJwk(jwk) as { readonly key: VerifyingKey }).key
    for (const [alg, signer] of Object.entries(signers)) {
      const jwsOf = (change: (signature: Buffer) => Buffer = (signature) => signature) => {
        const signed = `${part({ alg })}.${part({})}`
        const parsed = parseCompactJws(
          `${signed}.${change(signer(Buffer.from(signed))).toString('base64url')}`,
        )
        if (!parsed.ok) throw new Error(parsed.why)
        return parsed.jws
      }
      const own = keyFor[alg as keyof typeof keyFor]
      t.ok(verifyJws(jwsOf(), keyed(own), alg), alg)
      t.ok(verifyJws(jwsOf(), keyed({ ...own, alg }), alg), alg)
      for (const other of Object.keys(signers))
        if (other !== alg) t.notOk(verifyJws(jwsOf(), keyed(own), other), `${alg} as ${other}`)
      for (const [other, jwk] of Object.entries(keyFor))
        if (jwk !== own) t.notOk(verifyJws(jwsOf(), keyed(jwk), alg), `${alg} with a key of ${other}`)
      t.notOk(
        verifyJws(
          jwsOf((s) => s.subarray(1)),
          keyed(own),
          alg,
        ),
        `${alg}: an octet less`,
      )
      t.notOk(
        verifyJws(
          jwsOf((s) => Buffer.concat([Buffer.alloc(1), s])),
          keyed(own),
          alg,
        ),
        `${alg}: a zero before it`,
      )
      t.notOk(
        verifyJws(
          jwsOf((s) => Buffer.concat([s, Buffer.alloc(1)])),
          keyed(own),
          alg,
        ),
        `${alg}: a zero behind it`,
      )
      t.notOk(
        verifyJws(
          jwsOf((s) => Buffer.alloc(s.length)),
          keyed(own),
          alg,
        ),
        `${alg}: zeros`,
      )
    }
    const [forPs256, forRs256] = [keyed({ ...rsaJwk, alg: 'PS256' }), keyed({ ...rsaJwk, alg: 'RS256' })]
    const signed = `${part({ alg: 'RS256' })}.${part({})}`
    const parsed = parseCompactJws(`${signed}.${signers.RS256(Buffer.from(signed)).toString('base64url')}`)
    t.ok(parsed.ok && verifyJws(parsed.jws, forRs256, 'RS256'))
    t.notOk(parsed.ok && verifyJws(parsed.jws, forPs256, 'RS256'), 'a key for PS256 is none for RS256')
    const der = sign('sha256', Buffer.from(`${part({ alg: 'ES256' })}.${part({})}`), p256.privateKey)
    const inDer = parseCompactJws(`${part({ alg: 'ES256' })}.${part({})}.${der.toString('base64url')}`)
    t.notOk(inDer.ok && verifyJws(inDer.jws, key, 'ES256'), 'a signature in DER')
  },
)

t.test(
  'every ECDSA signature is good with its key and with no other, whatever its numbers begin with',
  async (t) => {
    for (const [alg, digest, pair, jwk] of [
      ['ES256', 'sha256', p256, p256Jwk],
      ['ES384', 'sha384', p384, p384Jwk],
      // Of its 66 octets a number fills 521 bits: every other one begins with a zero.
      ['ES512', 'sha512', p521, p521Jwk],
    ] as const) {
      const own = (parsePublicJwk(jwk) as { readonly key: VerifyingKey }).key
      for (let each = 0; each < 40; each++) {
        const signed = `${part({ alg })}.${part({ each })}`
        const by = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' } as const
        const signature = sign(digest, Buffer.from(signed), by)
        const parsed = (bytes: Buffer) => parseCompactJws(`${signed}.${bytes.toString('base64url')}`)
        const [good, wrong] = [
          parsed(signature),
          parsed(Buffer.from(signature).fill(0, 0, signature.length / 2)),
        ]
        if (!good.ok || !wrong.ok) throw new Error('not read')
        t.ok(verifyJws(good.jws, own, alg), signature.toString('hex'))
        t.notOk(verifyJws(wrong.jws, own, alg), `${alg}: one of its numbers is nothing`)
      }
    }
  },
)

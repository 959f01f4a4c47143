import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import t from 'tap'
import { answersTo } from './against-opa.ts'
import { id, identity, int, issue, pem, raw, seq } from './certificates.ts'
import { jwkOf, pairs, pemOf, q, secret } from './tokens.ts'

const curves = ['secp224r1', 'prime256v1', 'secp384r1', 'secp521r1', 'secp256k1'].map((namedCurve) =>
  generateKeyPairSync('ec', { namedCurve }),
)
const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
const others = [
  generateKeyPairSync('x25519'),
  generateKeyPairSync('ed448'),
  generateKeyPairSync('x448'),
  generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 }),
]
const der = (key: KeyObject, type: 'pkcs1' | 'pkcs8' | 'sec1') =>
  key.export({ format: 'der', type } as never) as unknown as Buffer
const sealed = (type: string, bytes: Buffer) =>
  `-----BEGIN ${type}-----\n${bytes.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END ${type}-----\n`

const ec = curves[1]?.privateKey as KeyObject
const pkcs1 = der(rsa.privateKey, 'pkcs1')
/** The key's numbers, big-endian, to put together anew. */
const numbers = (() => {
  const jwk = rsa.privateKey.export({ format: 'jwk' })
  const positive = (octets: Buffer) =>
    raw(2, (octets[0] as number) >= 0x80 ? Buffer.concat([Buffer.alloc(1), octets]) : octets)
  return ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'].map((name) =>
    positive(Buffer.from(jwk[name as 'n'] as string, 'base64url')),
  )
})()
const remade = (...indexes: readonly number[]) =>
  seq(int(0), ...indexes.map((index) => numbers[index] as Buffer))
const d = Buffer.from(ec.export({ format: 'jwk' }).d as string, 'base64url')
const p256 = raw(0xa0, id('1.2.840.10045.3.1.7'))

const rsaKeys = [
  pkcs1,
  remade(0, 1, 2, 3, 4),
  remade(0, 1, 2, 3, 4, 5, 6),
  remade(0, 1, 2, 4, 3),
  remade(0, 1, 2, 4, 3, 5, 6, 7),
  remade(0, 1, 2, 3, 3),
  remade(0, 1, 3, 3, 4),
  remade(1, 1, 2, 3, 4),
  remade(0, 1, 2),
  seq(int(1), ...numbers),
  seq(int(2), ...numbers),
  Buffer.concat([pkcs1, Buffer.from([0])]),
  pkcs1.subarray(0, -1),
].map((bytes) => sealed('RSA PRIVATE KEY', bytes))
const ecKeys = [
  ...curves.map(({ privateKey }) => der(privateKey, 'sec1')),
  seq(int(1), raw(4, d), p256),
  seq(int(1), raw(4, Buffer.concat([Buffer.alloc(3), d])), p256),
  seq(int(1), raw(4, d.subarray(1)), p256),
  seq(int(1), raw(4, ''), p256),
  seq(int(1), raw(4, Buffer.alloc(32)), p256),
  seq(int(1), raw(4, Buffer.alloc(32, 0xff)), p256),
  seq(int(1), raw(4, Buffer.concat([Buffer.from([1]), d])), p256),
  seq(int(1), raw(4, d)),
  seq(int(2), raw(4, d), p256),
].map((bytes) => sealed('EC PRIVATE KEY', bytes))
const allPkcs8 = [rsa, ...curves, pairs.ed, ...others].map(({ privateKey }) =>
  sealed('PRIVATE KEY', der(privateKey, 'pkcs8')),
)
const edSeed = (seed: Buffer, ...more: readonly Buffer[]) =>
  sealed('PRIVATE KEY', seq(int(0), seq(id('1.3.101.112'), ...more), raw(4, raw(4, seed))))
const texts = [
  ...rsaKeys,
  ...ecKeys,
  ...allPkcs8,
  edSeed(Buffer.alloc(32, 7)),
  edSeed(Buffer.alloc(31, 7)),
  edSeed(Buffer.alloc(32, 7), Buffer.from([5, 0])),
  rsaKeys[0] + (allPkcs8[6] as string) + pemOf(rsa.publicKey),
  pemOf(rsa.publicKey),
  sealed('ENCRYPTED PRIVATE KEY', Buffer.from('x')),
  sealed('PRIVATE KEY', pkcs1),
  sealed('RSA PRIVATE KEY', der(rsa.privateKey, 'pkcs8')),
  `${rsaKeys[0]}trailing`,
  'nothing',
  '',
  '\0',
  'AAAA',
]
const inBase64 = (text: string) => Buffer.from(text).toString('base64')

const signer = (key: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }) => {
  const who = { name: 'k', ...key }
  const own = identity('ca')
  return pem(issue({ subject: who, issuer: own }))
}
const [certificate, another] = [
  signer({ publicKey: curves[1]?.publicKey as KeyObject, privateKey: ec }),
  signer(pairs.ec),
]
const ecKey = ecKeys[1] as string
const pairsOf: readonly (readonly [string, string])[] = [
  [certificate, ecKey],
  [certificate, allPkcs8[2] as string],
  [another, ecKey],
  [certificate + another, ecKey],
  [another + certificate, ecKey],
  [signer(rsa), rsaKeys[0] as string],
  [signer(rsa), sealed('ANY PRIVATE KEY', pkcs1)],
  [signer(rsa), ecKey],
  [signer(pairs.ed), sealed('PRIVATE KEY', der(pairs.ed.privateKey, 'pkcs8'))],
  [certificate, pemOf(pairs.ec.publicKey) + ecKey],
  [ecKey, certificate],
  [ecKey + certificate, certificate + ecKey],
  [inBase64(certificate), inBase64(ecKey)],
  [certificate.replace(/-----.*-----|\n/g, ''), der(ec, 'pkcs8').toString('base64')],
  [certificate.replace(/-----.*-----|\n/g, ''), der(ec, 'sec1').toString('base64')],
  ['', ''],
  ['x', ecKey],
]

const jwk = (key: object) => JSON.stringify(key)
const payload =
  '{"b": [1, 2.5, 12345678901234567890, {"<&>\\u2028é\\u0000"}], "a": {"z": null, "y": true}, "c": "\\ud83d\\ude00"}'
const keyOf = { RS: pairs.rsa, PS: pairs.rsa, ES: pairs.ec, Ed: pairs.ed } as const
const signed = [
  // What is the same each time
  ...['HS256', 'HS384', 'HS512'].map(
    (alg) => `io.jwt.encode_sign({"alg": "${alg}", "typ": "JWT"}, ${payload}, ${jwk(secret)})`,
  ),
  ...['RS256', 'RS384', 'RS512'].map(
    (alg) => `io.jwt.encode_sign({"kid": "k", "alg": "${alg}"}, {}, ${jwk(jwkOf(pairs.rsa.privateKey))})`,
  ),
  `io.jwt.encode_sign({"alg": "EdDSA"}, {}, ${jwk(jwkOf(pairs.ed.privateKey))})`,
  `io.jwt.encode_sign({"alg": "RS256"}, {}, ${jwk({ ...jwkOf(pairs.rsa.privateKey), dp: undefined })})`,
  `io.jwt.encode_sign({"alg": "HS256"}, {}, {"keys": [${jwk(secret)}, ${jwk(jwkOf(pairs.rsa.privateKey))}]})`,
  `io.jwt.encode_sign_raw(${q('{"alg":"HS256" , "typ":"x"}')}, "not json", ${q(jwk(secret))})`,
  `io.jwt.encode_sign_raw(${q('{"alg":"HS256"}')}, "not json", ${q(jwk(secret))})`,
  `io.jwt.encode_sign_raw(${q('{"typ":"JWT","alg":"HS256"}')}, "{ }", ${q(jwk(secret))})`,
  `io.jwt.encode_sign_raw(${q('{"typ":1,"alg":"HS256"}')}, "x", ${q(jwk(secret))})`,
  // What is not: someone else must find it good
  ...['PS256', 'PS384', 'PS512', 'ES256', 'EdDSA'].map((alg) => {
    const key = keyOf[alg.slice(0, 2) as 'RS']
    return `io.jwt.decode_verify(io.jwt.encode_sign({"alg": "${alg}"}, {"sub": "x"}, ${jwk(jwkOf(key.privateKey))}), {"cert": ${q(pemOf(key.publicKey))}})`
  }),
  `io.jwt.decode_verify(io.jwt.encode_sign({"alg": "ES512"}, {}, ${jwk(jwkOf(pairs.ec521.privateKey))}), {"cert": ${q(pemOf(pairs.ec521.publicKey))}})`,
  `io.jwt.decode_verify(io.jwt.encode_sign({"alg": "ES256"}, {}, ${jwk(jwkOf(pairs.ec521.privateKey))}), {"cert": ${q(pemOf(pairs.ec521.publicKey))}})`,
  // What cannot be signed
  ...[
    ['{"alg": "RS256"}', jwk(jwkOf(pairs.rsa.publicKey))],
    ['{"alg": "ES256"}', jwk(jwkOf(pairs.ec.publicKey))],
    ['{"alg": "EdDSA"}', jwk(jwkOf(pairs.ed.publicKey))],
    ['{"alg": "RS256"}', jwk(jwkOf(pairs.ec.privateKey))],
    ['{"alg": "HS256"}', jwk(jwkOf(pairs.rsa.privateKey))],
    ['{"alg": "RS256"}', jwk(secret)],
    ['{"alg": "none"}', jwk(secret)],
    ['{"alg": "Ed25519"}', jwk(jwkOf(pairs.ed.privateKey))],
    ['{"alg": 1}', jwk(secret)],
    ['{}', jwk(secret)],
    ['{"alg": "HS256"}', '{"kty": "oct", "k": ""}'],
    ['{"alg": "HS256"}', '{"kty": "oct"}'],
    ['{"alg": "HS256"}', '{"keys": []}'],
    ['{"alg": "HS256"}', '{}'],
    ['{"alg": "RS256"}', jwk({ ...jwkOf(pairs.rsa.privateKey), qi: jwkOf(pairs.rsa.privateKey).dp })],
    ['{"alg": "EdDSA"}', jwk({ ...jwkOf(pairs.ed.privateKey), x: secret.k.padEnd(43, 'A') })],
    ['{"alg": "PS512"}', jwk(jwkOf(rsa.privateKey))],
    ['{"alg": "PS384"}', jwk(jwkOf(generateKeyPairSync('rsa', { modulusLength: 768 }).privateKey))],
  ].map(([header, key]) => `io.jwt.encode_sign(${header}, {}, ${key})`),
  ...['', '{', '[]', 'null', '{"alg":"HS256"} x'].map(
    (header) => `io.jwt.encode_sign_raw(${q(header)}, "{}", ${q(jwk(secret))})`,
  ),
]

const expressions = [
  ...texts.flatMap((text) => [
    `crypto.parse_private_keys(${q(text)})`,
    `crypto.parse_private_keys(${q(inBase64(text))})`,
    `crypto.x509.parse_rsa_private_key(${q(text)})`,
    `crypto.x509.parse_rsa_private_key(${q(inBase64(text))})`,
  ]),
  ...pairsOf.map(([left, right]) => `crypto.x509.parse_keypair(${q(left)}, ${q(right)})`),
  ...signed,
]

t.test(`${expressions.length} private keys are read and used as opa does`, async (t) => {
  const half = Math.ceil(expressions.length / 2)
  for (const part of [expressions.slice(0, half), expressions.slice(half)])
    for (const { expression, ours, theirs } of await answersTo(part)) t.equal(ours, theirs, expression)
})

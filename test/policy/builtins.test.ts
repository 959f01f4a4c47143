import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import t from 'tap'
import { builtins } from '#policy/builtins/builtins.ts'
import { readBundle } from '#policy/bundle.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { buildBundle, opaEval } from '../harness/opa.ts'

const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const claims = { iss: 'https://idp.example', aud: 'models', exp: 4_000_000_000, sub: 'acme' }
const hs = (header: object, payload: object, secret = 'secret') => {
  const signed = `${b64(header)}.${b64(payload)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
const good = hs({ alg: 'HS256', typ: 'JWT' }, claims)
const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
const ecSigned = `${b64({ alg: 'ES256', kid: 'k1' })}.${b64(claims)}`
const ecToken = `${ecSigned}.${sign('sha256', Buffer.from(ecSigned), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
const jwks = JSON.stringify({ keys: [{ ...ec.publicKey.export({ format: 'jwk' }), kid: 'k1' }] })
const q = (text: string) => JSON.stringify(text)

/** Each is one Rego expression; the real `opa eval` says what is right, undefined included. */
const expressions = [
  // sprintf, as Go
  ...['%v %s %d %q', '%5d|%-5d|%05d', '%x %X %o %b %c', '%t %v %v', '%f %.2f %e %g'].map((format, index) => {
    const values = [
      '["a", "b", 3, "c\\"d"]',
      '[42, 42, 42]',
      '[255, 255, 8, 5, 65]',
      '[true, false, null]',
      '[1.5, 2.345, 12345.678, 0.5]',
    ]
    return `sprintf(${q(format)}, ${values[index]})`
  }),
  'sprintf("%v %v", [[1, "x", {"k": [true]}], {"a": {1, 2}}])',
  'sprintf("%d", [12345678901234567890])',
  'sprintf("%s %d", ["only"])',
  'sprintf("%s", ["one", 2])',
  'sprintf("100%%", [])',
  'sprintf("%v", [{}])',
  'sprintf("%s|%10s|%-10s|", ["é", "ü", "z"])',
  // strings
  'strings.any_prefix_match(["abc", "x"], "ab")',
  'strings.any_prefix_match("abc", ["q", "a"])',
  'strings.any_suffix_match("abc", "bc")',
  'strings.any_suffix_match([], "bc")',
  'strings.count("cheese", "e")',
  'indexof_n("banana", "an")',
  'indexof_n("ééé", "é")',
  'numbers.range_step(0, 10, 3)',
  'numbers.range_step(10, 0, 3)',
  'numbers.range_step(0, 10, 0)',
  // regular expressions
  'regex.split("[0-9]", "a1b2c")',
  'regex.split("([0-9])", "a1b2c")',
  'regex.split("", "abc")',
  'regex.split("x", "")',
  'regex.find_n("o.", "foo bot box", 2)',
  'regex.find_n("o.", "foo bot box", -1)',
  'regex.find_n("z", "foo", -1)',
  'regex.replace("foobar", "o+", "0")',
  'regex.replace("foo bar", "(f)(o)", "$2$1")',
  'regex.replace("x", "(", "y")',
  // digests and encodings
  ...['md5', 'sha1', 'sha256'].map((name) => `crypto.${name}("sluice")`),
  ...['md5', 'sha1', 'sha256', 'sha512'].map((name) => `crypto.hmac.${name}("m", "k")`),
  'crypto.hmac.equal("a", "a")',
  'crypto.hmac.equal("a", "b")',
  'base64url.encode_no_pad("a?~>")',
  'hex.encode("sluice")',
  'hex.decode("736c75696365")',
  'hex.decode("7")',
  'urlquery.encode("a b&c=d/é~*()")',
  'urlquery.decode("a+b%26c")',
  'urlquery.decode("%zz")',
  'urlquery.encode_object({"b": ["1", "2"], "a": "x y"})',
  'urlquery.decode_object("a=1&b=2&a=3")',
  // time
  'time.parse_rfc3339_ns("2026-11-24T07:00:00Z")',
  'time.parse_rfc3339_ns("2026-11-24T07:00:00.5+04:00")',
  'time.parse_rfc3339_ns("2026-02-30T07:00:00Z")',
  'time.parse_rfc3339_ns("yesterday")',
  'time.parse_duration_ns("1h30m")',
  'time.parse_duration_ns("-1.5s")',
  'time.parse_duration_ns("5 minutes")',
  'time.date(1795000000000000000)',
  'time.date([1795000000000000000, "Asia/Dubai"])',
  'time.clock([1795000000000000000, "Asia/Dubai"])',
  'time.clock([1795000000000000000, "Nowhere/Land"])',
  'time.weekday(1795000000000000000)',
  'time.add_date(1795000000000000000, 1, 2, 3)',
  // tokens
  `io.jwt.decode(${q(good)})[1].sub`,
  'io.jwt.decode("a.b")',
  `io.jwt.verify_hs256(${q(good)}, "secret")`,
  `io.jwt.verify_hs256(${q(good)}, "other")`,
  `io.jwt.verify_es256(${q(ecToken)}, ${q(jwks)})`,
  `io.jwt.verify_rs256(${q(ecToken)}, ${q(jwks)})`,
  ...[
    '{"secret": "secret", "aud": "models"}',
    '{"secret": "secret"}',
    '{"secret": "secret", "aud": "others"}',
    '{"secret": "secret", "aud": "models", "iss": "https://idp.example"}',
    '{"secret": "secret", "aud": "models", "iss": "https://evil.example"}',
    '{"secret": "secret", "aud": "models", "alg": "HS512"}',
    '{"secret": "secret", "aud": "models", "time": 4100000000000000000}',
    '{"secret": "wrong", "aud": "models"}',
    '{"aud": "models"}',
    '{"secret": "secret", "aud": "models", "unknown": 1}',
  ].map((constraints) => `io.jwt.decode_verify(${q(good)}, ${constraints})`),
  `io.jwt.decode_verify(${q(ecToken)}, {"cert": ${q(jwks)}, "aud": "models"})`,
  `io.jwt.decode_verify(${q(hs({ alg: 'none' }, claims))}, {"secret": "secret", "aud": "models"})`,
]

t.test(`${expressions.length} expressions have the value that opa gives them`, async (t) => {
  const rules = expressions.map((expression, index) => `results["${index}"] := ${expression}`).join('\n')
  const source = `package case\n\n${rules}\n`
  const bundle = readBundle(
    await buildBundle({ files: { 'case.rego': source }, entrypoint: 'case/results' }),
    'test',
    'case/results',
  )
  const engine = createEngine({ ...bundle, place: 'test' })
  const ours = engine.evaluate('case/results', '{}', { nowNs: BigInt(Date.now()) * 1_000_000n }) as Record<
    string,
    unknown
  >
  const list = expressions.map((expression, index) => `"${index}": [x | x := ${expression}]`).join(',\n')
  const theirs = (await opaEval(`{${list}}`)) as Record<string, unknown[]>
  for (const [index, expression] of expressions.entries()) {
    t.same(ours[String(index)], theirs[String(index)]?.[0], expression)
  }
})

t.test(
  'a token with a critical extension is refused, where opa lets it pass (RFC 7515, 4.1.11)',
  async (t) => {
    const verify = builtins.get('io.jwt.decode_verify')
    const token = hs({ alg: 'HS256', crit: ['x'] }, claims)
    t.same(verify?.({ nowNs: 0n }, token, { secret: 'secret', aud: 'models' }), [false, {}, {}])
  },
)

t.test('the clock stands still during an evaluation', async (t) => {
  const bundle = readBundle(
    await buildBundle({
      files: { 'c.rego': 'package c\n\nsame := [time.now_ns(), time.now_ns()]\n' },
      entrypoint: 'c/same',
    }),
    'test',
    'c/same',
  )
  const engine = createEngine({ ...bundle, place: 'test' })
  t.same(engine.evaluate('c/same', '{}', { nowNs: 1_700_000_000_000_000_000n }), [1.7e18, 1.7e18])
})

import t from 'tap'
import { builtins } from '#policy/builtins/builtins.ts'
import type { RegoValue } from '#policy/values/value.ts'
import { rego, sameAsOpa } from './against-opa.ts'

const call = (name: string, ...operands: RegoValue[]) => builtins.get(name)?.({ nowNs: 0n }, ...operands)

t.test('JSON with options', async (t) => {
  const values = [
    '{"b": [1, {}, [], {"x": null}], "a": "<&>\\u2028é"}',
    '[]',
    '{}',
    '12345678901234567890',
    '{[1]: {2}, {3}: set(), "s": {1, 2}}',
    '"x"',
  ]
  const options = [
    '{}',
    '{"pretty": true}',
    '{"pretty": false, "indent": "  "}',
    '{"indent": "  "}',
    '{"prefix": "> "}',
    '{"prefix": "", "indent": ""}',
  ]
  await sameAsOpa(t, [
    ...values.flatMap((value) => options.map((each) => `json.marshal_with_options(${value}, ${each})`)),
    'json.marshal_with_options(1, {"unknown": 1})',
    'json.marshal_with_options(1, json.unmarshal(`{"pretty": 1}`))',
    'json.marshal_with_options(1, json.unmarshal(`{"indent": 1}`))',
  ])
})

t.test('URIs', async (t) => {
  const uris = [
    'https://user:pa%20ss@example.com:8443/a%2Fb/../c?x=1&y=%41#frag%20ment',
    'HTTP://EXAMPLE.com',
    'http://example.com?x',
    'http://example.com?',
    'http://example.com/?a?b',
    'mailto:someone@example.com',
    'urn:isbn:0451450523?x#y',
    'file:///etc/passwd',
    'file:/etc/passwd',
    '//host/path',
    '///path',
    '/path//double',
    'relative/path',
    'a:b:c',
    'seg:ment/x',
    '1seg:ment/x',
    './seg:ment',
    ':nothing',
    '*',
    '',
    '#only',
    '?only',
    'http://[::1]:80/',
    'http://[fe80::1%25eth0]/',
    'http://[fe80::1%eth0]/',
    'http://[1.2.3.4]/',
    'http://[::1',
    'http://[::1]x/',
    'http://a[::1]/',
    'http://host:port/',
    'http://host:/',
    'http://a:1:2/',
    'other://a:1:2/',
    'http://ho%20st/',
    'http://h%C3%A9/',
    'http://hé/',
    'http://a b/',
    'http://a/b c',
    'http://a/%zz',
    'http://a/%',
    'http://a/x#%zz',
    'http://us er@host/',
    'http://u@s@host/',
    'http://a/\u007f',
    'http://a/\n',
    'http://a/%00',
    'http://a/%ff%e2%82',
    'http://a/é',
    'http://a/[x]!()*',
    'http://a\\b/',
    'javascript:alert(1)',
    'http:///path',
    'http:path',
    'x://y/?#',
    'http://a/?q=[é]',
    'http://example.com:0080/',
    'http://%41/',
    'http://"<>/',
    'http://u%40:p!%ff@[fe80::1%25%65n%20]:80/',
    'http://[fe80::1%25]/',
    'http://[fe80::%31]/',
    'http://a%FF/%FF?%FF\u00ff#%FF',
  ]
  await sameAsOpa(t, [
    ...uris.map((uri) => `uri.parse(${rego(uri)})`),
    ...uris.map((uri) => `uri.is_valid(${rego(uri)})`),
  ])
})

t.test('JSON of keys that are no strings', async (t) => {
  const value = '{key: 1 | key := [[1, "a<"], {2, {3}}, {"k": {1}}, 1.5, true, null][_]}'
  const body = `{"method": "get", "url": "https://a.example/", "body": ${value}}`
  const config =
    '{"aws_service": "s3", "aws_access_key": "a", "aws_secret_access_key": "b", "aws_region": "r"}'
  await sameAsOpa(t, [
    `io.jwt.encode_sign({"alg": "HS256"}, ${value}, {"kty": "oct", "k": "c2VjcmV0"})`,
    `json.marshal_with_options(${value}, {})`,
    `providers.aws.sign_req(${body}, ${config}, 1).headers`,
  ])
})

t.test('queries and bytes that are no UTF-8', async (t) => {
  await sameAsOpa(t, [
    ...[
      '%ff',
      '%e2%82',
      '%f0%9f%98',
      '%c3%28',
      '%ed%a0%80',
      'a%ffb%fe',
      '%f0%9f%98%80',
      '%',
      '%4',
      '%G0',
    ].flatMap((escaped) => [`urlquery.decode(${rego(escaped)})`, `count(urlquery.decode(${rego(escaped)}))`]),
    ...[
      '',
      '&',
      '=',
      'a',
      'a=',
      '=b',
      'a=1&a',
      'a;b=1',
      'a=%zz',
      '%61=1&a=2',
      '__proto__=1',
      'a=b=c',
      'a=+%2B',
    ].map((query) => `urlquery.decode_object(${rego(query)})`),
    'urlquery.encode("é ~!*()\'-_.%&+/?#\\u0000")',
    'urlquery.encode_object({"z": "1", "é": ["2", "3"], "\\ufffd": "4", "😀": "5", "a b": {"x", "y"}})',
    'urlquery.encode_object({"a": []})',
    'urlquery.encode_object(json.unmarshal(`{"a": 1}`))',
    'hex.decode("ff41fe")',
    'hex.decode("F09f9880")',
    'hex.decode("zz")',
    'hex.encode("é")',
    'base64url.encode_no_pad("é?>")',
  ])
})

t.test('templates of regular expressions, globs', async (t) => {
  const templates = [
    ['urn:foo:{.*}', 'urn:foo:bar:baz', '{', '}'],
    ['urn:foo.bar.com:{.*}', 'urn:fooXbarXcom:bar', '{', '}'],
    ['urn:foo.bar.com:{.*}', 'urn:foo.bar.com:', '{', '}'],
    ['<[0-9]{2}>-<a|b>', '12-b', '<', '>'],
    ['<[0-9]{2}>-<a|b>', '123-b', '<', '>'],
    ['{{a}}', 'a', '{', '}'],
    ['{(}', '(', '{', '}'],
    ['{a', 'a', '{', '}'],
    ['a}', 'a}', '{', '}'],
    ['|a|', 'a', '|', '|'],
    ['abc', 'abc', '|', '|'],
    ['{a}', 'a', '', '}'],
    ['{a}', 'a', 'é', '}'],
    ['{a}', 'a', '{{', '}'],
    ['', '', '{', '}'],
    ['a+*?()[]^$\\.', 'a+*?()[]^$\\.', '{', '}'],
    ['x', 'axb', '{', '}'],
    ['{(?i)abc}', 'ABC', '{', '}'],
  ]
  const globs = [
    ['a.a.[0-9]+z', 'b.b.b.*'],
    ['[a-z]+', '[0-9]*'],
    ['a*', 'b*'],
    ['a*c', 'b*c'],
    ['.*a', 'ba'],
    ['a+b*', 'aab'],
    ['[ab]+c', '[bc]*'],
    ['.*.*.*.*f', '.*.*.*.*g'],
    ['.*', ''],
    ['', ''],
    ['a', ''],
    ['[a-]', 'a'],
    ['[-a]', 'a'],
    ['[z-a]', 'a'],
    ['[a', 'a'],
    ['a]', 'a'],
    ['+a', 'a'],
    ['a**', 'a'],
    ['\\*\\+', '*+'],
    ['a\\', 'a'],
    ['[\\]a]', '\\]'],
    ['[a\\-c]+', 'a-c'],
    ['x.*y.*z', 'xyz'],
    ['abcd[a-c]z+', 'abcd[b-d][yz]*'],
    ['é[à-ü]', 'éé'],
    ['a+a*a+', 'aa'],
    ['d*', '[abcd][abcd]'],
    ['.*mama', '.*dada'],
    ['a*a*b', 'aab'],
    ['[ab]*[bc]+d', 'bd'],
  ]
  await sameAsOpa(t, [
    ...templates.map((operands) => `regex.template_match(${operands.map(rego).join(', ')})`),
    ...globs.flatMap(([a, b]) => [
      `regex.globs_match(${rego(a)}, ${rego(b)})`,
      `regex.globs_match(${rego(b)}, ${rego(a)})`,
    ]),
    ...['*.github.com', 'a?[b]{c,d}\\!-,', 'é', ''].map((pattern) => `glob.quote_meta(${rego(pattern)})`),
  ])
})

t.test('hostile operands end in time', async (t) => {
  const stars = '.*a'.repeat(200)
  t.doesNotThrow(() => call('regex.globs_match', `${stars}x`, `${stars}y`))
  t.throws(() => call('regex.globs_match', '[\u0001-\u{10ffff}]', 'a'), /too large a set/)
  t.throws(() => call('json.marshal_with_options', [[[[[]]]]], { indent: 'x'.repeat(10_000_000) }))
  t.throws(() => call('regex.template_match', '{(a{1000}){1000}}', 'a', '{', '}'))
  t.equal(call('regex.template_match', '{(a*)*b}', 'a'.repeat(50_000), '{', '}'), false)
  t.throws(() => call('urlquery.decode_object', 'a&'.repeat(20_000)))
})

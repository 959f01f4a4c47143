import { create } from '@bufbuild/protobuf'
import { anyPack, StringValueSchema } from '@bufbuild/protobuf/wkt'
import { type Attributes, bodyCheck, bytesOf, checkBytes, resultCheck } from './check.ts'
import type { Difference } from './differences.ts'
import { entry, field, rawAttributes, rawHttp } from './raw.ts'

/** A named CheckRequest. `differs` names an entry of `differences.ts` where the two sides are meant to disagree. */
export interface Case {
  readonly name: string
  readonly bytes: Buffer
  readonly differs?: Difference
}

const json = 'application/json'
const form = 'application/x-www-form-urlencoded'
const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`
const octets = (...codes: number[]) => Buffer.from(codes)

const paths: readonly (readonly [path: string, differs?: Difference])[] = [
  ...['', '/', '/a', '/a/', '/a/b/c', '/a//b', '/a/../b', '/./a', 'a/b', '%2Fmy%2Ftest', '/a%2fb', '/%61'],
  ...['/a+b', '/a%20b', '/a%00b', '/%C3%A9', '/é', '/a%25b', '/a%3Fb', '/a%23b', '/a&b=c', '/a:b', '/a@b'],
  ...['/%', '/%zz', '/%4', '/a%', '/%ff', '/%C3', '/%ED%A0%80', '/%F4%90%80%80', '/a%ff%fe/%80'],
  ...['/a?', '/a?b', '/a?b=', '/a?=b', '/a?b=c', '/a?b=c&b=d', '/a?b&b', '/a?&&b=c&', '/a?b=c=d', '/a??b'],
  ...[
    '/a?b=c+d',
    '/a?b+c=d',
    '/a?b=%20',
    '/a?b=%2B',
    '/a?%62=c',
    '/a?b=%26',
    '/a?b=é',
    '/a?b=%ff',
    '/a?%ff=1',
  ],
  ...['/a?__proto__=1', '/a?constructor=1&toString=2', '/a?a[b]=1', '/a?b=c/d?e', '/a?B=1&b=2', '/a?b=%00'],
  ...['/__proto__/constructor', '///x', '//', '*', '/a b'],
].map((path) => [path] as const)
const laterPaths: readonly string[] = [
  ...['//x/people', '/a#b', '/a?b#c', '#a', 'a:b', ':a', 'http://h/p?q=1', '/a\u0001b'],
  ...['/a?b=%zz', '/a?b=1;c=2', '/a?%', '/a?b=%', '/a?c=1&b=%4'],
]

const numbers = [
  '0',
  '-0',
  '1',
  '1.0',
  '1.50',
  '1e3',
  '1E+2',
  '-1e-7',
  '0.1',
  '123456789012345678901234567890',
]
const part = (headers: string, content: string) => `--b\r\n${headers}\r\n\r\n${content}\r\n`
const named = (name: string, rest = '') => `Content-Disposition: form-data; name="${name}"${rest}`
const multipart = 'multipart/form-data; boundary=b'
const end = '--b--\r\n'

const bodies: readonly (readonly [
  name: string,
  contentType: string,
  body: string | Buffer,
  more?: Readonly<Record<string, string>>,
  differs?: Difference,
])[] = [
  ...numbers.map((number) => [`the number ${number}`, json, `{"n":${number}}`] as const),
  ['a string', json, '"x"'],
  ['null', json, 'null'],
  ['blanks around', json, ' \r\n\t{"a": 1}\n '],
  ['no JSON', json, '{"a":'],
  ['only blanks', json, '  '],
  ['two documents', json, '{}{}'],
  ['a comma behind', json, '{},'],
  ['a null behind', json, '{}null', {}, 'null-behind'],
  ['a trailing comma', json, '[1,]'],
  ['a comment', json, '/**/1'],
  ['single quotes', json, "{'a':1}"],
  ['NaN', json, '[NaN]'],
  ['a leading zero', json, '[01]'],
  ['a leading plus', json, '[+1]'],
  ['no digit before the dot', json, '[.5]'],
  ['no digit behind the dot', json, '[5.]'],
  ['a hexadecimal number', json, '[0x10]'],
  ['a raw control character', json, '["\u0001"]'],
  ['a raw tab', json, '["\t"]'],
  ['a raw DEL and line separator', json, '["\u007f\u2028"]'],
  ['a bad escape', json, '["\\x41"]'],
  ['escapes', json, '["\\u0041\\n\\/\\b\\f\\r\\t\\"\\\\"]'],
  ['a NUL', json, '["a\\u0000b"]'],
  ['a byte order mark', json, '\ufeff{"a":1}'],
  ['duplicate keys', json, '{"a":1,"b":2,"a":3}'],
  ['duplicate objects', json, '{"a":{"x":1},"a":{"y":2}}'],
  ['keys that differ in case', json, '{"a":1,"A":2}'],
  ['an empty key', json, '{"":1}'],
  ['__proto__', json, '{"__proto__":{"a":1},"constructor":2,"toString":{"__proto__":3}}'],
  ['a lone high surrogate', json, '["\\ud800"]'],
  ['a lone low surrogate', json, '["a\\udc00b"]'],
  ['surrogates in a key', json, '{"\\ud800":1}'],
  ['a high surrogate and more', json, '["\\ud800\\u0041"]'],
  ['two high surrogates', json, '["\\ud800\\ud800\\udc00"]'],
  ['a pair', json, '["\\ud83d\\ude00"]'],
  [
    'invalid UTF-8',
    json,
    Buffer.concat([Buffer.from('["a'), octets(0xff, 0xe2, 0x82, 0x41), Buffer.from('"]')]),
  ],
  [
    'an encoded surrogate',
    json,
    Buffer.concat([Buffer.from('["'), octets(0xed, 0xa0, 0x80), Buffer.from('"]')]),
  ],
  ['an overlong NUL', json, Buffer.concat([Buffer.from('["'), octets(0xc0, 0x80), Buffer.from('"]')])],
  ['invalid UTF-8 outside a string', json, Buffer.concat([octets(0xff), Buffer.from('{}')])],
  ['UTF-16', json, Buffer.from('{"a":1}', 'utf16le')],
  ['128 levels', json, deep(128)],
  ['129 levels', json, deep(129), {}, 'too-deep'],
  ['100,000 levels', json, deep(100_000)],
  ['100,000 opened', json, '['.repeat(100_000)],
  ['a number beyond the doubles', json, '[1e400]', {}, 'untame-number'],
  ['a number of 100 digits', json, `[${'1'.repeat(100)}]`, {}, 'untame-number'],
  ['a number with a huge exponent', json, '[1e-999999999]', {}, 'untame-number'],
  ['a string of half a mebibyte', json, JSON.stringify('x'.repeat(300_000))],
  ['a string of a mebibyte', json, JSON.stringify('x'.repeat(1 << 20)), {}, 'too-large'],
  ['an empty body', json, ''],
  ...[
    ...[
      'Application/JSON',
      'application/json; charset=utf-8',
      'application/json;',
      'text/plain, application/json',
    ],
    ...[
      'application/jsonp',
      'application/problem+json',
      'x application/json',
      ' application/json',
      'application/ json',
    ],
    ...['text/plain', '', 'application/octet-stream', 'application/grpc', 'application/grpc+json'],
    ...['application/grpc, application/json', 'multipart/form-data, application/json', 'application/JSON'],
  ].map((type) => [`JSON as ${type || 'nothing'}`, type, '{"a":1}'] as const),
  ...['7', '3', '0', '-1', '-5', '+7', '007'].map(
    (length) => [`content-length ${length}`, json, '{"a":1}', { 'content-length': length }] as const,
  ),
  ...['8', '1000', '9223372036854775807'].map(
    (length) => [`content-length ${length}`, json, '{"a":1}', { 'content-length': length }] as const,
  ),
  ...['', 'x', '7,7', '7.0', '0x7', '1e3', ' 7', '7 ', '99999999999999999999', '1_0'].map(
    (length) =>
      [`content-length ${length || 'empty'}`, json, '{"a":1}', { 'content-length': length }] as const,
  ),
  ['a length without a body', json, '', { 'content-length': '10' }],
  ['a length that is none without a body', json, '', { 'content-length': 'x' }],
  ['a length that is none of text', 'text/plain', 'x', { 'content-length': 'x' }],
  ['a longer text', 'text/plain', 'x', { 'content-length': '10' }],
  ['cut JSON by its length', json, '{"a"', { 'content-length': '7' }],
  ['not cut, says Envoy', json, '{"a":1}', { 'x-envoy-auth-partial-body': 'false' }],
  ['cut, says Envoy', json, '{"a"', { 'x-envoy-auth-partial-body': 'true' }, 'partial-body'],
  ['cut text, says Envoy', 'text/plain', 'x', { 'x-envoy-auth-partial-body': 'true' }, 'partial-body'],
  ['nearly cut, says Envoy', json, '{"a":1}', { 'x-envoy-auth-partial-body': 'True' }],
  ['a form', form, 'a=1&a=2&b=x+y&c'],
  ['a form with a charset', `${form}; charset=utf-8`, 'a=%C3%A9'],
  ['a form of nothing', form, ''],
  ['a form of ampersands', form, '&&&'],
  ['a form with a semicolon', form, 'a=1;b=2'],
  ['a form with a bad escape', form, 'a=%zz'],
  ['a form with invalid UTF-8', form, 'a=%ff%e2%82&%ff=1'],
  ['a form with raw octets', form, Buffer.concat([Buffer.from('a='), octets(0xff, 0xfe)])],
  ['a form with __proto__', form, '__proto__=1&__proto__=2&constructor=3'],
  ['a form with NUL', form, 'a=%00&%00=b'],
  ['a form with lines', form, 'a=1\r\nb=2'],
  ['a cut form', form, 'a=1', { 'content-length': '9' }],
  ['a form whose length is none', form, 'a=1', { 'content-length': 'x' }],
  ['multipart', multipart, part(named('a'), '1') + part(named('a'), 'x\r\ny') + part(named('b'), '') + end],
  ['multipart with a preamble and epilogue', multipart, `preamble\r\n${part(named('a'), '1')}${end}epilogue`],
  ['multipart with a quoted boundary', 'multipart/form-data; boundary="b"', part(named('a'), '1') + end],
  ['multipart in capitals', 'multipart/form-data; BOUNDARY=b', part(named('a'), '1') + end],
  ['multipart with a charset', 'multipart/form-data; charset=utf-8; boundary=b', part(named('a'), '1') + end],
  ['multipart without a boundary', 'multipart/form-data', 'x'],
  ['multipart with an empty boundary', 'multipart/form-data; boundary=', 'x'],
  ['multipart with an empty quoted boundary', 'multipart/form-data; boundary=""', 'x'],
  ['multipart with two boundaries', 'multipart/form-data; boundary=a; boundary=b', 'x'],
  ['multipart with a bad parameter', 'multipart/form-data; boundary', 'x'],
  ['multipart of nothing', multipart, ''],
  ['multipart of the end', multipart, end],
  ['multipart of another boundary', multipart, part(named('a'), '1').replaceAll('--b', '--c') + end],
  ['multipart not closed', multipart, part(named('a'), '1')],
  ['multipart cut in a part', multipart, `--b\r\n${named('a')}\r\n\r\nx`],
  ['multipart cut in its headers', multipart, `--b\r\n${named('a')}`, {}, 'multipart-strict'],
  [
    'multipart with LF',
    multipart,
    (part(named('a'), '1') + end).replaceAll('\r\n', '\n'),
    {},
    'multipart-strict',
  ],
  ['a part without a name', multipart, part('Content-Disposition: form-data', 'x') + end],
  ['a part with an empty name', multipart, part(named(''), 'x') + end],
  ['a part that is no field', multipart, part('Content-Disposition: attachment; name="a"', 'x') + end],
  ['a part without headers', multipart, `--b\r\n\r\nx\r\n${end}`],
  ['a part with a file', multipart, part(named('f', '; filename="x.txt"'), 'content') + end],
  [
    'a part of JSON',
    multipart,
    part(`${named('j')}\r\nContent-Type: application/json`, '{"k":[1,null]}') + end,
  ],
  [
    'a part of JSON with a charset',
    multipart,
    part(`${named('j')}\r\ncontent-type: application/json; x=y`, '1') + end,
  ],
  ['a part of broken JSON', multipart, part(`${named('j')}\r\nContent-Type: application/json`, '{') + end],
  ['a part of empty JSON', multipart, part(`${named('j')}\r\nContent-Type: application/json`, '') + end],
  [
    'a part with invalid UTF-8',
    multipart,
    Buffer.concat([
      Buffer.from(`--b\r\n${named('a')}\r\n\r\n`),
      octets(0xff, 0xe2, 0x82),
      Buffer.from(`\r\n${end}`),
    ]),
  ],
  ['a part named __proto__', multipart, part(named('__proto__'), '1') + part(named('__proto__'), '2') + end],
  ['a quoted name', multipart, part(named('a\\"b'), 'x') + end],
  ['a bare name', multipart, part('Content-Disposition: form-data; name=a', 'x') + end],
  ['a name of more than ASCII', multipart, part(named('é'), 'x') + end],
  ['a name given twice', multipart, part(named('a', '; name="b"'), '1') + end, {}, 'multipart-strict'],
  [
    'a name in the other form',
    multipart,
    part(named('a', "; name*=utf-8''b"), '1') + end,
    {},
    'multipart-strict',
  ],
  [
    'a header given twice',
    multipart,
    part(`${named('a')}\r\n${named('b')}`, '1') + end,
    {},
    'multipart-strict',
  ],
  [
    'a quoted-printable part',
    multipart,
    part(`${named('a')}\r\nContent-Transfer-Encoding: quoted-printable`, '=41') + end,
    {},
    'multipart-strict',
  ],
  [
    'a base64 part',
    multipart,
    part(`${named('a')}\r\nContent-Transfer-Encoding: base64`, 'MQ==') + end,
    {},
    'multipart-strict',
  ],
  [
    'a folded header',
    multipart,
    part(`Content-Disposition: form-data;\r\n name="a"`, '1') + end,
    {},
    'multipart-strict',
  ],
  ['a header without a colon', multipart, part(`${named('a')}\r\nnonsense`, '1') + end],
  ['a cut multipart', multipart, part(named('a'), '1'), { 'content-length': '9999' }],
  [
    'blanks behind a boundary',
    multipart,
    `--b  \r\n${named('a')}\r\n\r\n1\r\n${end}`,
    {},
    'multipart-strict',
  ],
  ['a boundary within a line', multipart, part(named('a'), 'x--b') + end],
  ['a longer boundary within', multipart, part(named('a'), 'x\r\n--bc') + end, {}, 'multipart-strict'],
]

const address = {
  socketAddress: { address: '10.0.0.7', portSpecifier: { case: 'portValue', value: 8443 } },
} as const
const attributes: readonly (readonly [name: string, attributes: Attributes, differs?: Difference])[] = [
  [
    'everything',
    {
      source: {
        address: { address: { case: 'socketAddress', value: address.socketAddress } },
        service: 'caller',
        labels: { app: 'x' },
        principal: '',
        certificate: '-----BEGIN%20CERTIFICATE-----%0A',
      },
      destination: {
        address: { address: { case: 'pipe', value: { path: '/run/x.sock', mode: 511 } } },
        principal: 'spiffe://x/b',
      },
      request: {
        time: { seconds: 1_790_000_000n, nanos: 123_000_000 },
        http: {
          id: '17',
          method: 'POST',
          path: '/a?b=c',
          host: 'models',
          scheme: 'https',
          query: 'b=c',
          fragment: 'f',
          size: 12n,
          protocol: 'HTTP/2',
          body: 'text',
          headers: { ':path': '/a?b=c', 'x-a': '1', constructor: '2' },
        },
      },
      contextExtensions: { virtual_host: 'v' },
      metadataContext: {
        filterMetadata: {
          'envoy.filters.x': { a: [1, 0.5, null, true, 'x', { b: {} }], big: 1e21, none: [] },
        },
      },
      routeMetadataContext: { filterMetadata: { r: {} } },
      tlsSession: { sni: 'models.example' },
    },
  ],
  ['nothing but a request', { request: { http: {} } }],
  [
    'empty messages',
    {
      source: {},
      destination: {},
      request: { http: {}, time: {} },
      metadataContext: {},
      routeMetadataContext: {},
      tlsSession: {},
    },
  ],
  ['an empty address', { source: { address: {} }, request: { http: {} } }],
  [
    'port 0',
    {
      source: {
        address: {
          address: {
            case: 'socketAddress',
            value: { address: 'h', portSpecifier: { case: 'portValue', value: 0 } },
          },
        },
      },
      request: { http: {} },
    },
  ],
  [
    'a named port',
    {
      source: {
        address: {
          address: {
            case: 'socketAddress',
            value: {
              protocol: 1,
              resolverName: 'r',
              ipv4Compat: true,
              portSpecifier: { case: 'namedPort', value: 'http' },
            },
          },
        },
      },
      request: { http: {} },
    },
  ],
  ['an empty pipe', { source: { address: { address: { case: 'pipe', value: {} } } }, request: { http: {} } }],
  [
    'an internal address',
    {
      source: {
        address: {
          address: {
            case: 'envoyInternalAddress',
            value: { endpointId: 'e', addressNameSpecifier: { case: 'serverListenerName', value: 'l' } },
          },
        },
      },
      request: { http: {} },
    },
  ],
  [
    'an empty internal address',
    {
      source: {
        address: {
          address: {
            case: 'envoyInternalAddress',
            value: { addressNameSpecifier: { case: 'serverListenerName', value: '' } },
          },
        },
      },
      request: { http: {} },
    },
  ],
  ['a principal', { source: { principal: 'spiffe://x/a' }, request: { http: {} } }, 'source-principal'],
  [
    'raw headers',
    {
      request: {
        http: {
          path: '/a',
          headerMap: {
            headers: [
              { key: 'x-a', rawValue: octets(0x61) },
              { key: 'x-a', rawValue: octets(0xff) },
              { key: 'x-b', value: 'v' },
            ],
          },
        },
      },
    },
    'header-map',
  ],
  [
    'raw headers and headers',
    {
      request: {
        http: {
          path: '/a',
          headers: { 'x-c': '1' },
          headerMap: { headers: [{ key: 'x-a', rawValue: octets(0x61) }] },
        },
      },
    },
  ],
  ['no raw header', { request: { http: { headerMap: {} } } }],
  [
    'a body in both forms',
    {
      request: {
        http: { headers: { 'content-type': json }, body: '{"a":1}', rawBody: Buffer.from('{"a":2}') },
      },
    },
  ],
  ['a body as text', { request: { http: { headers: { 'content-type': json }, body: '{"a":"é"}' } } }],
  ['a form as text', { request: { http: { headers: { 'content-type': form }, body: 'a=é' } } }],
  ['a size of -1', { request: { http: { size: -1n } } }],
  ['a negative time', { request: { time: { seconds: -5n, nanos: 1 }, http: {} } }],
  [
    'typed metadata',
    {
      request: { http: {} },
      metadataContext: {
        typedFilterMetadata: {
          t: anyPack(StringValueSchema, create(StringValueSchema, { value: 'x' })),
          empty: { typeUrl: 'type.googleapis.com/google.protobuf.Empty' },
          none: {},
        },
      },
    },
  ],
  [
    'headers with no content type',
    { request: { http: { headers: { 'Content-Type': json }, rawBody: Buffer.from('{"a":1}') } } },
    'header-case',
  ],
  [
    'headers of more than ASCII',
    { request: { http: { headers: { 'x-a': 'é😀\u0000\u2028', '': 'empty' } } } },
  ],
]

const results: readonly (readonly [result: unknown, differs?: Difference])[] = [
  [true],
  [false],
  [{ allowed: true }],
  [{ allowed: false }],
  [{ allowed: true, code: 'x', outcome: { a: 1 }, unknown: null, status_code: 401 }],
  [{ allowed: true, headers: { 'X-A': '1', 'x-b': ['2', '3'], 'x-c': [], 'x-d': '' } }],
  [{ allowed: true, headers: [{ 'x-a': '1' }, { 'x-a': '2', 'x-b': ['3'] }] }],
  [{ allowed: true, headers: {} }],
  [{ allowed: true, headers: [] }],
  [{ allowed: true, response_headers_to_add: { 'set-cookie': ['a=1', 'b=2'], 'x-a': 'é' } }],
  [{ allowed: true, response_headers_to_add: [{ 'x-a': '1' }, { 'x-a': '2' }] }],
  [{ allowed: true, request_headers_to_remove: ['X-A', 'x-b', 'x-b'] }],
  [{ allowed: true, request_headers_to_remove: [] }],
  [{ allowed: true, headers: { 'x-a': '1', 'x-b': '2' }, request_headers_to_remove: ['X-A'] }],
  [{ allowed: true, query_parameters_to_set: { a: 'z', q: ['1', '2'] } }],
  [{ allowed: true, query_parameters_to_set: {}, query_parameters_to_remove: [] }],
  [{ allowed: true, query_parameters_to_remove: ['a', 'b', 'c', 'nothing'] }],
  [{ allowed: true, query_parameters_to_set: { a: 'z', d: 'x' }, query_parameters_to_remove: ['a', 'b'] }],
  [{ allowed: true, dynamic_metadata: { a: 1, b: [true, null, 'x', { c: 0.5 }], decision_id: 'forged' } }],
  [{ allowed: true, dynamic_metadata: {} }],
  [{ allowed: false, dynamic_metadata: { a: 'x' } }],
  [{ allowed: false, body: 'no' }],
  [{ allowed: false, body: '' }],
  [{ allowed: false, body: 'é\u0000', headers: { 'content-type': 'text/html' } }],
  [{ allowed: false, headers: { 'set-cookie': ['1', '2'], location: '/login' }, http_status: 302 }],
  [{ allowed: false, headers: [{ 'x-a': '1' }, { 'x-a': '2' }] }],
  ...[
    100, 200, 204, 207, 226, 301, 302, 307, 308, 400, 401, 402, 403, 404, 418, 421, 425, 426, 429, 431, 451,
  ].map((http_status) => [{ allowed: false, http_status }] as const),
  ...[500, 502, 503, 507, 510, 511, 0, 1, 99, 299, 600, 999, -1, 403.5, '403', null, true, 1e10].map(
    (http_status) => [{ allowed: false, http_status }] as const,
  ),
  // What the other outcome has is not looked at.
  [{ allowed: true, http_status: 999, body: 1 }],
  [{ allowed: false, request_headers_to_remove: 1, query_parameters_to_set: 2, response_headers_to_add: 3 }],
  [{ allowed: false, query_parameters_to_remove: 'x' }],
  // Wrong types.
  ...[
    null,
    1,
    'true',
    [],
    [true],
    {},
    { allowed: 'true' },
    { allowed: 1 },
    { allowed: null },
    { Allowed: true },
  ].map((result) => [result] as const),
  ...[
    'x',
    1,
    null,
    true,
    ['x'],
    [[]],
    { a: 1 },
    { a: null },
    { a: [1] },
    { a: { b: 'c' } },
    [{ a: 1 }],
  ].flatMap(
    (wrong) =>
      [
        [{ allowed: true, headers: wrong }],
        [{ allowed: false, headers: wrong }],
        [{ allowed: true, response_headers_to_add: wrong }],
      ] as const,
  ),
  ...['x', 1, null, {}, [1], [null]].flatMap(
    (wrong) =>
      [
        [{ allowed: true, request_headers_to_remove: wrong }],
        [{ allowed: true, query_parameters_to_remove: wrong }],
      ] as const,
  ),
  ...['x', 1, null, [], [{ a: 'b' }], { a: 1 }, { a: [1] }, { a: null }, { a: { b: 'c' } }].map(
    (wrong) => [{ allowed: true, query_parameters_to_set: wrong }] as const,
  ),
  ...['x', 1, null, [], true].flatMap(
    (wrong) =>
      [
        [{ allowed: true, dynamic_metadata: wrong }],
        [{ allowed: false, dynamic_metadata: wrong }],
        [{ allowed: false, body: wrong === 'x' ? {} : wrong }],
      ] as const,
  ),
  // What a policy may not say.
  ...[':path', 'host', 'content-length', 'x-envoy-x', 'x-sluice-tenant', 'a b', '', 'é'].flatMap(
    (name) =>
      [
        [{ allowed: true, headers: { [name]: 'x' } }, 'forbidden-header'],
        [{ allowed: true, response_headers_to_add: { [name]: 'x' } }, 'forbidden-header'],
      ] as const,
  ),
  ...[':path', 'host', 'x-sluice-tenant'].map(
    (name) => [{ allowed: true, request_headers_to_remove: [name] }, 'forbidden-header'] as const,
  ),
  [{ allowed: true, headers: { 'x-a': 'a\r\nx-b: c' } }, 'forbidden-header'],
  [{ allowed: false, headers: { 'x-a': 'a\u0000' } }, 'forbidden-header'],
  [{ allowed: true, query_parameters_to_set: { 'a b': 'c&d' } }, 'escaped-query'],
]

/** Texts that stand for themselves: what JSON.stringify would not write. */
const resultTexts: readonly (readonly [text: string, differs?: Difference])[] = [
  ['{"allowed":false,"http_status":401.0}', 'status-with-point'],
  ['{"allowed":false,"http_status":4.01e2}', 'status-with-point'],
  ['{"allowed":true,"allowed":false}'],
  ['{"allowed":true,"headers":{"__proto__":"x"}}'],
  ['{"allowed":true,"dynamic_metadata":{"__proto__":{"a":1},"constructor":2}}'],
  ['{"allowed":true,"query_parameters_to_set":{"__proto__":"x"}}'],
  ['{"allowed":true,"dynamic_metadata":{"n":123456789012345678901234567890,"f":1.10}}'],
  ['nonsense'],
]

const bad = octets(0x61, 0xff)
const http = field(4, field(2, field(4, '/people')))
const structWith = (value: Buffer) => field(11, entry(1, 'filter', entry(1, 'key', value)))

/** What no encoder of protobuf writes, or only for names that JavaScript takes for something else. */
const raws: readonly (readonly [name: string, bytes: Buffer, differs?: Difference])[] = [
  ['headers named as a prototype', rawHttp(entry(3, '__proto__', 'x'), entry(3, 'constructor', 'y'))],
  ['a header twice', rawHttp(entry(3, 'x-a', '1'), entry(3, 'x-a', '2'))],
  ['a header with NUL', rawHttp(entry(3, 'x-a', 'a\0b'))],
  ['a header without a value', rawHttp(field(3, field(1, 'x-a')))],
  [
    'labels and extensions named as a prototype',
    rawAttributes(http, entry(10, '__proto__', 'x'), field(1, entry(3, '__proto__', 'y'))),
  ],
  [
    'metadata named as a prototype',
    rawAttributes(http, field(11, entry(1, '__proto__', entry(1, '__proto__', field(3, 'x'))))),
  ],
  ['a header that is no UTF-8', rawHttp(entry(3, 'x-a', bad))],
  ['a path that is no UTF-8', rawHttp(field(4, bad))],
  ['a body that is no UTF-8', rawHttp(field(11, bad))],
  ['a key that is no UTF-8', rawAttributes(http, entry(10, bad, 'x'))],
  ['no protobuf', octets(0x0a, 0xff)],
  ['a field that nobody knows', Buffer.concat([checkBytes(), field(99, 'x')])],
  [
    'metadata with a number that is none',
    rawAttributes(http, structWith(octets(0x11, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f))),
    'odd-metadata',
  ],
  [
    'metadata with an infinite number',
    rawAttributes(http, structWith(octets(0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f))),
    'odd-metadata',
  ],
  ['metadata of no kind', rawAttributes(http, structWith(octets())), 'odd-metadata'],
  ['a size beyond the doubles', checkBytes({ size: 2n ** 53n + 1n }), 'inexact-size'],
  ['no request', bytesOf({}), 'no-request'],
  ['a request that is not HTTP', bytesOf({ request: {} }), 'no-request'],
]

/** What a policy says to clients that speak gRPC. */
const toGrpc = (result: object, type: string) =>
  checkBytes({ method: 'POST', headers: { 'content-type': type, 'x-result': JSON.stringify(result) } })
const grpcResults: readonly (readonly [result: object, type: string, differs?: Difference])[] = [
  [{ allowed: true, headers: { 'x-a': '1' } }, 'application/grpc'],
  [{ allowed: false }, 'application/grpc'],
  [{ allowed: false, body: 'no', http_status: 401, headers: { 'x-a': '1' } }, 'application/grpc+proto'],
  [{ allowed: false, headers: { 'content-type': 'text/plain' } }, 'application/grpc', 'grpc-content-type'],
  [{ allowed: false }, 'application/grpc-web', 'grpc-web'],
]

const table: readonly Case[] = [
  ...paths.map(([path]) => ({ name: `path ${path}`, bytes: checkBytes({ path }) })),
  ...laterPaths.map((path) => ({
    name: `path ${path}`,
    bytes: checkBytes({ path }),
    differs: 'later-paths',
  })),
  ...bodies.map(([name, type, body, more, differs]) => ({
    name: `body: ${name}`,
    bytes: bodyCheck(type, body, more),
    ...(differs !== undefined && { differs }),
  })),
  { name: 'body without a content type', bytes: checkBytes({ rawBody: Buffer.from('{"a":1}') }) },
  ...attributes.map(([name, fields, differs]) => ({
    name: `attributes: ${name}`,
    bytes: bytesOf(fields),
    ...(differs !== undefined && { differs }),
  })),
  ...results.map(([result, differs]) => ({
    name: `result ${JSON.stringify(result)}`,
    bytes: resultCheck(result),
    ...(differs !== undefined && { differs }),
  })),
  ...raws.map(([name, bytes, differs]) => ({
    name: `raw: ${name}`,
    bytes,
    ...(differs !== undefined && { differs }),
  })),
  ...grpcResults.map(([result, type, differs]) => ({
    name: `result ${JSON.stringify(result)} to ${type}`,
    bytes: toGrpc(result, type),
    ...(differs !== undefined && { differs }),
  })),
  ...resultTexts.map(([text, differs]) => ({
    name: `result ${text}`,
    bytes: resultCheck(undefined, text),
    ...(differs !== undefined && { differs }),
  })),
]

/** Every case by its name; of names that stand twice the later ones are numbered. */
export const cases: readonly Case[] = table.map((each, index) => {
  const before = table.slice(0, index).filter(({ name }) => name === each.name).length
  return before === 0 ? each : { ...each, name: `${each.name} (${before + 1})` }
})

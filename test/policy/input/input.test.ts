import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import { policyInput as inputUnder } from '#policy/input/input.ts'
import { defaultSwitches } from '#policy/switches.ts'
import fc from '../../fast-check.ts'
import { validExchange } from '../exchange.ts'

const policyInput = (x: Exchange) => inputUnder(x, defaultSwitches)

/** As it goes to the engine; `fault` where the request is refused. */
const input = (change: Parameters<typeof validExchange>[0]) =>
  JSON.parse(JSON.stringify(policyInput(validExchange(change))))
const json = [['content-type', 'application/json']] as const
const form = [['content-type', 'application/x-www-form-urlencoded']] as const
const multipart = [['content-type', 'multipart/form-data; boundary="b b"']] as const

t.test('paths are parsed as the OPA Envoy plugin parses them', async (t) => {
  const cases: [path: string, parsed: readonly string[] | undefined][] = [
    ['/', ['']],
    ['', ['']],
    ['/my/test', ['my', 'test']],
    ['//x/people', ['x', 'people']],
    ['//admin/people', ['admin', 'people']],
    ['%2Fmy%2Ftest', ['my', 'test']],
    ['/a/../b', ['a', '..', 'b']],
    ['/a/?b=c', ['a', '']],
    ['/a+b', ['a+b']],
    ['/%C3%A9', ['é']],
    ['/100%', undefined],
    ['/%zz', undefined],
  ]
  for (const [path, parsed] of cases) t.same(input({ path }).parsed_path, parsed, path)
})

t.test('queries are parsed as the OPA Envoy plugin parses them', async (t) => {
  const cases: [query: string, parsed: Record<string, readonly string[]> | undefined][] = [
    ['', {}],
    ['?', {}],
    ['?a=1&a=2&b', { a: ['1', '2'], b: [''] }],
    ['?a=x+y%26z', { a: ['x y&z'] }],
    ['?a=b?c=d', { a: ['b?c=d'] }],
    ['?=1', { '': ['1'] }],
    ['?constructor=1', { constructor: ['1'] }],
    ['?a=1;b=2', undefined],
    ['?a=%zz', undefined],
  ]
  for (const [query, parsed] of cases) t.same(input({ path: `/x${query}` }).parsed_query, parsed, query)
})

t.test('a query cannot name a prototype', async (t) => {
  const text = JSON.stringify(policyInput(validExchange({ path: '/x?__proto__=1' })))
  t.match(text, '"parsed_query":{"__proto__":["1"]}')
})

t.test('bodies are parsed by content type, and what is not what it claims is refused', async (t) => {
  const part = (headers: string, content: string) => `--b b\r\n${headers}\r\n\r\n${content}\r\n`
  const named = (name: string, rest = '') => `Content-Disposition: form-data; name="${name}"${rest}`
  const end = '--b b--\r\n'
  const cases: [
    name: string,
    headers: readonly (readonly [string, string])[],
    body: string | undefined,
    parsed: unknown,
  ][] = [
    ['no content type', [], '{"a":1}', null],
    ['JSON', json, '{"a":[1,null]}', { a: [1, null] }],
    ['JSON with a parameter', [['content-type', 'application/json; charset=utf-8']], '1', 1],
    ['a second content type hides nothing', [...json, ['content-type', 'text/plain']], '{"a":1}', { a: 1 }],
    ['empty JSON', json, '', null],
    ['no body', json, undefined, null],
    ['broken JSON', json, '{"a":', undefined],
    ['two documents', json, '{}{}', undefined],
    [
      'as deep as allowed',
      json,
      `${'['.repeat(128)}${']'.repeat(128)}`,
      JSON.parse(`${'['.repeat(128)}${']'.repeat(128)}`),
    ],
    ['too deep', json, `${'['.repeat(129)}${']'.repeat(129)}`, undefined],
    ['brackets in a string are not deep', json, JSON.stringify('['.repeat(500)), '['.repeat(500)],
    ['a number beyond the doubles', json, '[1e400]', undefined],
    ['a number with a huge exponent', json, '[1e-999999999]', undefined],
    ['an endless number', json, `[0.${'1'.repeat(100)}]`, undefined],
    ['gRPC', [['content-type', 'application/grpc']], '\0\0\0\0\0', null],
    ['a form', form, 'a=1&a=2&b=x+y', { a: ['1', '2'], b: ['x y'] }],
    ['an empty form', form, '', null],
    ['a broken form', form, 'a=%zz', undefined],
    ['text', [['content-type', 'text/plain']], 'x', null],
    [
      'multipart',
      multipart,
      `preamble\r\n${part(named('a'), '1')}${part(named('a'), 'x\r\ny')}${end}`,
      { a: ['1', 'x\r\ny'] },
    ],
    [
      'multipart with a JSON part',
      multipart,
      part(`${named('j', '; filename="f.json"')}\r\nContent-Type: application/json`, '{"k":1}') + end,
      { j: [{ k: 1 }] },
    ],
    [
      'multipart with a broken JSON part',
      multipart,
      part(`${named('j')}\r\nContent-Type: application/json`, '{') + end,
      undefined,
    ],
    ['a part without a name', multipart, part('Content-Disposition: form-data', 'x') + end, {}],
    ['a quoted name', multipart, part(named('a\\"b'), 'x') + end, { 'a"b': ['x'] }],
    ['an empty part', multipart, part(named('a'), '') + end, { a: [''] }],
    ['multipart not closed', multipart, part(named('a'), '1'), undefined],
    [
      'parts of another boundary are preamble',
      multipart,
      part(named('a'), '1').replaceAll('b b', 'c') + end,
      {},
    ],
    ['a name given twice', multipart, part(named('a', '; name="b"'), '1') + end, undefined],
    ['a name in the other form', multipart, part(named('a', "; name*=utf-8''b"), '1') + end, undefined],
    ['a header given twice', multipart, part(`${named('a')}\r\n${named('b')}`, '1') + end, undefined],
    [
      'an encoded part',
      multipart,
      part(`${named('a')}\r\nContent-Transfer-Encoding: base64`, 'MQ==') + end,
      undefined,
    ],
    ['multipart without a boundary', [['content-type', 'multipart/form-data']], 'x', null],
    [
      'multipart with two boundaries',
      [['content-type', 'multipart/form-data; boundary=a; boundary=b']],
      'x',
      undefined,
    ],
  ]
  for (const [name, headers, body, parsed] of cases) {
    const found = input({ headers, ...(body !== undefined && { body }) })
    if (parsed === undefined) t.match(found, { fault: 'the body is not what its content type says' }, name)
    else t.same([found.parsed_body, found.truncated_body], [parsed, false], name)
  }
})

t.test('a body that was cut is null and marked so, where it would have been parsed', async (t) => {
  for (const [headers, isTruncated] of [
    [json, true],
    [form, true],
    [multipart, true],
    [[], false],
  ] as const) {
    const found = input({ headers, body: '{"a"', isBodyComplete: false })
    t.same([found.parsed_body, found.truncated_body], [null, isTruncated])
  }
})

t.test('a number reaches policy as it was written', async (t) => {
  for (const number of [
    '12345678901234567891',
    '0.1000000000000000000001',
    '1.00',
    '1234567890.1234567891',
    '1e3',
    '-0',
  ]) {
    const text = JSON.stringify(policyInput(validExchange({ headers: json, body: `{"n":${number}}` })))
    const written = /"parsed_body":\{"n":([^}]+)\}/.exec(text)?.[1] ?? ''
    // Short ones may be written another way; they are the same number.
    if (number.length < 16) t.equal(Number(written) + 0, Number(number) + 0, number)
    else t.equal(written, number)
  }
})

t.test('any JSON body is seen as JSON.parse sees it', async () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), (body) => {
      t.same(input({ headers: json, body }).parsed_body, JSON.parse(body))
    }),
    { numRuns: 200 },
  )
})

t.test('arbitrary bytes never throw, whatever they claim to be', async () => {
  const types = fc.constantFrom('application/json', form[0][1], 'multipart/form-data; boundary=b')
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc
      .array(fc.constantFrom('--b', '\r\n', '--', 'Content-Disposition: form-data; name="a"', 'x', ';', '"'))
      .map((all) => Buffer.from(all.join(''))),
  )
  fc.assert(
    fc.property(types, bytes, (type, body) => {
      policyInput(validExchange({ headers: [['content-type', type]], body: Buffer.from(body) }))
    }),
    { numRuns: 500 },
  )
})

t.test("the plugin's keys are kept and ours stand under one of their own", async (t) => {
  const attributes = { source: { principal: 'spiffe://x/acme' }, request: { http: { path: '/' } } }
  const found = input({
    attributes,
    path: '/',
    call: { protocol: 'v2-grpc', verb: 'infer', model: 'fraud', version: '2' },
    peer: {
      spiffeId: 'spiffe://demo.sluice.dev/ns/acme',
      trustDomain: 'demo.sluice.dev',
      path: ['ns', 'acme'],
      certificateSha256: 'ab',
      notAfterMs: 1_790_000_000_500,
    },
    label: { zones: ['AE'], sources: ['tenant'] },
    inputs: () => [{ name: 'a', datatype: 'FP32', shape: [2], elements: 2, bytes: 8 }],
  })
  t.same(found, {
    attributes,
    version: { ext_authz: 'v3', encoding: 'protojson' },
    parsed_path: [''],
    parsed_query: {},
    parsed_body: null,
    truncated_body: false,
    source_principal: 'spiffe://x/acme',
    serving: {
      phase: 'request',
      protocol: 'v2-grpc',
      model: {
        verb: 'infer',
        name: 'fraud',
        requested_version: '2',
        version: '2',
        inputs: [{ name: 'a', datatype: 'FP32', shape: [2], elements: 2, bytes: 8 }],
      },
      tenant: { name: 'acme', models: ['fraud', 'ocr-*'] },
      peer: {
        spiffe_id: 'spiffe://demo.sluice.dev/ns/acme',
        trust_domain: 'demo.sluice.dev',
        path: ['ns', 'acme'],
        cert: { sha256: 'ab', not_after: 1_790_000_000 },
      },
      residency: { zones: ['AE'] },
    },
  })
})

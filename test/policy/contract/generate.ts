import fc from '../../fast-check.ts'
import { type Attributes, bytesOf, resultCheck } from './check.ts'

/** Text of any characters that protobuf holds, NUL and what lies outside the first plane among them. */
const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 8 }).map((each) => each.toWellFormed()),
  fc.constantFrom('', '__proto__', 'constructor', 'a', 'é', '😀', '\u0000', 'true', '0'),
)
const octets = fc.uint8Array({ maxLength: 24 })
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 3 })

const pathPiece = fc.constantFrom(
  ...[
    'a',
    'people',
    'B',
    '%41',
    '%2F',
    '%2e',
    '.',
    '..',
    '%ff',
    '%C3%A9',
    '%ED%A0%80',
    'é',
    '+',
    '%2B',
    ':',
    '@',
  ],
  ...['=', '&', ';', '%00', '%25', '~', '!', '%F0%9F%98%80', '%C3', '__proto__', '%zz'],
)
const queryPiece = fc.constantFrom(
  ...[
    'a',
    'b',
    'B',
    '=',
    '&',
    '+',
    '%20',
    '%26',
    '%3D',
    '%ff',
    '%C3%A9',
    'é',
    '?',
    '/',
    ':',
    '%00',
    '[',
    ']',
    ',',
  ],
  ...['__proto__', '%E2%82', '%2B'],
)
/** Neither of what the plugin of the tests reads otherwise than its later versions. */
const path = fc
  .tuple(
    fc.array(
      fc.array(pathPiece, { maxLength: 3 }).map((pieces) => pieces.join('')),
      { maxLength: 4 },
    ),
    optional(fc.array(queryPiece, { maxLength: 10 }).map((pieces) => pieces.join(''))),
  )
  .map(
    ([segments, query]) =>
      `/${segments.join('/').replace(/^\/+/, '')}${query === undefined ? '' : `?${query}`}`,
  )

/** No null among the pieces: one behind a document ends it for Go. */
const jsonText = fc.oneof(
  { weight: 6, arbitrary: fc.json({ maxDepth: 5, stringUnit: 'binary' }) },
  fc.tuple(fc.json({ maxDepth: 3 }), fc.nat()).map(([json, at]) => json.slice(0, at % (json.length + 1))),
  fc
    .array(
      fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        ':',
        ',',
        '"a"',
        '"\\ud800"',
        '"\\u00e9"',
        '1',
        '-0.5e2',
        'true',
        ' ',
      ),
      { maxLength: 10 },
    )
    .map((pieces) => pieces.join('')),
  fc.constantFrom('{"__proto__":{"a":1}}', '{"a":1,"a":2}', '[1e2,1.50,12345678901234567890]', '\ufeff1'),
)
const formText = fc
  .array(fc.oneof(queryPiece, fc.constantFrom(';', '%zz', '%', '\r\n')), { maxLength: 12 })
  .map((pieces) => pieces.join(''))
const partText = fc.constantFrom(
  ...['--b\r\n', '--b--\r\n', '\r\n', 'Content-Disposition: form-data; name="a"\r\n', 'x', '{"a":1}', '--b'],
  ...[
    'Content-Disposition: form-data; name=b\r\n',
    'Content-Type: application/json\r\n',
    'é',
    'preamble\r\n',
  ],
)
const multipartText = fc.oneof(
  fc.array(partText, { maxLength: 12 }).map((pieces) => pieces.join('')),
  fc
    .array(
      fc.tuple(fc.constantFrom('a', 'b', '__proto__', 'é'), fc.constantFrom('', '1', 'x\r\ny', '--', 'é')),
    )
    .map(
      (parts) =>
        `${parts.map(([name, value]) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`).join('')}--b--\r\n`,
    ),
)

const body = fc.oneof(
  fc.tuple(
    fc.constantFrom('application/json', 'application/json; charset=utf-8', 'text/plain,application/json'),
    jsonText.map((each) => Buffer.from(each)),
  ),
  fc.tuple(
    fc.constant('application/x-www-form-urlencoded'),
    formText.map((each) => Buffer.from(each)),
  ),
  fc.tuple(
    fc.constantFrom('multipart/form-data; boundary=b', 'multipart/form-data; boundary="b"; x=y'),
    multipartText.map((each) => Buffer.from(each)),
  ),
  fc.tuple(
    fc.constantFrom(
      'application/json',
      'application/x-www-form-urlencoded',
      'text/plain',
      'application/grpc',
      '',
    ),
    octets.map((each) => Buffer.from(each)),
  ),
)
const length = fc.constantFrom<(bytes: number) => string>(
  ...[
    (bytes: number) => String(bytes),
    (bytes: number) => String(bytes + 1),
    () => '0',
    () => '-1',
    () => 'x',
  ],
)

const http = fc
  .record({
    id: text,
    method: fc.constantFrom('GET', 'POST', '', 'x'),
    path,
    host: text,
    scheme: fc.constantFrom('', 'https'),
    query: text,
    fragment: text,
    size: fc.constantFrom(-1n, 0n, 1n, 9_007_199_254_740_991n),
    protocol: fc.constantFrom('', 'HTTP/2'),
    more: fc.dictionary(fc.stringMatching(/^[a-z:_-]{1,8}$/), text, { maxKeys: 4 }),
    body: optional(body),
    length: optional(length),
    isText: fc.boolean(),
  })
  .map(({ more, body: content, length: lengthOf, isText, ...fields }) => {
    const [type, bytes] = content ?? ['', Buffer.alloc(0)]
    const asText = bytes.toString().toWellFormed()
    // What Sluice is asked for beside the plugin's contract changes the answer; it is compared elsewhere.
    const { 'x-result': _, accept: __, ...others } = more
    const headers = {
      ...others,
      ...(type !== '' && { 'content-type': type }),
      ...(lengthOf !== undefined && {
        'content-length': lengthOf(isText ? Buffer.byteLength(asText) : bytes.length),
      }),
    }
    return { ...fields, headers, ...(isText ? { body: asText } : { rawBody: bytes }) }
  })

const address = fc.oneof(
  fc
    .record({
      protocol: fc.constantFrom(0 as const, 1 as const),
      address: text,
      resolverName: text,
      ipv4Compat: fc.boolean(),
      portSpecifier: fc.oneof(
        fc.nat(65_535).map((value) => ({ case: 'portValue' as const, value })),
        text.map((value) => ({ case: 'namedPort' as const, value })),
        fc.constant({ case: undefined }),
      ),
    })
    .map((value) => ({ case: 'socketAddress' as const, value })),
  fc.record({ path: text, mode: fc.nat(511) }).map((value) => ({ case: 'pipe' as const, value })),
  text.map((endpointId) => ({ case: 'envoyInternalAddress' as const, value: { endpointId } })),
  fc.constant({ case: undefined }),
)
const labels = fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), text, { maxKeys: 3 })
const peer = fc
  .record({ address: optional(address), service: text, labels, principal: text })
  .map(({ address: value, ...rest }) => ({ ...rest, ...(value && { address: { address: value } }) }))
const struct = fc.dictionary(
  fc.stringMatching(/^[a-z.]{1,6}$/),
  fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value))),
  { maxKeys: 3 },
)
const metadata = fc.record({
  filterMetadata: fc.dictionary(fc.stringMatching(/^[a-z.]{1,6}$/), struct, { maxKeys: 2 }),
  typedFilterMetadata: fc.dictionary(
    fc.stringMatching(/^[a-z.]{1,6}$/),
    fc.record({ typeUrl: text, value: octets }),
    { maxKeys: 2 },
  ),
})

/** CheckRequests of every shape that Envoy may send and of some that it would not. */
export const checks: fc.Arbitrary<Buffer> = fc
  .record({
    source: optional(peer),
    destination: optional(peer),
    time: optional(
      fc.record({ seconds: fc.bigInt({ min: 0n, max: 4_000_000_000n }), nanos: fc.nat(999_999_999) }),
    ),
    http,
    contextExtensions: labels,
    metadataContext: optional(metadata),
    routeMetadataContext: optional(metadata),
    tlsSession: optional(fc.record({ sni: text })),
  })
  .map(({ time, http: request, ...rest }) =>
    bytesOf({ ...present(rest), request: { http: request, ...(time && { time }) } } as Attributes),
  )

function present(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/** Rarely of another type than it should be. */
const mostly = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 40, arbitrary: value }, fc.constantFrom(null, 1, 'x', true, [], {}, [1], { a: 1 }))
const headerName = fc.constantFrom('x-a', 'X-B', 'set-cookie', 'location', 'x-c', '__proto__', 'content-type')
const headerValue = fc.oneof(fc.constantFrom('', '1', 'é', 'a, b', 'a\tb'), fc.stringMatching(/^[ -~]{0,8}$/))
const headerObject = fc
  .array(fc.tuple(headerName, fc.oneof(headerValue, fc.array(headerValue, { maxLength: 3 }))), {
    maxLength: 3,
  })
  // A Go map gives names that differ in case in an order of chance.
  .map((pairs) => Object.fromEntries(new Map(pairs)))
const headers = mostly(fc.oneof(headerObject, fc.array(headerObject, { maxLength: 3 })))
const parameter = fc.constantFrom('a', 'b', 'c', 'd', '__proto__')
const result = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(true, false, null, 1, 'true', [], {}) },
  {
    weight: 12,
    arbitrary: fc.record(
      {
        allowed: mostly(fc.boolean()),
        headers,
        response_headers_to_add: headers,
        request_headers_to_remove: mostly(fc.array(headerName, { maxLength: 3 })),
        query_parameters_to_set: mostly(
          fc.dictionary(parameter, fc.oneof(parameter, fc.array(parameter, { maxLength: 2 })), {
            maxKeys: 3,
          }),
        ),
        query_parameters_to_remove: mostly(fc.array(parameter, { maxLength: 3 })),
        http_status: mostly(fc.constantFrom(200, 302, 400, 401, 403, 404, 418, 429, 451, 503, 0, 999)),
        body: mostly(fc.constantFrom('', 'no', '{"a":1}', 'é\u0000')),
        dynamic_metadata: mostly(struct),
        outcome: fc.constant({ any: 'thing' }),
      },
      { requiredKeys: [] },
    ),
  },
)

/** CheckRequests that ask the contract's policy for a result. */
export const resultChecks: fc.Arbitrary<Buffer> = result.map((each) => resultCheck(each))

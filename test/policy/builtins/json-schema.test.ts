import t from 'tap'
import { builtins } from '#policy/builtins/builtins.ts'
import type { RegoValue } from '#policy/values/value.ts'
import { rego, sameAsOpa, untyped } from './against-opa.ts'

const call = (name: string, ...operands: RegoValue[]) => builtins.get(name)?.({ nowNs: 0n }, ...operands)
const draft = (number: number) => `http://json-schema.org/draft-0${number}/schema#`

/** Each schema with documents that fit and that do not. */
const cases: [schema: unknown, ...documents: unknown[]][] = [
  [{}, {}, [1]],
  [{ type: 'object' }, {}, []],
  [{ type: ['array', 'null'] }, {}, []],
  [
    { properties: { a: { type: 'integer' }, b: { type: 'number' }, c: { type: 'null' } } },
    { a: 1.5, b: 1, c: null },
    { a: 1, b: 'x', c: 0 },
    { a: 2, b: 1e3 },
  ],
  [
    { required: ['a', 'b'], additionalProperties: false, properties: { a: {} } },
    { a: 1 },
    { b: 1, c: 2 },
    { a: 1, b: 1 },
  ],
  [
    { additionalProperties: { type: 'string' }, patternProperties: { '^x': { type: 'integer' } } },
    { x1: 'a', y: 1 },
    { x1: 1, y: 'a' },
  ],
  [
    { properties: { a: { minLength: 2, maxLength: 3, pattern: '^é+$' } } },
    { a: 'é' },
    { a: 'éé' },
    { a: 'éééé' },
    { a: 'ab' },
    { a: '😀😀' },
  ],
  [
    { properties: { a: { minimum: 2, maximum: 5.5, multipleOf: 0.5 } } },
    { a: 1 },
    { a: 6 },
    { a: 2.25 },
    { a: 3.5 },
  ],
  [
    { properties: { a: { minimum: 2000000, exclusiveMaximum: 12345678.5 } } },
    { a: 1 },
    { a: 99999999 },
    { a: 12345678.5 },
  ],
  [
    {
      $schema: draft(4),
      properties: { a: { minimum: 2, exclusiveMinimum: true, maximum: 3, exclusiveMaximum: false } },
    },
    { a: 2 },
    { a: 3 },
    { a: 4 },
  ],
  [{ properties: { a: { minimum: 2, exclusiveMinimum: true } } }, { a: 2 }],
  [{ properties: { a: { multipleOf: 0.0001 } } }, { a: 0.00075 }, { a: 0.0075 }],
  [
    { properties: { a: { items: { type: 'integer' }, minItems: 1, maxItems: 2, uniqueItems: true } } },
    { a: [] },
    { a: [1, 1] },
    { a: [1, 'x', 3] },
  ],
  [{ items: [{ type: 'integer' }, { type: 'string' }], additionalItems: false }, [1, 'a'], [1, 2, 3], ['x']],
  [{ items: [{}], additionalItems: { type: 'string' } }, [1, 'a', 2]],
  [
    { uniqueItems: true },
    [1, 1, 1],
    [
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ],
    [[1], [1.5]],
  ],
  [{ contains: { type: 'string', minLength: 2 } }, [1, 'a'], ['ab'], []],
  [{ minProperties: 1, maxProperties: 2 }, {}, { a: 1, b: 2, c: 3 }],
  [{ propertyNames: { maxLength: 2 } }, { abc: 1 }, { ab: 1 }],
  [{ propertyNames: false }, { abc: 1 }, {}],
  [
    { dependencies: { a: ['b', 'c'], d: { required: ['e'] } } },
    { a: 1 },
    { d: 1 },
    { a: 1, b: 1, c: 1, d: 1, e: 1 },
  ],
  [{ enum: [{ a: 1 }, [1], '<x>'] }, { a: 1 }, { a: 2 }, [1]],
  [{ enum: [] }, {}],
  [{ const: { b: 1, a: [1, 2] } }, { a: [1, 2], b: 1 }, { a: 1 }],
  [{ $schema: draft(4), const: 1 }, {}],
  [
    { anyOf: [{ required: ['a'] }, { required: ['b', 'c'] }, { properties: { a: { type: 'string' } } }] },
    { d: 1 },
    { b: 1, a: 1 },
    { a: 1 },
  ],
  [{ anyOf: [{ required: ['a', 'b'] }, { required: ['b', 'c'] }] }, { b: 1 }, { c: 1 }],
  [{ oneOf: [{ required: ['a'] }, { required: ['b'] }] }, {}, { a: 1, b: 1 }, { a: 1 }],
  [{ allOf: [{ required: ['a'] }, { required: ['b'] }] }, {}, { a: 1 }, { a: 1, b: 1 }],
  [{ not: { required: ['a'] } }, {}, { a: 1 }],
  [
    '{"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}',
    {},
    { a: 1 },
    { c: 1 },
  ],
  [`{"$schema": "${draft(6)}", "if": {"required": ["a"]}, "then": {"required": ["b"]}}`, { a: 1 }],
  [{ properties: { a: false, b: true } }, { a: 1, b: 1 }],
  [
    { definitions: { x: { type: 'string' } }, properties: { a: { $ref: '#/definitions/x' } } },
    { a: 1 },
    { a: 'x' },
  ],
  [
    {
      definitions: { x: { properties: { next: { $ref: '#/definitions/x' } }, additionalProperties: false } },
      $ref: '#/definitions/x',
    },
    { next: { next: { a: 1 } } },
  ],
  [{ properties: { a: { $ref: '#' }, b: {} }, additionalProperties: false }, { a: { a: { c: 1 } } }],
  [
    {
      $id: 'http://example.com/root.json',
      definitions: {
        x: { $id: '#foo', type: 'string' },
        y: { $id: 'sub/y.json', definitions: { z: { type: 'null' } } },
      },
      properties: { a: { $ref: '#foo' }, b: { $ref: 'sub/y.json#/definitions/z' } },
    },
    { a: 1, b: 1 },
  ],
  [
    {
      id: 'http://example.com/root.json',
      items: { $ref: 'root.json#/definitions/x' },
      definitions: { x: { type: 'integer' } },
    },
    ['a'],
  ],
  [
    {
      definitions: { 'a/b~c%': { type: 'integer' } },
      properties: { a: { $ref: '#/definitions/a~1b~0c%25' } },
    },
    { a: 'x' },
  ],
  [{ $ref: draft(7) }, { type: 'object' }, { type: 'what' }, { minLength: -1 }],
  [{ $ref: draft(4) }, { type: 'object' }, { exclusiveMinimum: 1 }],
  [{ properties: { n: { $ref: `${draft(6)}/definitions/nonNegativeInteger` } } }, { n: -1 }],
  [
    { type: 'object', properties: { __proto__x: { type: 'string' }, constructor: { type: 'string' } } },
    { constructor: 1 },
    {},
  ],
  [
    '{"properties": {"a": {"type": "integer"}}}',
    '{"a": "x"}',
    '{"a": 1}',
    '{"a": 12345678901234567890}',
    '[1]',
    '1',
    'null',
    'not json',
  ],
  [{ required: ['a.b'] }, {}],
  [{ properties: { a: { properties: { b: { items: { type: 'string' } } } } } }, { a: { b: ['x', 1] } }],
]

const formats: Record<string, string[]> = {
  date: ['2020-01-01', '2020-02-30', '2020-1-1'],
  time: ['10:00:00', '10:00:00Z', '10:00:00+02:00', '25:00:00', '10:00'],
  'date-time': [
    '2020-01-01T00:00:00Z',
    '2020-01-01T00:00:00.123456789+01:00',
    '2020-01-01',
    '10:00:00',
    '2020-01-01 00:00:00',
  ],
  hostname: ['example.com', '-a.com', 'a_b', 'a..b', 'a'.repeat(64), ''],
  email: [
    'a@b',
    'a.b@c.d',
    'a b@c',
    '"a b"@c',
    'Bob <a@b>',
    '"Bob, X" <a@b.c>',
    'a@',
    '@b',
    'a@b@c',
    'a@[1.2.3.4]',
    '(x) a@b (y)',
    'é@é',
    'a..b@c',
    '<a@b>',
    'a@b, c@d',
    '',
    'a@b.',
    '.a@b',
  ],
  ipv4: ['1.2.3.4', '1.2.3', '::ffff:1.2.3.4', '01.2.3.4'],
  ipv6: ['::1', '1.2.3.4', 'fe80::1%eth0', '::ffff:1.2.3.4'],
  uri: ['http://a', 'a/b', 'urn:x', 'http://a\\b', 'http://[::1', ''],
  'uri-reference': ['http://a', 'a/b', '\\', 'a b', ':'],
  'uri-template': ['/a/{b}', '/a/{b', '/a}', '{a}{b}', '{{}'],
  uuid: ['00000000-0000-0000-0000-00000000000A', '0'],
  regex: ['a+', '(', '(?=a)', ''],
  'json-pointer': ['', '/a~0', '/~2', 'a', '/'],
  'relative-json-pointer': ['0', '1/a', '01', '0#', '0#a', '/a', '1~'],
  'made-up': ['x'],
}

t.test('documents against schemas', async (t) => {
  const expressions = cases.flatMap(([schema, ...documents]) =>
    documents.map((document) => `json.match_schema(${untyped(document)}, ${untyped(schema)})`),
  )
  const ofFormats = Object.entries(formats).flatMap(([format, values]) =>
    values.map(
      (value) => `json.match_schema(${rego({ a: value })}, ${rego({ properties: { a: { format } } })})`,
    ),
  )
  await sameAsOpa(t, [...expressions, ...ofFormats], { unordered: true })
})

t.test('schemas', async (t) => {
  const sound = cases.map(([schema]) => schema)
  const unsound = [
    { type: 'what' },
    { type: ['string', 'string'] },
    { type: 1 },
    { type: [1] },
    { properties: [] },
    { properties: { a: 1 } },
    { additionalProperties: 1 },
    { patternProperties: { '(': {} } },
    { patternProperties: 1 },
    { propertyNames: 1 },
    { dependencies: [] },
    { dependencies: { a: 1 } },
    { dependencies: { a: [1] } },
    { items: 1 },
    { items: [1] },
    { additionalItems: 'x' },
    { multipleOf: 0 },
    { multipleOf: 'x' },
    { minimum: 'x' },
    { maximum: null },
    { exclusiveMinimum: 'x' },
    { exclusiveMinimum: true },
    { $schema: draft(4), exclusiveMinimum: 1 },
    { $schema: draft(4), exclusiveMaximum: true },
    { $schema: draft(7), exclusiveMaximum: true },
    { $schema: draft(4), items: true },
    { $schema: 1 },
    { $schema: 'http://example.com/other' },
    { minLength: -1 },
    { minLength: 1.5 },
    { maxLength: 'x' },
    { minLength: 3, maxLength: 2 },
    { minItems: -1 },
    { maxItems: '1' },
    { minItems: 3, maxItems: 2 },
    { minProperties: 3, maxProperties: 2 },
    { maxProperties: -1 },
    { uniqueItems: 1 },
    { required: 'a' },
    { required: [1] },
    { required: ['a', 'a'] },
    { enum: 1 },
    { enum: [1, 1] },
    { pattern: '(' },
    { pattern: '(?=x)' },
    { pattern: 1 },
    { format: 1 },
    { oneOf: {} },
    { anyOf: [1] },
    { allOf: 1 },
    { not: 1 },
    { if: 1 },
    '{"then": []}',
    { else: 'x' },
    { title: 1 },
    { description: [] },
    { $ref: 1 },
    { $ref: '#/definitions/missing' },
    { $ref: '#/items/0', items: [] },
    { $ref: '#/items/x', items: [] },
    { $ref: '#/title/x', title: 'a' },
    { $ref: '#/title', title: 'a' },
    { $ref: 'other.json' },
    { $id: 1 },
    { $id: 'a', items: { $id: 'a' } },
    { definitions: 1 },
    { definitions: { a: 1 } },
    { contains: 1 },
    [],
    [1],
    '{"a":',
    '[]',
    'true',
    '1',
    '"x"',
    '{"type": "object"}',
  ]
  await sameAsOpa(
    t,
    [...sound, ...unsound].map((schema) => `json.verify_schema(${untyped(schema)})`),
  )
})

t.test('no reference leads out of the schema', async (t) => {
  for (const reference of ['http://127.0.0.1:1/x.json', 'https://example.com/x#/a', 'file:///etc/passwd'])
    t.match(call('json.verify_schema', { $ref: reference }), [
      false,
      /^jsonschema: remote reference loading disabled: /,
    ])
})

t.test('hostile schemas end in time', async (t) => {
  const layers = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [
      `a${i}`,
      { allOf: [{ $ref: `#/definitions/a${i + 1}` }, { $ref: `#/definitions/a${i + 1}` }] },
    ]),
  )
  const doubling = { definitions: { ...layers, a40: {} }, $ref: '#/definitions/a0' }
  t.throws(() => call('json.match_schema', {}, doubling), /too much to validate/)
  t.throws(() => call('json.match_schema', {}, { $ref: '#' }))
  t.throws(() => call('json.match_schema', {}, { allOf: [{ $ref: '#' }] }))
  const deep = `${'{"not":'.repeat(50_000)}{}${'}'.repeat(50_000)}`
  t.throws(() => call('json.match_schema', '{}', deep))
  t.match(call('json.verify_schema', { properties: { a: { pattern: '(a*)*$' } } }), [true])
  const document = { a: `${'a'.repeat(50_000)}b` }
  t.match(call('json.match_schema', document, { properties: { a: { pattern: '^(a*)*$' } } }), [false])
  t.match(call('json.match_schema', { a: 1e300 }, { properties: { a: { multipleOf: 1e-300 } } }), [true])
})

import t from 'tap'
import { compare, objectOf, setOf } from '#policy/values/compare.ts'
import { fromJsonText, jsonOfRegoText, toJson, withDoubles } from '#policy/values/json.ts'
import { parseRegoText, regoText } from '#policy/values/rego-text.ts'
import { Decimal, type RegoValue } from '#policy/values/value.ts'
import fc from '../../fast-check.ts'

const written: readonly (readonly [text: string, kind: 'number' | 'bigint' | 'Decimal'])[] = [
  ['0', 'number'],
  ['-1', 'number'],
  ['0.5', 'number'],
  ['9007199254740991', 'number'],
  ['9007199254740993', 'bigint'],
  ['-123456789012345678901', 'bigint'],
  ['100.0', 'Decimal'],
  ['2.50', 'Decimal'],
  ['1e2', 'Decimal'],
  ['1E3', 'Decimal'],
  ['0.33333333333333333334', 'Decimal'],
  ['1e400', 'Decimal'],
]

for (const [text, kind] of written) {
  t.test(`${text} keeps its digits, alone and inside`, async (t) => {
    for (const value of [parseRegoText(text), fromJsonText(text)]) {
      t.equal(value instanceof Decimal ? 'Decimal' : typeof value, kind)
      t.equal(regoText(value), text)
      t.equal(JSON.stringify(toJson(value)), text)
    }
    t.equal(regoText(parseRegoText(`{"a": [ ${text} ]}`)), `{"a":[${text}]}`)
    t.equal(JSON.stringify(jsonOfRegoText(`{${text}}`)), `[${text}]`)
  })
}

t.test('a fraction without a zero is read, and written with one', async (t) => {
  t.equal(regoText(parseRegoText('[.5, -.25]')), '[0.5,-0.25]')
  t.throws(() => parseRegoText('[.]'), SyntaxError)
})

t.test('equal numbers are equal however they are written', async (t) => {
  for (const [a, b] of [
    ['100.0', '100'],
    ['1e2', '100'],
    ['2.50', '2.5'],
    ['1E3', '1000.0'],
  ] as const)
    t.equal(compare(parseRegoText(a), parseRegoText(b)), 0, `${a} and ${b}`)
  t.equal(regoText(setOf([parseRegoText('1.0'), 1])), '{1.0}')
})

t.test('what Rego text says is what is read of it', async () => {
  const { value } = fc.letrec<{ value: RegoValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom<RegoValue>(null, true, false, '', 0),
      fc.string({ unit: 'grapheme' }),
      fc.integer(),
      fc.bigInt({ min: 2n ** 60n, max: 2n ** 80n }),
      fc.constantFrom('1.0', '2.50', '1e2', '0.33333333333333333334').map((text) => new Decimal(text)),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.array(tie('value'), { maxLength: 3 }).map(setOf),
      fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map(objectOf),
    ),
  }))
  fc.assert(
    fc.property(value, (each) => {
      const text = regoText(each)
      return regoText(parseRegoText(text)) === text && compare(parseRegoText(text), each) === 0
    }),
    { numRuns: 500 },
  )
})

t.test('a key that is no string is its JSON, as Go writes it', async (t) => {
  const rows: readonly (readonly [rego: string, json: string])[] = [
    ['{1: "a"}', '{"1":"a"}'],
    ['{[1, {2}]: 3}', '{"[1,[2]]":3}'],
    [
      '{{"b": true, 2: null, "a": "<&>"}: 1}',
      '{"{\\"2\\":null,\\"a\\":\\"\\\\u003c\\\\u0026\\\\u003e\\",\\"b\\":true}":1}',
    ],
    ['{set(): {3, 1, "x"}}', '{"[]":[1,3,"x"]}'],
  ]
  for (const [rego, json] of rows) t.equal(JSON.stringify(jsonOfRegoText(rego)), json, rego)
})

t.test('a reader that knows doubles alone gets the nearest', async (t) => {
  const exact = jsonOfRegoText('{"at": [1700000000123456789, 2.50, {"n": 1e400}], "s": "x"}')
  t.equal(JSON.stringify(exact), '{"at":[1700000000123456789,2.50,{"n":1e400}],"s":"x"}')
  t.same(withDoubles(exact), { at: [1700000000123456800, 2.5, { n: Number.POSITIVE_INFINITY }], s: 'x' })
})

import t from 'tap'
import { builtins } from '#policy/builtins/builtins.ts'
import type { RegoValue } from '#policy/values/value.ts'
import { rego, sameAsOpa } from './against-opa.ts'

const call = (name: string, ...operands: RegoValue[]) => builtins.get(name)?.({ nowNs: 0n }, ...operands)

/** Plain scalars, each of which may be something else in YAML 1.1, 1.2 or neither. */
const scalars =
  `true True TRUE tRUE yes Yes no on off y n null Null NULL ~ nil 0 -0 +0 1 +1 -1 007 08 0o17 0O17 -0o17 0x1F 0X1f
  -0x10 0b101 -0b11 0b102 1_000 1__0 _1 1_ 9007199254740993 18446744073709551615 18446744073709551616 -9223372036854775808
  -9223372036854775809 +9223372036854775808 1.5 1. .5 -.5 +.5 . .. 1e3 1E3 1e+3 1.5e-7 1e 1e400 1e21 1e20 0.1 .e1 1.2.3 .inf
  -.inf +.Inf .nan .NaN Infinity 1:30 190:20:30 2023-01-01 2023-1-1 2023-13-01 2023-01-01T10:00:00Z 1.0 100.0 0x 0o 0b -
  12345678901234567890123 0.1e1 12e03 << = <<< 1,000 "1" '1' "" '' "true" !!str|1 !!int|"5" !!float|3 !!bool|true !!null|x
  !!int|x !!binary|aGk= !!binary|x !|5 !custom|x !!str|~ !!timestamp|2023-01-01 !!timestamp|2023-01-01T10:00:00.5+02:00`
    .split(/\s+/)
    .map((scalar) => scalar.replace('|', ' '))

const documents = [
  'a: 1\nb:\n  - x\n  - y: z\n',
  'on: push\noff: [yes, no]\n',
  '{a: 1, "b": [c, d], e: }',
  '[a, b: c, {d}]',
  'a: |\n  text\n   more\n\nb: >-\n  folded\n  text\n\n  para\n',
  'a: |2\n    x\nb: >+\n  y\n\n',
  "a: \"x\\ty\\u00e9\\x41\\\n   z\"\nb: 'it''s'\n",
  'a: plain\n  continued\n\n  after\n',
  '# comment\na: 1 # more\n',
  '? complex\n: value\n? [x]\n: y\n',
  '? a\n? b\n',
  'base: &b {x: 1, y: 2}\nd:\n  <<: *b\n  y: 3\n',
  'a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc:\n  <<: [*a, *b]\n  z: 1\n',
  'a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc:\n  <<: *b\n  <<: *a\n',
  'a: &a {x: 1}\nb: &b {<<: *a, y: 1}\nc: {<<: *b, z: 1}\n',
  'a: &a [1]\nb: {<<: *a}\n',
  '<<: 5\n',
  '"<<": 5\n',
  'a: 1\nb: 9\na: 2\n',
  '1: a\n"1": b\n',
  '1: a\ntrue: b\n1.5: c\n0.1234567891: d\n1e10: e\n',
  'null: a\n',
  '~: a\n',
  ': a\n',
  '[1]: a\n',
  '{a: b}: c\n',
  'a: *missing\n',
  'a: &x 1\nb: *x\nc: &x 2\nd: *x\n',
  'a: &a [*a]\n',
  '&a [&b {c: *a}]\n',
  '--- a\n--- b\n',
  '---\n---\na: 1\n',
  'a: 1\n---\n\tb: 2\n',
  'a: 1\n...\n',
  '%YAML 1.2\n---\na: 1\n',
  '%TAG !e! tag:example,2000:\n---\n!e!x a\n',
  '!x!y a\n',
  '',
  '\n\n',
  '# only\n',
  '---\n',
  'a:\n- 1\n- 2\n',
  'a: {\n  b: 1\n}\n',
  'a: [\n1,\n2\n]\n',
  'a:b\n',
  'a: b: c\n',
  'a:  b\n c: d\n',
  '  a:\nb: 1\n',
  '- a\n b\n',
  '- - 1\n  - 2\n-\n  - 3\n',
  'a: [1, 2\n',
  'a: "x\n',
  "a: 'x\n",
  'a: @x\n',
  'a: `x\n',
  'a: %x\n',
  'a: ]\n',
  '\ta: 1\n',
  'a:\t1\n',
  'a: x\u0000y\n',
  'a: x\u007fy\n',
  'a: é😀\n',
  '\ufeffa: 1\n',
  'a: http://x/y#z\n',
  'a: "#x"\nb: x#y\nc: x #y\n',
  '{"a": "b", "c": [1, 2.50, true, null]}',
  '{"a":1}',
  '"\\ud83d\\ude00"',
  'a: -\n',
  'a: - b\n',
  '__proto__: {polluted: true}\n',
  'just text',
  '12345678901234567890',
  '!!map {a: 1}',
  '!!seq [1]',
  '!!set {a, b}',
  'a: ?\n',
  'a: !!str\n',
  'a: !!int\n',
  `a: "${'x'.repeat(2000)}"\n`,
  `${'k'.repeat(1100)}: 1\n`,
  'key with spaces: value with spaces   \n',
  'a: |\n\n\n  x\n',
  'a: >\n  x\n\n\n  y\n   z\n  w\n',
  'a: |-\n  x\n  \nb: 1\n',
]

t.test('YAML is read as go-yaml reads it', async (t) => {
  await sameAsOpa(
    t,
    [
      ...scalars.map((scalar) => `a: ${scalar}`),
      ...scalars.map((scalar) => `[${scalar}]`),
      ...documents,
    ].flatMap((source) => [`yaml.unmarshal(${rego(source)})`, `yaml.is_valid(${rego(source)})`]),
  )
})

const values = [
  ...scalars.filter((scalar) => !/^["']/.test(scalar)),
  '',
  ' ',
  ' x',
  'x ',
  'x y',
  'a\nb',
  'a\n',
  'a\n\n',
  '\n',
  '\na',
  ' a\nb',
  'a \nb',
  'a\n b\n',
  'a\tb',
  '\t',
  'a\t\nb',
  'a\rb',
  'é',
  '😀',
  '\ufeffab',
  'x\ufeff',
  '\u0085',
  'a \u0085 \u0085b',
  'a\u2028b',
  '\u2029',
  '\u00a0',
  '\u007f',
  '\u0000\u0007\b\u000b\f\u001b"\\',
  "it's",
  '"quoted"',
  '- x',
  '-x',
  '-',
  '? x',
  '?x',
  '?',
  ': x',
  ':x',
  ':',
  'x: y',
  'x:y',
  'x:',
  'x #y',
  'x#y',
  '#x',
  '---',
  '--- x',
  '...',
  '...x',
  '[x',
  'x[',
  '{x',
  '&x',
  '*x',
  '!x',
  '|x',
  '>x',
  '%x',
  '@x',
  '`x',
  ',x',
  ']',
  'x, y',
  '=',
  '\ud7ff\ue000\ufffd',
  'x'.repeat(200),
  'word '.repeat(60),
  `${'word '.repeat(60)}end`,
]
const keys = [
  '',
  'a',
  'A',
  '_',
  '1',
  '10',
  '9',
  'a9',
  'a10',
  'a09',
  'a1b',
  'a 1',
  'é',
  '.',
  'a.b',
  '01',
  '100',
  '1a',
  'ab',
  'x\ny',
]

t.test('YAML is written as go-yaml writes it', async (t) => {
  await sameAsOpa(t, [
    ...values.map((value) => `yaml.marshal(${rego(value)})`),
    ...values.map((value) => `yaml.marshal(${rego({ k: [value, { [value]: value }] })})`),
    ...[
      Object.fromEntries(keys.map((key) => [key, key])),
      { a: [], b: {}, c: [[], {}], d: [[1, [2]], { e: [{ f: 1, g: [2] }] }] },
      { ['long'.repeat(40)]: { b: 1, c: [1, { d: 2 }] }, ['x'.repeat(1100)]: 1 },
      { ['long'.repeat(40)]: [1, 2], 'two\nlines': 'x\ny', z: { 'a\nb': { c: [] } } },
      [1.5, 0.1, 1e-5, 123456.5, 1234567.5, -0.000012345, null, true, false, [[['x']]]],
    ].map((value) => `yaml.marshal(${rego(value)})`),
    'yaml.marshal([9007199254740993, 18446744073709551615, 18446744073709551616, -9223372036854775809])',
    'yaml.marshal({1: {2, 3}, [4]: set()})',
    'yaml.unmarshal(yaml.marshal({"a": [1, "1", "x\\ny", {"b": null}]}))',
  ])
})

t.test('hostile YAML ends in time, and as undefined', async (t) => {
  const bomb = `a0: &a0 [x]\n${Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]\n`).join('')}`
  const hostile = [
    bomb,
    `a0: &a0 {k: 1}\n${Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} {x: *a${i}, <<: [*a${i}, *a${i}]}\n`).join('')}`,
    '['.repeat(100_000),
    '[{a: '.repeat(50_000),
    '- '.repeat(100_000),
    '? '.repeat(100_000),
    Array.from({ length: 3000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
    '&a '.repeat(50_000),
    `${'&'.repeat(100_000)}`,
    '"'.repeat(100_001),
  ]
  for (const source of hostile) {
    t.throws(() => call('yaml.unmarshal', source), source.slice(0, 20))
    t.equal(call('yaml.is_valid', source), false, source.slice(0, 20))
  }
  t.doesNotThrow(() => call('yaml.is_valid', `a: &a x\n${'- *a\n'.repeat(20_000)}`))
  const polluting = call('yaml.unmarshal', '__proto__: {polluted: true}\n')
  t.ok(Object.hasOwn(polluting as object, '__proto__'))
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
})

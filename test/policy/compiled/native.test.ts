import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readPlanBundle } from '#policy/bundle/bundle.ts'
import { createCompiledEngine } from '#policy/compiled/compiled.ts'
import { natives } from '#policy/compiled/native/native.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { isEqual } from '#policy/values/compare.ts'
import { fromJsonText } from '#policy/values/json.ts'
import type { RegoValue } from '#policy/values/value.ts'
import { goTool } from '../../harness/go-tools.ts'
import { buildBundle } from '../../harness/opa.ts'
import { run } from '../../harness/run.ts'
import { temporaryFolder } from '../../harness/temp.ts'

const q = (...texts: readonly string[]) => texts.map((text) => JSON.stringify(text))
/** Operands by kind, as Rego text. Every kind is also tried where another is wanted. */
const kinds = {
  scalar: ['null', 'true', 'false', '1', '"x"', '[]', '{}', 'set()', '1.5', '[1, "a"]', '{"a": {1}}'],
  number: [
    ...[
      '0',
      '1',
      '-1',
      '2',
      '3',
      '7',
      '10',
      '16',
      '-7',
      '2147483647',
      '2147483648',
      '-2147483649',
      '4294967296',
    ],
    ...[
      '9007199254740991',
      '9007199254740993',
      '12345678901234567890',
      '-98765432109876543210',
      '1e20',
      '1e30',
    ],
    ...[
      '0.1',
      '0.2',
      '1.5',
      '-1.5',
      '2.5',
      '0.5',
      '-0.5',
      '3.14159',
      '1e-7',
      '123456.789',
      '100.0',
      '1e300',
      '0.3',
    ],
    ...['5e-324', '0.000001', '33.333333333333336', '18446744073709551616', '99999999999999999.5', '-0.0'],
  ],
  integer: ['0', '1', '-1', '2', '5', '9', '-3', '10', '100', '4294967296', '-12345678901234567890', '2.5'],
  small: ['0', '1', '2', '3', '-1', '-2', '7', '100', '1.0', '1.5'],
  base: ['2', '8', '10', '16', '7'],
  text: q(
    ...[
      '',
      'a',
      'abc',
      'abcabc',
      'ABC',
      ' a b ',
      'é',
      'aéb',
      'ÀÉÎ straße',
      '日本語',
      '😀 ok',
      '\t\n x\u00a0',
      'İı',
    ],
    ...[
      'a.b.c',
      'a/b/c',
      '..',
      'aaa',
      'foo bar baz',
      'x,y,z',
      '-12',
      '007',
      '"quoted"',
      '<&>',
      '\\',
      '*',
      'ǅ',
    ],
  ),
  part: q('', 'a', 'b', 'bc', '.', '/', ' ', ',', 'é', '日', '😀', 'abcabcabc', 'A'),
  // Not "+1", ".5", "1.", "00" and "1_000": opa keeps the text, and cannot write it as JSON.
  numeric: q(
    ...['0', '1', '-1', '1.5', '1e3', '1E-2', '0x10', ' 1', 'inf', 'NaN', '', 'abc', '-0', '1e', '--1'],
    ...['12345678901234567890', '1e400'],
  ),
  pattern: q(
    ...[
      'a',
      '^a',
      'b+',
      '[a-c]+',
      '(a)(b)?',
      '(',
      '',
      '.',
      '\\d+',
      '(?i)ABC',
      'a{2}',
      '\\p{L}+',
      '^$',
      '[',
      '(?P<n>x)',
    ],
    ...['a|b', '(a*)*b', '\\bfoo\\b', '(?s).+', 'é'],
  ),
  glob: q(
    ...[
      '',
      '*',
      '**',
      '?',
      'a*',
      '*c',
      'a?c',
      '[abc]',
      '[a-c]*',
      '[!a]*',
      '{a,abc}',
      'a.*.c',
      '*.*.*',
      'a/**',
      '\\*',
    ],
    ...[
      '{a*,b}c',
      '[',
      '{a',
      'a}',
      'a,b',
      '[a',
      '[]',
      '[!]',
      'é',
      '{,a}bc',
      '{a,{b,c}}',
      '??',
      '[^a]',
      'a\\',
      '[b-a]',
    ],
  ),
  delimiters: ['[]', 'null', '["."]', '["/"]', '[".", "/"]', '["ab"]', '[1]', '"."', '["é"]'],
  array: [
    ...[
      '[]',
      '[1]',
      '[1, 2, 3]',
      '["b", "a", "c"]',
      '[[1], [2]]',
      '[1, "a", null, true, {}, set(), [0]]',
      '[true, true]',
    ],
    ...[
      '[3, 1.5, -2, 12345678901234567890]',
      '[0.1, 0.2, 0.3]',
      '[{"a": 1}, {"b": 2}]',
      '["é", "z", "😀"]',
      '[true, false]',
    ],
  ],
  set: [
    ...[
      'set()',
      '{1}',
      '{1, 2, 3}',
      '{"b", "a"}',
      '{2, 3, 4}',
      '{{1}, {2, 3}}',
      '{{1, 2}, {2, 3}}',
      '{[1], {"a": 1}, {1}}',
    ],
    ...['{1.5, 0.1, 10}', '{"x", 1, null, true}', '{true}'],
  ],
  object: [
    ...[
      '{}',
      '{"a": 1}',
      '{"a": 1, "b": 2}',
      '{"a": {"b": {"c": 1}}, "d": [1, {"e": 2}]}',
      '{1: "one", 2: "two"}',
    ],
    ...[
      '{"a": {"x": 1}, "c": 3}',
      '{"a": {"y": 2}}',
      '{[1]: 2, "k": {3}}',
      '{"__proto__": 1, "constructor": 2}',
      '{"a": null}',
    ],
    ...[
      '{"~": 1, "a/b": {"m~n": 2}}',
      '{"s": {"u", "v"}}',
      '{{2}: {"<"}, [1, "&"]: 2}',
      '{true: 1, null: 2}',
    ],
  ],
  path: [
    ...[
      '"a"',
      '"b"',
      '["a"]',
      '["a", "b"]',
      '["d", 1, "e"]',
      '[]',
      '1',
      '[1]',
      '"__proto__"',
      '"toString"',
      '["a", "__proto__"]',
    ],
    ...['["a", "x"]', '[[1]]', 'null', 'true'],
  ],
  paths: [
    ...[
      '[]',
      '["a"]',
      '["a/b"]',
      '["/a/b/c"]',
      '["d/0"]',
      '["d/1/e"]',
      '{"a", "b"}',
      '[["a", "b"]]',
      '["a", "a/b"]',
    ],
    ...['["a~1b/m~0n"]', '["~0"]', '[""]', '["s/u"]', '[1]', '"a"', '[[1]]', '["__proto__"]'],
  ],
  keys: ['[]', '["a"]', '{"a", "b"}', '{"a": 1}', '[1]', '"a"', '["__proto__", "x"]', '[[1]]'],
  json: q(
    ...[
      '1',
      '"a"',
      '[1,2]',
      '{"a":{"b":[1.5,null]}}',
      '{',
      '',
      ' 1 ',
      '1 2',
      '{"a":1,"a":2}',
      '12345678901234567890',
      'nul',
    ],
    ...[
      '"\\ud800"',
      '"\\ud83d\\ude00"',
      '[01]',
      '{"__proto__":1}',
      '-0',
      '1e2',
      "'a'",
      '[1,]',
      '"a\tb"',
      '1.0',
    ],
  ),
  base64: q(
    '',
    'YQ==',
    'YQ',
    'YWI=',
    'YWJj',
    'YWJ',
    '____',
    '//==',
    'a',
    'Y Q=',
    'w6k=',
    'YQ\n==',
    'YR==',
    '4oI=',
    '4oI',
  ),
  cidr: q(
    ...[
      '10.0.0.0/8',
      '10.1.2.3/16',
      '10.0.0.1',
      '192.168.0.0/16',
      '0.0.0.0/0',
      '::/0',
      '2001:db8::/32',
      '2001:db8::1',
    ],
    ...[
      '::ffff:10.0.0.0/104',
      '::1',
      'x',
      '10.0.0.0/33',
      '1.2.3.4/32',
      '2001:db8::/129',
      '010.0.0.1/8',
      '::ffff:1.2.3.4',
    ],
  ),
  graph: [
    '{"a": ["b"], "b": ["c", "a"], "c": []}',
    '{"a": {"b"}, "b": {"z"}}',
    '{}',
    '{1: [2], 2: []}',
    '{"a": null}',
  ],
  starts: ['["a"]', '{"a", "c"}', '[]', '[1]', '["z"]', '"a"'],
  replacements: [
    '{}',
    '{"a": "1"}',
    '{"a": "1", "ab": "2"}',
    '{"": "-"}',
    '{"": "-", "b": "X"}',
    '{"a": 1}',
    '{"é": "e", "a": ""}',
  ],
  texts: ['[]', '["a"]', '["a", "b"]', '{"c", "a"}', '["a", 1]', '"a"'],
} as const
type Kind = keyof typeof kinds
/** Each builtin with the kinds of its operands. Long deprecated ones are not in Rego v1; OPA's own cases have them. */
const signatures: readonly (readonly [name: string, ...kinds: Kind[]])[] = [
  ...['count', 'sum', 'product', 'max', 'min', 'sort'].flatMap((name): [string, Kind][] => [
    [name, 'array'],
    [name, 'set'],
    [name, 'object'],
    [name, 'text'],
  ]),
  ...['plus', 'minus', 'mul', 'div', 'rem'].map((name): [string, Kind, Kind] => [name, 'number', 'number']),
  ...['abs', 'round', 'ceil', 'floor'].map((name): [string, Kind] => [name, 'number']),
  ...['bits.and', 'bits.or', 'bits.xor'].map((name): [string, Kind, Kind] => [name, 'integer', 'integer']),
  ['bits.negate', 'integer'],
  ['bits.lsh', 'integer', 'small'],
  ['bits.rsh', 'integer', 'small'],
  ...['equal', 'neq', 'gt', 'gte', 'lt', 'lte'].flatMap((name): [string, Kind, Kind][] => [
    [name, 'number', 'number'],
    [name, 'scalar', 'scalar'],
    [name, 'object', 'object'],
    [name, 'set', 'set'],
    [name, 'text', 'text'],
  ]),
  ['minus', 'set', 'set'],
  ['and', 'set', 'set'],
  ['or', 'set', 'set'],
  ['intersection', 'set'],
  ['union', 'set'],
  ['array.concat', 'array', 'array'],
  ['array.reverse', 'array'],
  ['array.slice', 'array', 'small', 'small'],
  ['numbers.range', 'small', 'small'],
  ['graph.reachable', 'graph', 'starts'],
  ['internal.member_2', 'scalar', 'array'],
  ['internal.member_2', 'scalar', 'set'],
  ['internal.member_2', 'scalar', 'object'],
  ['internal.member_3', 'small', 'scalar', 'array'],
  ['internal.member_3', 'path', 'scalar', 'object'],
  ['internal.member_3', 'scalar', 'scalar', 'set'],
  ...['is_number', 'is_string', 'is_boolean', 'is_array', 'is_set', 'is_object', 'is_null', 'type_name'].map(
    (name): [string, Kind] => [name, 'scalar'],
  ),
  ['to_number', 'numeric'],
  ['to_number', 'number'],
  ['to_number', 'scalar'],
  ['object.get', 'object', 'path', 'scalar'],
  ['object.keys', 'object'],
  ['object.remove', 'object', 'keys'],
  ['object.filter', 'object', 'keys'],
  ['object.union', 'object', 'object'],
  ['object.union_n', 'array'],
  ['json.filter', 'object', 'paths'],
  ['json.remove', 'object', 'paths'],
  ['json.marshal', 'object'],
  ['json.marshal', 'set'],
  ['json.marshal', 'text'],
  ['json.marshal', 'array'],
  ['json.unmarshal', 'json'],
  ['json.is_valid', 'json'],
  ['json.is_valid', 'scalar'],
  ...['base64.decode', 'base64.is_valid', 'base64url.decode'].map((name): [string, Kind] => [name, 'base64']),
  ...['base64.encode', 'base64url.encode', 'lower', 'upper', 'strings.reverse', 'trim_space'].map(
    (name): [string, Kind] => [name, 'text'],
  ),
  ['base64.is_valid', 'scalar'],
  ...['contains', 'startswith', 'endswith', 'indexof', 'split', 'trim', 'trim_left', 'trim_right'].map(
    (name): [string, Kind, Kind] => [name, 'text', 'part'],
  ),
  ['trim_prefix', 'text', 'part'],
  ['trim_suffix', 'text', 'part'],
  ['substring', 'text', 'small', 'small'],
  ['replace', 'text', 'part', 'part'],
  ['strings.replace_n', 'replacements', 'text'],
  ['concat', 'part', 'texts'],
  ['format_int', 'number', 'base'],
  ['regex.match', 'pattern', 'text'],
  ['regex.is_valid', 'pattern'],
  ['regex.is_valid', 'scalar'],
  ['regex.find_all_string_submatch_n', 'pattern', 'text', 'small'],
  ['glob.match', 'glob', 'delimiters', 'text'],
  ['net.cidr_contains', 'cidr', 'cidr'],
  ['net.cidr_intersects', 'cidr', 'cidr'],
  ['walk', 'object'],
  ['walk', 'array'],
]
const maxCalls = 500
/** All combinations, or an even choice of them. */
function combinations(lists: readonly (readonly string[])[]): string[][] {
  const total = lists.reduce((product, list) => product * list.length, 1)
  const count = Math.min(total, maxCalls)
  return Array.from({ length: count }, (_, index) => {
    let at = Math.floor((index * total) / count)
    return lists.map((list) => {
      const chosen = list[at % list.length] as string
      at = Math.floor(at / list.length)
      return chosen
    })
  })
}
const pool: string[] = []
const positions = new Map<string, number>()
function position(operand: string): number {
  const known = positions.get(operand)
  if (known !== undefined) return known
  positions.set(operand, pool.push(operand) - 1)
  return pool.length - 1
}
/** How an operator is written where its name is no function of the language. */
const written: Readonly<Record<string, (...operands: string[]) => string>> = {
  'internal.member_2': (item, all) => `${item} in ${all}`,
  'internal.member_3': (key, item, all) => `${key}, ${item} in ${all}`,
}
/** Between the bytes of one character opa puts what makes it no character any more. */
function splitsBytes(name: string, operands: readonly string[]): boolean {
  const isEmptyReplaced = name === 'replace' ? operands[1] === '""' : /^\{"":/.test(operands[0] as string)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what it looks for.
  return name.includes('replace') && isEmptyReplaced && !/^[\u0000-\u007f]*$/.test(operands.join(''))
}

const rules = signatures.map(([name, ...wanted], index) => {
  const operands = wanted.map((_, place) => `pool[c[${place}]]`)
  const call = written[name]?.(...operands) ?? `${name}(${operands.join(', ')})`
  const assignment = name.startsWith('internal.') ? `x := (${call})` : `x := ${call}`
  const calls = combinations(wanted.map((kind) => kinds[kind])).filter(
    (operands) => !splitsBytes(name, operands),
  )
  return { name, index, calls, rule: `r${index} := [[x | ${assignment}] | some c in input.calls[${index}]]` }
})
const input = { calls: rules.map(({ calls }) => calls.map((operands) => operands.map(position))) }
const source = `package natives\n\npool := [${pool.join(', ')}]\n\n${rules.map(({ rule }) => rule).join('\n\n')}\n`
const count = input.calls.flat().length
t.test(`${count} calls of builtins that a module brings with it give what opa says`, async (t) => {
  using folder = temporaryFolder()
  const at = (name: string) => join(folder.path, name)
  writeFileSync(at('natives.rego'), source)
  writeFileSync(at('input.json'), JSON.stringify(input))
  const args = ['eval', '--format', 'json', '-d', at('natives.rego'), '-i', at('input.json'), 'data.natives']
  const said = (await run(await goTool('opa'), args)).toString()
  const theirs = fromJsonText(said) as unknown as {
    readonly result: readonly {
      readonly expressions: readonly { readonly value: Record<string, RegoValue[]> }[]
    }[]
  }
  const entrypoint = 'natives'
  const bytes = await buildBundle({ files: { 'natives.rego': source }, entrypoint, target: 'plan' })
  const engine = createCompiledEngine({ ...readPlanBundle(bytes, 'test', entrypoint), place: 'test' })
  const ours = engine.evaluate(entrypoint, new InputDocument(input), { nowNs: 0n }) as Record<string, unknown>
  const right = theirs.result[0]?.expressions[0]?.value
  const wrong: string[] = []
  for (const { name, index, calls } of rules) {
    const mine = fromJsonText(JSON.stringify(ours[`r${index}`])) as RegoValue[]
    for (const [place, operands] of calls.entries()) {
      const [found, wanted] = [mine[place] as RegoValue, right?.[`r${index}`]?.[place] as RegoValue]
      if (!isEqual(found, wanted))
        wrong.push(`${name}(${operands.join(', ')}): ${show(found)} instead of ${show(wanted)}`)
    }
  }
  t.same(wrong, [])
})
const show = (value: RegoValue) =>
  JSON.stringify(value, (_key, each) => (typeof each === 'bigint' ? String(each) : each))
t.test('every builtin that is not long deprecated is among them', (t) => {
  const tried = new Set(signatures.map(([name]) => name))
  const deprecated = /^(all|any|re_match|set_diff|net\.cidr_overlap)$/
  t.same(
    [...natives.keys()].filter((name) => !tried.has(name) && !deprecated.test(name)),
    [],
  )
  t.end()
})

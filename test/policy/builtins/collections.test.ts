import t from 'tap'
import { builtins } from '#policy/builtins/builtins.ts'
import type { RegoValue } from '#policy/values/value.ts'
import { sameAsOpa, untyped } from './against-opa.ts'

const call = (name: string, ...operands: RegoValue[]) => builtins.get(name)?.({ nowNs: 0n }, ...operands)

t.test('arrays, objects and graphs', async (t) => {
  await sameAsOpa(t, [
    'array.flatten([])',
    'array.flatten([1, [2, [3]], [], {4}, "5", [[6]]])',
    'array.flatten(json.unmarshal("{}"))',
    ...[
      ['{"a": 1, "b": {"c": [1, 2, 3], "d": {1, 2}}}', '{"b": {"c": [2, 3]}}'],
      ['{"a": 1, "b": {"c": [1, 2, 3], "d": {1, 2}}}', '{"b": {"d": {2}, "c": [1, 2, 3]}, "a": 1}'],
      ['{"a": 1}', '{"a": 2}'],
      ['{"a": 1}', '{}'],
      ['{"a": {"b": 1}}', '{"a": {}}'],
      ['{"a": [1]}', '{"a": {1}}'],
      ['{1, 2, {"a": 1, "b": 2}}', '{2, {"a": 1}}'],
      ['{1, 2, {"a": 1}}', '{{"a": 1}, 1}'],
      ['set()', 'set()'],
      ['[]', 'set()'],
      ['[1]', 'set()'],
      ['[1, 1]', '{1, 2}'],
      ['[1, 2, 3]', '{3, 1}'],
      ['[1, 2, 1, 2, 3]', '[1, 2, 3]'],
      ['[1, 2, 1, 2, 3]', '[2, 2]'],
      ['[[1, 2]]', '[[1]]'],
      ['[1]', '[]'],
      ['{1}', '[1]'],
      ['{{"x"}: {1, 2}, 3: null}', '{{"x"}: {2}}'],
      ['{9007199254740993: 1}', '{9007199254740992: 1}'],
    ].map(([whole, part]) => `object.subset(${whole}, ${part})`),
    'count(graph.reachable_paths({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, ["a"]))',
  ])
})

t.test('paths of a graph', async (t) => {
  const graphs = [
    ['{"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}', '{"a"}'],
    ['{"a": {"a"}}', '["a"]'],
    ['{"a": {"a", "b"}, "b": {"a", "c"}}', '["a", "b", "x"]'],
    [untyped({ a: ['x'], b: null, c: 'a' }), '["a", "b", "c"]'],
    ['{"a": ["b"], "b": [1], 1: {null}, null: [[]]}', '["b"]'],
    ['{1: {2, 3}, 2: {{"x"}}, {"x"}: {1}}', '{1}'],
    ['{"a": []}', '[]'],
    ['{}', '["a"]'],
  ]
  const expressions = graphs.map(([graph, initial]) => `graph.reachable_paths(${graph}, ${initial})`)
  await sameAsOpa(t, expressions, { unordered: true })
})

t.test('JSON patches', async (t) => {
  const cases: [target: string, ...operations: object[]][] = [
    ['{"a": {"b": 1}}', { op: 'add', path: '/a/c', value: [1] }, { op: 'add', path: '/a/c/-', value: 2 }],
    ['{"a": {"b": 1}}', { op: 'add', path: 'a/b', value: 2 }],
    ['{"a": {"b": 1}}', { op: 'add', path: '///a/b', value: 2 }],
    ['{"a": {"b": 1}}', { op: 'add', path: ['a', 'b', 'c'], value: 2 }],
    ['{"a": {"b": 1}}', { op: 'add', path: '/x/y', value: 2 }],
    ['{"a~b": 1, "c/d": 2}', { op: 'remove', path: '/a~0b' }, { op: 'replace', path: '/c~1d', value: null }],
    ['{"": 1}', { op: 'remove', path: '/' }],
    ['{"a": 1}', { op: 'remove', path: '/b' }],
    ['{"a": 1}', { op: 'remove', path: '/a' }, { op: 'remove', path: '/a' }],
    ['{"a": 1}', { op: 'replace', path: '/a' }],
    ['{"a": 1}', { op: 'replace', path: '/b', value: 1 }],
    ['{"a": [1, 2, 3]}', { op: 'move', from: '/a/0', path: '/a/-' }],
    ['{"a": [1, 2, 3]}', { op: 'move', from: '/a', path: '/b/c' }],
    ['{"a": [1, 2, 3]}', { op: 'move', from: '/a', path: '' }],
    ['{"a": [1, 2, 3]}', { op: 'copy', from: '', path: '/b' }],
    ['{"a": [1, 2, 3]}', { op: 'test', path: '/a/1', value: 2 }],
    ['{"a": [1, 2, 3]}', { op: 'test', path: '/a/1', value: 3 }],
    ['{"a": [1, 2, 3]}', { op: 'test', path: '/a/-', value: 3 }],
    ['[1, 2, 3]', { op: 'add', path: '/3', value: 4 }],
    ['[1, 2, 3]', { op: 'add', path: '/4', value: 4 }],
    ['[1, 2, 3]', { op: 'add', path: '/01', value: 4 }],
    ['[1, 2, 3]', { op: 'add', path: '/+1', value: 4 }],
    ['[1, 2, 3]', { op: 'add', path: '/-1', value: 4 }],
    ['[1, 2, 3]', { op: 'add', path: [1], value: 4 }],
    ['[1, 2, 3]', { op: 'add', path: [1.5], value: 4 }],
    ['[1, 2, 3]', { op: 'remove', path: '/1' }, { op: 'add', path: '/0', value: 0 }],
    // An item that has moved is read where it was: OPA's defect, and kept.
    ['[1, 2, 3]', { op: 'add', path: '/0', value: 9 }, { op: 'copy', from: '/1', path: '/-' }],
    ['[{"x": 1}, 2]', { op: 'add', path: '/0', value: 9 }, { op: 'replace', path: '/1/x', value: 7 }],
    ['[{"x": 1}, 2]', { op: 'remove', path: '/1' }, { op: 'replace', path: '/0/x', value: 7 }],
    ['"text"', { op: 'add', path: '', value: { a: 1 } }],
    ['"text"', { op: 'add', path: '/a', value: 1 }],
    ['{1: {"x": 1}}', { op: 'replace', path: [1, 'x'], value: 2 }],
    ['{1: {"x": 1}}', { op: 'replace', path: '/1/x', value: 2 }],
    ['{"a": 1}', { op: 'increment', path: '/a', value: 1 }],
    ['{"a": 1}', { op: 1, path: '/a', value: 1 }],
    ['{"a": 1}', { path: '/a', value: 1 }],
    ['{"a": 1}', { op: 'add', value: 1 }],
    ['{"a": 1}', { op: 'add', path: { a: 1 }, value: 1 }],
    ['{"a": 1}', { op: 'add', path: '/__proto__', value: { polluted: true } }],
    ['{"a": 1}'],
  ]
  await sameAsOpa(t, [
    ...cases.map(([target, ...operations]) => `json.patch(${target}, ${untyped(operations)})`),
    'json.patch({1, "b"}, [{"op": "add", "path": "/c", "value": "c"}, {"op": "remove", "path": [1]}]) == {"b", "c"}',
    'json.patch({1, {"x": 1}}, [{"op": "replace", "path": [{"x": 1}, "x"], "value": 2}]) == {1, {"x": 2}}',
    'json.patch({1}, [{"op": "add", "path": [2], "value": 3}])',
    'json.patch({[1, 2]}, [{"op": "add", "path": [[1, 2], 0], "value": 0}, {"op": "test", "path": [[0, 1, 2]], "value": [0, 1, 2]}]) == {[0, 1, 2]}',
  ])
})

t.test('where opa 1.22.2 crashes there is an answer', async (t) => {
  const replaced = [
    { op: 'replace', path: '', value: { b: 1 } },
    { op: 'add', path: '/c', value: 2 },
  ]
  t.same(call('json.patch', { a: 1 }, replaced), { b: 1, c: 2 })
  t.throws(() => call('json.patch', { a: 1 }, [{ op: 'remove', path: '' }]))
})

t.test('casts of Rego v0', async (t) => {
  t.same(call('cast_array', [1]), [1])
  t.same(call('cast_string', 'x'), 'x')
  t.same(call('cast_boolean', false), false)
  t.same(call('cast_null', null), null)
  t.same(call('cast_object', { a: 1 }), { a: 1 })
  for (const name of ['cast_array', 'cast_set', 'cast_string', 'cast_boolean', 'cast_null', 'cast_object'])
    t.throws(() => call(name, 1), name)
})

t.test('hostile operands end in time', async (t) => {
  const long = Array.from({ length: 100_000 }, (_, index) => (index % 2 === 0 ? 'a' : 'b'))
  t.equal(call('object.subset', long, [...long.slice(0, 50_000), 'c']), false)
  // Each layer doubles the number of paths.
  const layers = Object.fromEntries(
    Array.from({ length: 60 }, (_, layer) =>
      ['x', 'y'].map((side) => [`${side}${layer}`, [`x${layer + 1}`, `y${layer + 1}`]] as const),
    ).flat(),
  )
  t.throws(() => call('graph.reachable_paths', layers, ['x0']), /too many paths/)
  const chain = Object.fromEntries(
    Array.from({ length: 100_000 }, (_, index) => [`${index}`, [`${index + 1}`]] as const),
  )
  t.doesNotThrow(() => call('graph.reachable_paths', chain, ['0']))
  const patched = call('json.patch', {}, [{ op: 'add', path: '/__proto__', value: { polluted: 1 } }])
  t.ok(Object.hasOwn(patched as object, '__proto__'))
  t.equal(({} as { polluted?: number }).polluted, undefined)
})

import t from 'tap'
import type { JsonValue } from '#base/json.ts'
import { changeText, groupChanges } from '#policy/authoring/compare/compare.ts'
import { firstDifference } from '#policy/authoring/difference/difference.ts'
import { parseExactJson } from '#policy/input/json-text.ts'
import fc from '../../fast-check.ts'

const rows: [name: string, left: string, right: string, path: string | undefined][] = [
  ['the same', '{"a":[1,{"b":null}]}', '{"a":[1,{"b":null}]}', undefined],
  ['keys in another order', '{"a":1,"b":2}', '{"b":2,"a":1}', undefined],
  ['a set in another order', '{"a":[1,2,{"b":[3,4]}]}', '{"a":[{"b":[4,3]},2,1]}', undefined],
  ['the value as a whole', 'true', '{"allowed":true}', ''],
  ['the first key that differs', '{"a":1,"b":1,"c":1}', '{"a":1,"b":2,"c":2}', '/b'],
  ['a key that is missing', '{"a":{"b":1}}', '{"a":{}}', '/a/b'],
  ['a key that is null is no missing one', '{"a":null}', '{}', '/a'],
  ['an item', '{"a":[1,2]}', '{"a":[1,3]}', '/a/1'],
  ['an item too many', '[1]', '[1,1]', '/1'],
  ['keys that must be escaped', '{"a/b":{"c~d":1}}', '{"a/b":{"c~d":2}}', '/a~1b/c~0d'],
  ['numbers that no double tells apart', '9007199254740993', '9007199254740992.5', ''],
  ['a number and the double it was rounded to', '9007199254740993', '9007199254740992', undefined],
  ['false and nothing', '{"a":false}', '{"a":0}', '/a'],
  ['a prototype is no value', '{"a":{}}', '{"a":{"constructor":1}}', '/a/constructor'],
]
t.test('the first difference of two values has a path', async (t) => {
  for (const [name, left, right, path] of rows)
    t.equal(firstDifference(parseExactJson(left), parseExactJson(right))?.path, path, name)
  t.match(firstDifference(undefined, false), { path: '', left: undefined, right: false })
})

t.test('a value differs from itself nowhere, and from another at a place where they differ', async () => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      (value) => firstDifference(value as JsonValue, value as JsonValue) === undefined,
    ),
  )
  const at = (value: unknown, path: string) =>
    path
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
      .reduce<unknown>(
        (inner, key) => (Object.hasOwn(Object(inner), key) ? Object(inner)[key] : undefined),
        value,
      )
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (left, right) => {
      const found = firstDifference(left as JsonValue, right as JsonValue)
      if (found === undefined) return true
      return Object.is(at(left, found.path), found.left) && Object.is(at(right, found.path), found.right)
    }),
  )
})

t.test('changes are grouped by place and values, the largest group first', async (t) => {
  const compared = [1, 2, 1, 1].map((right, index) => ({
    name: `n${index}`,
    before: { result: { a: 0 } },
    after: { result: { a: right } },
  }))
  const same = { name: 'same', before: { result: true }, after: { result: true } }
  const failed = { name: 'failed', before: { result: true }, after: { result: undefined, error: 'boom' } }
  const groups = groupChanges([...compared, same, failed])
  t.same(
    groups.map(({ count, names, difference }) => [changeText(difference), count, names]),
    [
      ['/a: 0 → 1', 3, ['n0', 'n2', 'n3']],
      ['/a: 0 → 2', 1, ['n1']],
      ['decision: true → "failed: boom"', 1, ['failed']],
    ],
  )
})

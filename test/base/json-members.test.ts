import t from 'tap'
import { hasRepeatedMember } from '#base/json-members.ts'
import fc from '../fast-check.ts'

t.test('a member that stands twice in one object is found, at any depth', async (t) => {
  const rows: [text: string, isRepeated: boolean][] = [
    ['{"a":1,"a":2}', true],
    ['{"a":1, "\\u0061" :2}', true],
    ['[{"b":{"a":1,"c":[],"a":1}}]', true],
    ['{"a":{"a":{"a":1}}}', false],
    ['[{"a":1},{"a":1}]', false],
    ['{"a":":","b":"\\"a\\":"}', false],
    ['{"a\\\\":1,"a":"\\\\\\":"}', false],
    ['{"":1,"":2}', true],
    ['{"__proto__":1,"a":2}', false],
    ['"a"', false],
    ['null', false],
  ]
  for (const [text, isRepeated] of rows) t.equal(hasRepeatedMember(text, JSON.parse(text)), isRepeated, text)
})

t.test('what JSON.stringify writes has none, and with one more it has', async (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 4 })), (value) => {
      const text = JSON.stringify(value)
      t.equal(hasRepeatedMember(text, JSON.parse(text)), false, text)
      const [first] = Object.keys(JSON.parse(text))
      if (first === undefined) return
      const twice = `${text.slice(0, -1)},${JSON.stringify(first)}:0}`
      t.equal(hasRepeatedMember(twice, JSON.parse(twice)), true, twice)
    }),
  )
})

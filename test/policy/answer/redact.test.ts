import t from 'tap'
import type { JsonValue } from '#base/json.ts'
import { parsePointer, redacted } from '#policy/answer/redact.ts'
import fc from '../../fast-check.ts'

const redact = (document: JsonValue, ...pointers: string[]) =>
  redacted(
    document,
    pointers.map((text) => parsePointer(text) as readonly string[]),
  )

t.test('what a pointer names is gone, and nothing else', async (t) => {
  const document = { a: { 'b/c': 1, 'd~e': 2, f: [1, { g: 3 }, 3] }, '': 4, '01': 5 }
  const rows: [pointers: string[], JsonValue][] = [
    [['/a/b~1c'], { a: { 'd~e': 2, f: [1, { g: 3 }, 3] }, '': 4, '01': 5 }],
    [['/a/d~0e'], { a: { 'b/c': 1, f: [1, { g: 3 }, 3] }, '': 4, '01': 5 }],
    [['/a/f/0'], { a: { 'b/c': 1, 'd~e': 2, f: [null, { g: 3 }, 3] }, '': 4, '01': 5 }],
    [['/a/f/1/g'], { a: { 'b/c': 1, 'd~e': 2, f: [1, {}, 3] }, '': 4, '01': 5 }],
    [['/', '/01'], { a: document.a }],
    [['/a', '/a'], { '': 4, '01': 5 }],
    // Nothing is there: nothing changes.
    [['/x', '/a/f/3', '/a/f/01', '/a/f/-', '/a/f/-1', '/a/f/length', '/toString'], document],
  ]
  for (const [pointers, wanted] of rows) t.same(redact(document, ...pointers), wanted, pointers.join(' '))
  t.same(document.a.f, [1, { g: 3 }, 3], 'the document itself is left as it is')
})

t.test('what is no pointer below the root is none', async (t) => {
  for (const text of ['', 'a', '#/a', '/a~', '/a~2', 'a/b']) t.equal(parsePointer(text), undefined, text)
})

t.test('a member that is called __proto__ stays a member', async (t) => {
  const document = JSON.parse('{"__proto__":{"a":1},"b":{"c":1}}')
  t.equal(JSON.stringify(redact(document, '/b/c')), '{"__proto__":{"a":1},"b":{}}')
  t.equal(JSON.stringify(redact(document, '/__proto__/a')), '{"__proto__":{},"b":{"c":1}}')
})

t.test('no text of a redacted member is left in the document', async (t) => {
  fc.assert(
    fc.property(fc.object({ key: fc.string({ maxLength: 6 }) }), (object) => {
      const document = { ...object, key: { deep: ['secret-7f3a'] } } as JsonValue
      for (const pointer of ['/key', '/key/deep', '/key/deep/0'])
        t.notOk(JSON.stringify(redact(document, pointer)).includes('secret-7f3a'))
    }),
    { numRuns: 50 },
  )
})

import t from 'tap'
import { ALLOW, type Header, type Mutations, mergeMutations } from '#decision/verdict.ts'
import fc from '../fast-check.ts'

const text = fc.constantFrom('a', 'b', 'c')
const headers: fc.Arbitrary<readonly Header[]> = fc.array(fc.tuple(text, text), { maxLength: 3 })
const mutations: fc.Arbitrary<Mutations> = fc.record(
  {
    setHeaders: headers,
    removeHeaders: fc.array(text),
    addResponseHeaders: headers,
    setQuery: headers,
    removeQuery: fc.array(text),
    modelVersion: text,
    dynamicMetadata: fc.dictionary(text, fc.nat()),
  },
  { requiredKeys: [] },
)

t.test('merging changes is associative, and none of them gets lost', async () => {
  fc.assert(
    fc.property(mutations, mutations, mutations, (a, b, c) => {
      const left = mergeMutations(mergeMutations(a, b), c)
      const right = mergeMutations(a, mergeMutations(b, c))
      return JSON.stringify(sorted(left)) === JSON.stringify(sorted(right))
    }),
  )
  fc.assert(
    fc.property(mutations, mutations, (a, b) => {
      const both = mergeMutations(a, b)
      return (
        ['setHeaders', 'addResponseHeaders', 'setQuery', 'removeHeaders', 'removeQuery'] as const
      ).every((key) => (both[key]?.length ?? 0) === (a[key]?.length ?? 0) + (b[key]?.length ?? 0))
    }),
  )
})

t.test('where two name the same thing the later one is applied', async (t) => {
  const merged = mergeMutations(
    { modelVersion: '1', dynamicMetadata: { a: 1, b: 1 }, setHeaders: [['x', '1']] },
    { modelVersion: '2', dynamicMetadata: { b: 2 }, setHeaders: [['x', '2']] },
  )
  t.same(merged, {
    modelVersion: '2',
    dynamicMetadata: { a: 1, b: 2 },
    setHeaders: [
      ['x', '1'],
      ['x', '2'],
    ],
  })
})

t.test('the common allow costs nothing', async (t) => {
  if (ALLOW.kind !== 'allow') throw new Error('an allow is an allow')
  const some: Mutations = { modelVersion: '1' }
  t.equal(mergeMutations(ALLOW.mutations, some), some)
  t.equal(mergeMutations(some, ALLOW.mutations), some)
})

function sorted(value: Mutations): unknown {
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, each]): [string, unknown] =>
        key === 'dynamicMetadata' ? [key, Object.entries(each).sort()] : [key, each],
      )
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )
}

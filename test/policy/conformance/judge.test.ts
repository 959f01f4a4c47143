import t from 'tap'
import type { JsonValue } from '#base/json.ts'
import { parseExactJson } from '#policy/input/json-text.ts'
import type { Head, Question } from '../../harness/conformance.ts'
import { outcomeOf } from './judge.ts'

const head: Head = {
  name: 'v1/case',
  variable: 'x',
  data: '{}',
  want: '[{"x":[1,2]}]',
  answer: '[{"x":[1,2]}]',
}

/** What becomes of a case when an engine gives this JSON, nothing, or throws. */
function outcome(change: Partial<Head>, result: string | undefined | Error) {
  const question: Question = { head: { ...head, ...change }, wasm: Buffer.alloc(0), plan: Buffer.alloc(0) }
  return outcomeOf(question, (): JsonValue | undefined => {
    if (result instanceof Error) throw result
    return result === undefined ? undefined : parseExactJson(result)
  })
}

const rows: readonly (readonly [
  name: string,
  change: Partial<Head>,
  result: string | undefined | Error,
  state: 'pass' | 'fail' | 'skip',
])[] = [
  ['what is wanted passes', {}, '[1,2]', 'pass'],
  ['an array in another order fails', {}, '[2,1]', 'fail'],
  ['a longer array fails', {}, '[1,2,2]', 'fail'],
  ['with sorted bindings the order of an array does not count', { sortBindings: true }, '[2,1]', 'pass'],
  [
    'only that of the array that is bound',
    { sortBindings: true, want: '[{"x":[[1,2]]}]' },
    '[[2,1]]',
    'fail',
  ],
  ['nothing instead of something fails', {}, undefined, 'fail'],
  ['an error instead of something fails', {}, new Error('boom'), 'fail'],
  ['something instead of nothing fails', { want: '[]' }, 'false', 'fail'],
  ['nothing is nothing', { want: '[]' }, undefined, 'pass'],
  ['numbers are compared by value', { want: '[{"x":1.0}]' }, '1', 'pass'],
  ['and to the last digit', { want: '[{"x":9007199254740993}]' }, '9007199254740992', 'fail'],
  ['of fractions too', { want: '[{"x":0.1}]' }, '0.1000000000000000055', 'fail'],
  ['null is not nothing', { want: '[{"x":null}]' }, undefined, 'fail'],
  ['a number is no string', { want: '[{"x":"1"}]' }, '1', 'fail'],
  ['a key more fails', { want: '[{"x":{}}]' }, '{"a":1}', 'fail'],
  [
    'an error that is wanted passes',
    { wantError: 'eval_conflict_error' },
    new Error('object insert conflict'),
    'pass',
  ],
  ['another error fails', { wantError: 'eval_conflict_error' }, new Error('out of memory'), 'fail'],
  ['undefined is no error', { wantError: 'eval_conflict_error' }, undefined, 'fail'],
  [
    'of strict mode, what OPA says outside of it counts',
    { isStrict: true, wantError: 'e', answer: '[]' },
    undefined,
    'pass',
  ],
  ['and nothing else', { isStrict: true, wantError: 'e', answer: '[]' }, '1', 'fail'],
  ['what should be defined has a row', { want: '[]', wantDefined: true }, undefined, 'fail'],
  ['what does not compile is skipped', { refused: 'no', missing: ['http.send'] }, '[1,2]', 'skip'],
]

for (const [name, change, result, state] of rows) {
  t.test(`${name}`, async (t) => {
    const found = outcome(change, result)
    t.equal(found.state, state, `${JSON.stringify(change)}, ${result}: ${found.why}`)
  })
}

t.test('rows are a set, without an order', async (t) => {
  const change = { want: '[{"a":1,"b":[2]},{"a":2,"b":[]}]' }
  const question = (result: string): Question => {
    const { variable: _, ...rest } = head
    return { head: { ...rest, ...change }, wasm: Buffer.from(result), plan: Buffer.alloc(0) }
  }
  const state = (result: string) =>
    outcomeOf(question(result), ({ wasm }) => parseExactJson(wasm.toString())).state
  t.equal(state('[{"a":2,"b":[]},{"a":1,"b":[2]}]'), 'pass')
  t.equal(state('[{"a":1,"b":[2]}]'), 'fail')
})

import t from 'tap'
import type { JsonValue } from '#base/json.ts'
import { tensorFacts } from '#inference/inference.ts'

t.test('a tensor is known by name, type, shape and size, never by its contents', async (t) => {
  const tensor = (more: object) => [{ name: 'x', datatype: 'FP32', shape: [2, 3], data: [1, 2], ...more }]
  const known = { name: 'x', datatype: 'FP32', shape: [2, 3], elements: 6, bytes: 24 }
  const rows: [JsonValue, unknown][] = [
    [tensor({}), [known]],
    [tensor({ shape: [] }), [{ ...known, shape: [], elements: 1, bytes: 4 }]],
    [tensor({ shape: [0, 5] }), [{ ...known, shape: [0, 5], elements: 0, bytes: 0 }]],
    [tensor({ datatype: 'INT64' }), [{ ...known, datatype: 'INT64', bytes: 48 }]],
    [tensor({ parameters: { binary_data_size: 99 } }), [{ ...known, bytes: 99 }]],
    [tensor({ datatype: 'BYTES', data: [['ab', 'é'], ['c']] }), [{ ...known, datatype: 'BYTES', bytes: 5 }]],
    [
      tensor({ datatype: 'BYTES', data: undefined as never }),
      [{ name: 'x', datatype: 'BYTES', shape: [2, 3], elements: 6 }],
    ],
    [tensor({ shape: [2 ** 40, 2 ** 40] }), [{ name: 'x', datatype: 'FP32', shape: [2 ** 40, 2 ** 40] }]],
    [[], []],
    [tensor({ shape: [-1] }), undefined],
    [tensor({ shape: [1.5] }), undefined],
    [tensor({ shape: 'x' }), undefined],
    [tensor({ name: 1 }), undefined],
    [tensor({ datatype: null }), undefined],
    [[1], undefined],
    ['x', undefined],
    [null, undefined],
  ]
  for (const [list, wanted] of rows) t.same(tensorFacts(list), wanted, JSON.stringify(list))
  t.equal(tensorFacts(undefined), undefined)
})

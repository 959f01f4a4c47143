import t from 'tap'
import fc from '../../fast-check.ts'
import { demandOf, grpcPath, inferMessage, judged, type RequestChange } from '../a-call.ts'

const path = '/v2/models/fraud/infer'
const unbounded = Number.MAX_SAFE_INTEGER
const tensor = (shape: unknown, more: object = {}) => ({
  name: 'a',
  datatype: 'FP32',
  shape,
  data: [1],
  ...more,
})
const json = (inputs: unknown, more: object = {}) => JSON.stringify({ inputs, ...more })
const lengthHeader = 'inference-header-content-length'

t.test('a batch of n is n inferences, as Triton counts', async (t) => {
  const rows: [rule: string, inputs: unknown, inferences: number | 'octets'][] = [
    ['B1 one row', [tensor([1, 4])], 1],
    ['B1 a batch', [tensor([8, 4])], 8],
    ['B2 inputs that agree', [tensor([8, 4]), tensor([8, 3, 3])], 8],
    ['B2 inputs that do not', [tensor([8, 4]), tensor([7, 4])], 1],
    ['B3 one dimension is no batch', [tensor([8])], 1],
    ['B3 not for one of them', [tensor([8, 4]), tensor([8])], 1],
    ['B4 no inputs', [], 1],
    ['B4 no dimension', [tensor([])], 1],
    ['B5 a batch of none', [tensor([0, 4])], 1],
    ['B6 negative', [tensor([-1, 4])], 'octets'],
    ['B6 overflow', [tensor([2 ** 30, 2 ** 30])], 'octets'],
    ['B6 overflow in one', [tensor([2, 4]), tensor([2, 2 ** 30, 2 ** 30])], 'octets'],
    ['B7 a fraction', [tensor([1.5, 4])], 'octets'],
    ['B7 no shape', [{ name: 'a', datatype: 'FP32' }], 'octets'],
    ['B7 no list', { a: 1 }, 'octets'],
    ['B7 too many', Array.from({ length: 300 }, () => tensor([1, 4])), 'octets'],
  ]
  for (const [rule, inputs, inferences] of rows) {
    const body = json(inputs)
    t.equal(demandOf(path, body).bound.inferences, inferences === 'octets' ? body.length : inferences, rule)
  }
  t.equal(demandOf(path, '{"inputs":').bound.inferences, 10, 'no JSON')
})

t.test('tokens are counted where text or token ids go in', async (t) => {
  const max = (data: unknown, name = 'max_tokens') => ({ name, datatype: 'INT32', shape: [1, 1], data })
  const text = { name: 'text_input', datatype: 'BYTES', shape: [1, 1], data: ['héllo'] }
  const rows: [
    rule: string,
    inputs: object[],
    input: number,
    output: number,
    isBounded: boolean,
    parameters?: object,
  ][] = [
    ['T1 numbers that are no ids', [tensor([1, 4])], 0, 0, true],
    ['T1 an image', [tensor([1, 3, 224, 224], { datatype: 'UINT8' })], 0, 0, true],
    ['T2 text', [text], 6, 0, false],
    ['T3 ids', [tensor([2, 50], { datatype: 'INT64' })], 100, 0, false],
    [
      'T3 ids, more than the shape says',
      [tensor([1, 1], { datatype: 'INT32', data: [1, 2, 3, 4] })],
      4,
      0,
      false,
    ],
    ['T4 bounded', [text, max([20])], 7, 20, true],
    ['T4 nested', [text, max([[20]])], 7, 20, true],
    ['T4 TensorRT-LLM', [text, max([30], 'request_output_len')], 7, 30, true],
    ['T4 beams', [text, max([30]), max([4], 'beam_width')], 8, 120, true],
    ['T5 odd', [text, max([-20])], 7, 0, false],
    ['T5 text', [text, max(['20'])], 7, 0, false],
    ['T5 nothing', [text, max(undefined)], 7, 0, false],
    ['T5 too much to read', [text, max(Array.from({ length: 65 }, () => 1))], 71, 0, false],
    ['T6 in parameters', [text], 6, 40, true, { max_tokens: 40 }],
    ['T6 odd in parameters', [text], 6, 0, false, { max_tokens: '40' }],
    [
      'T7 sampling parameters',
      [
        text,
        { name: 'sampling_parameters', datatype: 'BYTES', shape: [1], data: ['{"max_tokens":9,"n":2}'] },
      ],
      28,
      18,
      true,
    ],
    [
      'T7 that are no JSON',
      [text, max([20]), { name: 'sampling_parameters', datatype: 'BYTES', shape: [1], data: ['{'] }],
      8,
      0,
      false,
    ],
    [
      'T8 contents elsewhere',
      [{ name: 'a', datatype: 'BYTES', shape: [1], parameters: { shared_memory_region: 'r' } }],
      unbounded,
      0,
      false,
    ],
  ]
  for (const [rule, inputs, input, output, isBounded, parameters] of rows) {
    const { bound, isOutputBounded } = demandOf(path, json(inputs, parameters && { parameters }))
    t.same([bound.inputTokens, bound.outputTokens, isOutputBounded], [input, output, isBounded], rule)
  }
  const rowsOfText = { ...text, shape: [3, 1], data: ['a', 'b', 'c'] }
  t.equal(demandOf(path, json([rowsOfText, { ...max([5, 5, 5]), shape: [3, 1] }])).bound.outputTokens, 15)
})

t.test('a binary request is read from its contents, and its parts have to be the whole', async (t) => {
  const contents = Buffer.concat([
    Buffer.from([5, 0, 0, 0]),
    Buffer.from('hello'),
    Buffer.from([20, 0, 0, 0]),
  ])
  const inputs = [
    { name: 'text_input', datatype: 'BYTES', shape: [1, 1], parameters: { binary_data_size: 9 } },
    { name: 'max_tokens', datatype: 'INT32', shape: [1, 1], parameters: { binary_data_size: 4 } },
  ]
  const head = Buffer.from(json(inputs))
  const body = Buffer.concat([head, contents])
  const of = (length: string, bytes: Buffer = body, more: RequestChange = {}) =>
    judged(path, bytes, { ...more, headers: [[lengthHeader, length], ...(more?.headers ?? [])] })
  const good = of(String(head.length)).x.demand?.()
  t.match(good, {
    isOutputBounded: true,
    bound: { inputTokens: 10, outputTokens: 20, requestBytes: body.length },
  })
  t.match(of('0').x.demand?.(), {
    isOutputBounded: false,
    bound: { inferences: 1, inputTokens: body.length },
  })

  const sized = (size: unknown) => {
    const text = json([{ ...inputs[0], parameters: { binary_data_size: size } }])
    return [text, of(String(text.length), Buffer.concat([Buffer.from(text), contents]))] as const
  }
  const refused: [rule: string, verdict: unknown][] = [
    ['longer than the body', of(String(body.length + 1)).verdict],
    ['one octet too few', of(String(head.length), body.subarray(0, -1)).verdict],
    ['one octet too many', of(String(head.length), Buffer.concat([body, Buffer.from('x')])).verdict],
    ['not a number', of('12x').verdict],
    ['beyond nine digits', of('9999999999').verdict],
    ...[-1, 1.5, '13', 2 ** 53, null, 12].map(
      (size) => [`a size of ${size}`, sized(size)[1].verdict] as [string, unknown],
    ),
  ]
  for (const [rule, verdict] of refused)
    t.match(verdict, { kind: 'deny', reason: /malformed|not_canonical/ }, rule)
  t.equal(sized(13)[1].verdict.kind, 'allow')
})

t.test('the JSON of a binary request is read though its contents have not come', async (t) => {
  const head = Buffer.from(
    json([{ ...tensor([8, 1000]), data: undefined, parameters: { binary_data_size: 32_000 } }]),
  )
  const headers = [
    [lengthHeader, String(head.length)],
    ['content-length', String(head.length + 32_000)],
  ] as const
  const seen = Buffer.concat([head, Buffer.alloc(10)])
  const demand = demandOf(path, seen, { headers, isBodyComplete: false })
  t.match(demand.bound, { inferences: 8, inputTokens: 0, requestBytes: head.length + 32_000 })
  const lying = [
    [lengthHeader, String(head.length)],
    ['content-length', String(head.length + 31_999)],
  ] as const
  t.match(judged(path, seen, { headers: lying, isBodyComplete: false }).verdict, {
    reason: 'request_malformed',
  })
  const longer = [
    [lengthHeader, '100'],
    ['content-length', '50'],
  ] as const
  t.match(judged(path, seen.subarray(0, 20), { headers: longer, isBodyComplete: false }).verdict, {
    reason: 'request_malformed',
  })
})

t.test('a gRPC request is read as the same one in JSON, contents beside its inputs or raw', async (t) => {
  const datatypes = fc.constantFrom('FP32', 'INT32', 'INT64', 'BYTES')
  const input = fc.record({
    name: fc.constantFrom('a', 'max_tokens', 'n'),
    datatype: datatypes,
    shape: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 }),
  })
  fc.assert(
    fc.property(fc.array(input, { maxLength: 3 }), fc.boolean(), (inputs, isRaw) => {
      const value = 7
      const raw = (datatype: string): Buffer => {
        const octets = Buffer.alloc(8)
        octets.writeUInt32LE(datatype === 'BYTES' ? 4 : value)
        return octets.subarray(0, datatype === 'INT64' || datatype === 'BYTES' ? 8 : 4)
      }
      const contents = (datatype: string) =>
        datatype === 'INT32'
          ? { intContents: [value] }
          : datatype === 'INT64'
            ? { int64Contents: [BigInt(value)] }
            : datatype === 'FP32'
              ? { fp32Contents: [value] }
              : { bytesContents: [Buffer.alloc(4)] }
      const message = inferMessage({
        inputs: inputs.map(({ shape, ...rest }) => ({
          ...rest,
          shape: shape.map(BigInt),
          ...(!isRaw && { contents: contents(rest.datatype) }),
        })),
        ...(isRaw && { rawInputContents: inputs.map(({ datatype }) => raw(datatype)) }),
      })
      const inJson = json(
        inputs.map((each) => ({ ...each, data: [each.datatype === 'BYTES' ? '\0\0\0\0' : value] })),
      )
      const wanted = demandOf(path, inJson)
      const found = demandOf(grpcPath, message)
      t.equal(found.bound.inferences, wanted.bound.inferences, inJson)
      t.equal(found.isOutputBounded, wanted.isOutputBounded, inJson)
      t.equal(found.bound.outputTokens, wanted.bound.outputTokens, inJson)
      t.ok(found.bound.inputTokens >= wanted.bound.inputTokens, inJson)
      t.equal(found.bound.requestBytes, message.length)
    }),
    { numRuns: 300 },
  )
})

t.test('what bounds the output of a gRPC request stands in its parameters too', async (t) => {
  const inputs = [{ name: 'text_input', datatype: 'BYTES', shape: [1n] }]
  const rawInputContents = [Buffer.from('\x05\0\0\0hello', 'latin1')]
  const rows: [
    parameters: Parameters<typeof inferMessage>[0]['parameters'],
    tokens: number,
    isBounded: boolean,
  ][] = [
    [{ max_tokens: { parameterChoice: { case: 'int64Param', value: 40n } } }, 40, true],
    [{ max_tokens: { parameterChoice: { case: 'uint64Param', value: 40n } } }, 40, true],
    [{ max_tokens: { parameterChoice: { case: 'int64Param', value: -40n } } }, 0, false],
    [{ max_tokens: { parameterChoice: { case: 'int64Param', value: 2n ** 53n + 1n } } }, 0, false],
    [{ max_tokens: { parameterChoice: { case: 'stringParam', value: '40' } } }, 0, false],
    [{ max_tokens: { parameterChoice: { case: 'boolParam', value: true } } }, 0, false],
    [{ max_tokens: { parameterChoice: { case: 'doubleParam', value: 40 } } }, 40, true],
    [
      { sampling_parameters: { parameterChoice: { case: 'stringParam', value: '{"max_tokens":3}' } } },
      3,
      true,
    ],
    [{ other: { parameterChoice: { case: 'int64Param', value: 40n } } }, 0, false],
  ]
  for (const [parameters, tokens, isBounded] of rows) {
    const body = inferMessage({ inputs, rawInputContents, ...(parameters && { parameters }) })
    const { bound, isOutputBounded } = demandOf(grpcPath, body)
    t.same(
      [bound.outputTokens, isOutputBounded],
      [tokens, isBounded],
      JSON.stringify(Object.keys(parameters ?? {})),
    )
    t.equal(bound.inputTokens, 9)
  }
})

t.test('the start of a gRPC request bounds all of it', async (t) => {
  const whole = inferMessage({
    inputs: [
      { name: 'a', datatype: 'FP32', shape: [8n, 1000n] },
      { name: 'text', datatype: 'BYTES', shape: [8n, 1n] },
    ],
    rawInputContents: [Buffer.alloc(32_000), Buffer.alloc(96, 1)],
  })
  const all = demandOf(grpcPath, whole).bound
  t.match(all, { inferences: 8, inputTokens: 96, requestBytes: whole.length })
  for (let seen = 16; seen <= whole.length; seen += seen < 100 ? 1 : 997) {
    const { bound } = demandOf(grpcPath, whole.subarray(0, seen), { isBodyComplete: false })
    t.ok(bound.inferences >= 8 && bound.inputTokens >= 96, `${seen} octets: ${JSON.stringify(bound)}`)
    t.ok(bound.inputTokens <= whole.length && bound.inferences <= whole.length, `${seen} octets`)
    t.equal(bound.requestBytes, whole.length)
  }
})

t.test('arbitrary octets never throw, and never ask for nothing', async (t) => {
  const start = Buffer.from([0x0a, 5, ...Buffer.from('fraud')])
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (bytes, isBodyComplete) => {
      const message = Buffer.concat([start, bytes])
      const body = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message])
      const { x, verdict } = judged(grpcPath, body, { isBodyComplete })
      return verdict.kind !== 'allow' || (x.demand?.().bound.inferences ?? 0) >= 1
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test(
  'a call of the generate extension is one inference, its options beside the text or in parameters',
  async (t) => {
    const generate = '/v2/models/llm/generate'
    const rows: [members: object, tokens: number, isBounded: boolean][] = [
      [{ text_input: 'x' }, 0, false],
      [{ text_input: 'x', max_tokens: 20 }, 20, true],
      [{ text_input: 'x', parameters: { max_tokens: 20 } }, 20, true],
      [{ text_input: 'x', max_tokens: 30, parameters: { max_tokens: 20 } }, 30, true],
      [{ text_input: 'x', parameters: { max_tokens: 20, n: 3 } }, 60, true],
      [{ text_input: 'x', max_tokens: 20, beam_width: 4 }, 80, true],
      [{ text_input: 'x', parameters: { sampling_parameters: '{"max_tokens":9}' } }, 9, true],
      [{ text_input: 'x', sampling_parameters: '{"max_tokens":9' }, 0, false],
      [{ text_input: 'x', parameters: { max_tokens: -20 } }, 0, false],
      [{ text_input: 'x', max_tokens: 20, parameters: { max_tokens: '20' } }, 0, false],
    ]
    for (const [members, tokens, isBounded] of rows) {
      for (const path of [generate, `${generate}_stream`]) {
        const { bound, isOutputBounded } = demandOf(path, JSON.stringify(members))
        t.same([bound.outputTokens, isOutputBounded], [tokens, isBounded], JSON.stringify(members))
        t.equal(bound.inferences, 1)
      }
    }
    const long = 'é'.repeat(500)
    const { bound } = demandOf(generate, JSON.stringify({ text_input: long, other: [long, 'x'] }))
    t.ok(bound.inputTokens >= 2001 && bound.inputTokens < 2300, String(bound.inputTokens))
    const image = demandOf(generate, JSON.stringify({ text_input: 'x', image: ['x'.repeat(99_999)] })).bound
    t.ok(image.inputTokens > 16_000 && image.inputTokens < 17_000)
    t.equal(demandOf(generate, '{').isOutputBounded, false)
  },
)

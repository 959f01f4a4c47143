import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import t from 'tap'
import type { AnswerMeter, Metered } from '#decision/usage.ts'
import { ModelInferResponseSchema, ModelStreamInferResponseSchema } from '#gen/inference/grpc_service_pb.js'
import fc from '../../fast-check.ts'
import { framed, grpcPath, inferMessage, measured, meterOf, sse } from '../a-call.ts'

const streamPath = '/inference.GRPCInferenceService/ModelStreamInfer'
const grpc = { type: 'application/grpc' }
type Response = Omit<MessageInitShape<typeof ModelInferResponseSchema>, '$typeName'>

const text = (value: string) => {
  const octets = Buffer.from(value)
  const head = Buffer.alloc(4)
  head.writeUInt32LE(octets.length)
  return Buffer.concat([head, octets])
}
const uint32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer)
const asked = inferMessage({
  inputs: [{ name: 'text_input', datatype: 'BYTES', shape: [1n] }],
  rawInputContents: [text('a prompt of some words')],
})
const batch = (n: number) =>
  inferMessage({
    inputs: [{ name: 'a', datatype: 'FP32', shape: [BigInt(n), 4n] }],
    rawInputContents: [Buffer.alloc(16 * n)],
  })
const response = (more: Response) =>
  toBinary(ModelInferResponseSchema, create(ModelInferResponseSchema, { modelName: 'fraud', ...more }))
const streamed = (more: Response | string) =>
  framed(
    toBinary(
      ModelStreamInferResponseSchema,
      create(
        ModelStreamInferResponseSchema,
        typeof more === 'string'
          ? { errorMessage: more }
          : { inferResponse: { modelName: 'fraud', ...more } },
      ),
    ),
  )
/** As Triton sends errors: beside an empty answer. */
const failed = framed(
  toBinary(
    ModelStreamInferResponseSchema,
    create(ModelStreamInferResponseSchema, { errorMessage: 'it broke', inferResponse: { id: 'i' } }),
  ),
)
const said = (value: string, output?: number, input?: number): Response => ({
  outputs: [
    { name: 'text_output', datatype: 'BYTES', shape: [1n] },
    ...(output === undefined ? [] : [{ name: 'num_output_tokens', datatype: 'UINT32', shape: [1n] }]),
    ...(input === undefined ? [] : [{ name: 'num_input_tokens', datatype: 'UINT32', shape: [1n] }]),
  ],
  rawOutputContents: [
    text(value),
    ...(output === undefined ? [] : [uint32(output)]),
    ...(input === undefined ? [] : [uint32(input)]),
  ],
})
const brief = ({ usage, source, isComplete }: Metered) => ({
  inferences: usage.inferences,
  input: usage.inputTokens,
  output: usage.outputTokens,
  source,
  isComplete,
})

t.test('the answers of ModelInfer are charged what they report, or what is seen in them', async (t) => {
  const guess = Math.ceil(26 / 4)
  const beside: Response = {
    outputs: [
      {
        name: 'text_output',
        datatype: 'BYTES',
        shape: [1n],
        contents: { bytesContents: [Buffer.from('12345678')] },
      },
      { name: 'num_output_tokens', datatype: 'UINT32', shape: [2n], contents: { uintContents: [3, 4] } },
    ],
  }
  const rows: [rule: string, request: Buffer, response: Response, wanted: object][] = [
    ['G1 reported', asked, said('one two', 5, 9), { inferences: 1, input: 9, output: 5, source: 'reported' }],
    ['G1 of several answers the sum', asked, beside, { output: 7, source: 'estimated', input: guess }],
    ['G2 not reported', asked, said('12345678'), { input: guess, output: 2, source: 'estimated' }],
    [
      'G3 a batch',
      batch(8),
      { outputs: [{ name: 'b', datatype: 'FP32', shape: [8n, 1n] }] },
      { inferences: 8, input: 0, output: 0, source: 'reported' },
    ],
    [
      'G3 of which the answer shows none',
      batch(8),
      { outputs: [{ name: 'b', datatype: 'FP32', shape: [4n] }] },
      { inferences: 1 },
    ],
    [
      'G3 with one output that shows it',
      batch(8),
      {
        outputs: [
          { name: 'b', datatype: 'FP32', shape: [1n] },
          { name: 'c', datatype: 'FP32', shape: [8n] },
        ],
      },
      { inferences: 8 },
    ],
    ['G4 no outputs', batch(8), {}, { inferences: 1 }],
    [
      'G5 the length of the sequence',
      asked,
      {
        outputs: [{ name: 'sequence_length', datatype: 'INT32', shape: [1n, 1n] }],
        rawOutputContents: [uint32(30)],
      },
      { output: 30, source: 'estimated' },
    ],
    [
      'G6 a count of another type',
      asked,
      {
        outputs: [{ name: 'num_output_tokens', datatype: 'FP32', shape: [1n] }],
        rawOutputContents: [uint32(7)],
      },
      { output: 0, source: 'estimated' },
    ],
    [
      'G6 contents that are missing',
      asked,
      { outputs: [{ name: 'num_output_tokens', datatype: 'UINT32', shape: [1n] }] },
      { output: 0 },
    ],
    [
      'G7 large contents',
      batch(8),
      {
        outputs: [
          {
            name: 'b',
            datatype: 'FP32',
            shape: [8n, 9999n],
            contents: { fp32Contents: new Array(9999).fill(1) },
          },
        ],
        parameters: {},
      },
      { inferences: 8 },
    ],
  ]
  for (const [rule, request, answer, wanted] of rows) {
    const body = framed(response(answer))
    const { metered, out } = measured(meterOf(grpcPath, request), body, grpc)
    t.match(brief(metered), { isComplete: true, ...wanted }, rule)
    t.ok(out.equals(body), rule)
    t.equal(metered.usage.responseBytes, body.length)
    t.equal(metered.usage.requestBytes, request.length)
  }
})

t.test('an answer that never came is no inference, unless the caller left before it', async (t) => {
  const none = measured(meterOf(grpcPath, batch(8)), '', grpc).metered
  t.match(brief(none), { inferences: 0, input: 0, output: 0, isComplete: true })
  const left = measured(meterOf(grpcPath, batch(8)), '', { ...grpc, isBroken: true }).metered
  t.match(brief(left), { inferences: 8, isComplete: false })
  const prompt = measured(meterOf(grpcPath, asked), '', { ...grpc, isBroken: true }).metered
  t.match(brief(prompt), { inferences: 1, input: 7, output: 0, isComplete: false })
})

t.test('the answers of a stream are summed up, and errors among them are none', async (t) => {
  const rows: [rule: string, frames: Buffer[], wanted: object][] = [
    [
      'M1 reported each',
      [streamed(said('one', 1, 9)), streamed(said(' two three', 2, 9))],
      { input: 9, output: 3, source: 'reported' },
    ],
    [
      'M2 not reported',
      [streamed(said('a')), streamed(said('bc')), streamed(said('defghijk'))],
      { output: 3, source: 'estimated' },
    ],
    [
      'M3 reported at first',
      [streamed(said('one', 1, 9)), streamed(said('12345678'))],
      { input: 9, output: 2, source: 'estimated' },
    ],
    ['M4 only an error', [streamed('it broke')], { inferences: 0, input: 0, output: 0 }],
    ['M4 an error beside an empty answer', [failed], { inferences: 0, input: 0, output: 0 }],
    [
      'M4 an error at the end',
      [streamed(said('one', 1, 9)), streamed('it broke')],
      { inferences: 1, input: 9, output: 1 },
    ],
    [
      'M5 an end without outputs',
      [streamed(said('one', 1, 9)), streamed({ parameters: {} })],
      { output: 1, source: 'reported' },
    ],
    [
      'M6 a report of none for a text',
      [streamed(said('12345678', 0, 9))],
      { input: 9, output: 1, source: 'estimated' },
    ],
    ['M7 compressed', [framed(Buffer.from('xx'), 1)], { inferences: 1, output: 7, source: 'estimated' }],
    [
      'M8 trailers of grpc-web',
      [streamed(said('one', 1, 9)), framed(Buffer.from('grpc-status:0\r\n'), 0x80)],
      { output: 1, source: 'reported' },
    ],
  ]
  for (const [rule, frames, wanted] of rows) {
    const body = Buffer.concat(frames)
    for (const cuts of [[], body.map((_, at) => at)]) {
      const { metered, out } = measured(meterOf(streamPath, asked), body, grpc, [...cuts])
      t.match(brief(metered), { isComplete: true, ...wanted }, rule)
      t.ok(out.equals(body), rule)
    }
  }
})

const anOutput = fc.record({
  name: fc.constantFrom('text_output', 'num_output_tokens', 'num_input_tokens', 'sequence_length', 'x'),
  datatype: fc.constantFrom('BYTES', 'UINT32', 'INT64', 'FP32'),
  shape: fc.array(fc.bigInt({ min: -1n, max: 9n }), { maxLength: 3 }),
  contents: fc.option(
    fc.record({
      uintContents: fc.array(fc.nat(), { maxLength: 3 }),
      bytesContents: fc.array(fc.uint8Array({ maxLength: 9 }), { maxLength: 2 }),
      fp32Contents: fc.array(fc.constant(1), { maxLength: 1200 }),
    }),
    { nil: undefined },
  ),
})
const anAnswer = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.record({
    id: fc.string({ maxLength: 5 }),
    outputs: fc
      .array(anOutput, { maxLength: 4 })
      .map((outputs) => outputs.map(({ contents, ...rest }) => ({ ...rest, ...(contents && { contents }) }))),
    rawOutputContents: fc.array(fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.constant(Buffer.alloc(5000))), {
      maxLength: 4,
    }),
  }),
)

/** Feeds without the harness that asks after each piece. */
const run = (meter: AnswerMeter, body: Uint8Array, size: number): Metered => {
  meter.begin({ httpStatus: 200, contentType: 'application/grpc', contentEncoding: '' })
  for (let at = 0; at < body.length; at += size) meter.feed(body.subarray(at, at + size), false)
  meter.feed(new Uint8Array(), true)
  return meter.metered()
}

t.test('however a stream of messages is cut, its usage is the same', async () => {
  fc.assert(
    fc.property(fc.array(anAnswer, { maxLength: 5 }), fc.integer({ min: 1, max: 40 }), (answers, size) => {
      const body = Buffer.concat(answers.map((answer) => streamed(answer)))
      const wanted = JSON.stringify(run(meterOf(streamPath, asked), body, body.length + 1))
      return [1, size].every((each) => JSON.stringify(run(meterOf(streamPath, asked), body, each)) === wanted)
    }),
    { numRuns: 200 },
  )
})

t.test('tokens of messages are those that protobuf-es reads', async () => {
  const answer = fc.record({
    tokens: fc.array(fc.nat(2 ** 20), { maxLength: 3 }),
    isRaw: fc.boolean(),
    words: fc.string(),
  })
  fc.assert(
    fc.property(fc.array(answer, { maxLength: 6 }), fc.integer({ min: 1, max: 64 }), (answers, size) => {
      const frames = answers.map(({ tokens, isRaw, words }) => {
        const shape = [BigInt(tokens.length)]
        const counts = { name: 'num_output_tokens', datatype: 'UINT32', shape }
        return isRaw
          ? streamed({
              outputs: [counts, { name: 't', datatype: 'BYTES', shape: [1n] }],
              rawOutputContents: [uint32(...tokens), text(words)],
            })
          : streamed({ outputs: [{ ...counts, contents: { uintContents: tokens } }] })
      })
      const { usage } = run(meterOf(streamPath, asked), Buffer.concat(frames), size)
      const wanted = answers.flatMap(({ tokens }) => tokens).reduce((sum, each) => sum + each, 0)
      return (
        usage.outputTokens >= wanted &&
        (wanted === 0 || usage.outputTokens <= wanted + 3 * answers.length * 25)
      )
    }),
    { numRuns: 200 },
  )
})

t.test('no octets make the reader throw', async () => {
  fc.assert(
    fc.property(
      fc.array(anAnswer, { maxLength: 3 }),
      fc.array(fc.record({ at: fc.nat(), octet: fc.integer({ min: 0, max: 255 }) }), { maxLength: 5 }),
      fc.constantFrom(grpcPath, streamPath),
      fc.integer({ min: 1, max: 100 }),
      (answers, changes, path, size) => {
        const body = Buffer.concat(answers.map((answer) => streamed(answer)))
        for (const { at, octet } of changes) if (body.length > 0) body[at % body.length] = octet
        const { usage } = run(meterOf(path, asked), body, size)
        return Object.values(usage).every((amount) => Number.isSafeInteger(amount) && amount >= 0)
      },
    ),
    { numRuns: 1000 },
  )
})

const inferPath = '/v2/models/fraud/infer'
const inferJson = (n: number) =>
  JSON.stringify({ inputs: [{ name: 'a', datatype: 'FP32', shape: [n, 2], data: new Array(2 * n).fill(1) }] })
const textJson = JSON.stringify({
  inputs: [{ name: 't', datatype: 'BYTES', shape: [1], data: ['12345678'] }],
})

t.test('the answers of V2 in JSON are read as those of gRPC', async (t) => {
  const output = (name: string, shape: number[], data?: unknown) => ({ name, datatype: 'FP32', shape, data })
  const rows: [rule: string, request: string, answer: object, wanted: object][] = [
    [
      'J1 a batch',
      inferJson(8),
      { outputs: [output('b', [8, 1], [1])] },
      { inferences: 8, source: 'reported' },
    ],
    ['J1 none', inferJson(8), { outputs: [output('b', [1], [1])] }, { inferences: 1 }],
    [
      'J2 too large to be read',
      inferJson(8),
      { outputs: [output('b', [8, 1], new Array(40_000).fill(1))] },
      { inferences: 8, output: 0 },
    ],
    [
      'J3 tokens',
      textJson,
      {
        outputs: [
          output('num_output_tokens', [1], [7]),
          output('num_input_tokens', [1], [3]),
          output('text_output', [1], ['x']),
        ],
      },
      { input: 3, output: 7, source: 'reported' },
    ],
    [
      'J3 tokens that nest',
      textJson,
      { outputs: [output('num_output_tokens', [2, 1], [[7], [8]])] },
      { input: 2, output: 15 },
    ],
    ['J3 odd', textJson, { outputs: [output('num_output_tokens', [1], ['7'])] }, { input: 2, output: 1 }],
    [
      'J4 text',
      textJson,
      { outputs: [output('t', [2], ['12345678', '1234'])] },
      { input: 2, output: 3, source: 'estimated' },
    ],
    ['J5 no outputs', textJson, { outputs: 'x' }, { inferences: 1, output: 0 }],
    ['J5 no list of outputs', textJson, { outputs: [1, null, {}] }, { inferences: 1, output: 0 }],
  ]
  for (const [rule, request, answer, wanted] of rows) {
    const body = Buffer.concat([Buffer.from(JSON.stringify(answer)), Buffer.from([1, 2, 0x7b, 0x22, 0x7d])])
    for (const cuts of [[], [1, 10, 40, 41, 80]]) {
      const { metered, out } = measured(
        meterOf(inferPath, request),
        body,
        { type: 'application/octet-stream' },
        cuts,
      )
      t.match(brief(metered), wanted, rule)
      t.ok(out.equals(body), rule)
    }
  }
  t.match(brief(measured(meterOf(inferPath, inferJson(8)), '{"error":"x"}', { status: 400 }).metered), {
    inferences: 0,
  })
})

t.test('the answers of the generate extension are read, one or a stream of them', async (t) => {
  const generate = '/v2/models/llm/generate'
  const request = JSON.stringify({ text_input: 'a prompt', parameters: { max_tokens: 50 } })
  const events = (...list: object[]) => list.map((each) => `data: ${JSON.stringify(each)}\n\n`).join('')
  const one = (text_output: unknown, more: object = {}) => ({ model_name: 'llm', text_output, ...more })
  const rows: [rule: string, path: string, body: string, wanted: object][] = [
    [
      'E1 reported',
      generate,
      JSON.stringify(one('x', { num_output_tokens: 5, num_input_tokens: 2 })),
      { input: 2, output: 5, source: 'reported' },
    ],
    ['E1 a list', generate, JSON.stringify(one(['x', 'y'], { num_output_tokens: [5, 6] })), { output: 11 }],
    ['E2 not reported', generate, JSON.stringify(one('12345678')), { output: 2, source: 'estimated' }],
    [
      'E2 nor beyond the bound',
      generate,
      JSON.stringify(one('x'.repeat(9999))),
      { output: 50, source: 'estimated' },
    ],
    [
      'E2 the length of the sequence',
      generate,
      JSON.stringify(one('12345678', { sequence_length: 20 })),
      { output: 20 },
    ],
    [
      'E3 a stream, reported',
      `${generate}_stream`,
      events(
        one('a', { num_output_tokens: 2, num_input_tokens: 4 }),
        one('b', { num_output_tokens: 3, num_input_tokens: 4 }),
      ),
      { input: 4, output: 5, source: 'reported' },
    ],
    [
      'E3 a stream, not reported',
      `${generate}_stream`,
      events(one('a'), one('b'), one('c')),
      { output: 3, source: 'estimated' },
    ],
    ['E4 an error in the stream', `${generate}_stream`, events(one('a'), { error: 'x' }), { output: 1 }],
  ]
  for (const [rule, path, body, wanted] of rows) {
    const answer = path.endsWith('_stream') ? sse : {}
    const { metered, out } = measured(meterOf(path, request), body, answer, [3, 17, 30])
    t.match(brief(metered), { inferences: 1, isComplete: true, ...wanted }, rule)
    t.equal(out.toString(), body)
  }
})

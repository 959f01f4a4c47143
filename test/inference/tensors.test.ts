import { create, toBinary } from '@bufbuild/protobuf'
import t from 'tap'
import type { Exchange, TensorSummary } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import { ModelInferRequestSchema } from '#gen/inference/grpc_service_pb.js'
import { createInferenceStage } from '#inference/inference.ts'
import { messageSummaries } from '#inference/tensors.ts'
import fc from '../fast-check.ts'
import { validExchange } from '../policy/exchange.ts'

function framed(message: Uint8Array, flag = 0): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt8(flag)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

type Change = Parameters<typeof validExchange>[0]

/** What the inference stage makes of a request to `fraud`. */
function judged(path: string, change: Change, client: 'json' | 'grpc' = 'json') {
  const plain = validExchange(change)
  const x: Exchange = {
    ...plain,
    request: { ...plain.request, path, client },
    canonical: { path, authority: 'models', withheld: [] },
  }
  return { x, verdict: createInferenceStage().request?.(x) as Verdict }
}
const httpPath = '/v2/models/fraud/infer'
const ofHttp = (body: string | Buffer, headers: readonly (readonly [string, string])[] = []) =>
  judged(httpPath, { body, headers }).x.inputs?.()
const ofGrpc = (body: Buffer) => messageSummaries(body)

t.test('inputs of a JSON request are summed up without their data', async (t) => {
  const cases: [inputs: unknown, summaries: readonly TensorSummary[] | undefined][] = [
    [[], []],
    [
      [
        {
          name: 'a',
          datatype: 'FP32',
          shape: [2, 2],
          data: [
            [1, 2],
            [3, 4],
          ],
        },
      ],
      [{ name: 'a', datatype: 'FP32', shape: [2, 2], elements: 4, bytes: 16 }],
    ],
    [
      [{ name: 'a', datatype: 'BYTES', shape: [2], data: ['é', 'xyz'] }],
      [{ name: 'a', datatype: 'BYTES', shape: [2], elements: 2, bytes: 5 }],
    ],
    // The shape is what the client says, the octets are what it sent.
    [
      [{ name: 'a', datatype: 'INT64', shape: [1], data: [1, 2, 3] }],
      [{ name: 'a', datatype: 'INT64', shape: [1], elements: 1, bytes: 24 }],
    ],
    [
      [{ name: 'a', datatype: 'FP32', shape: [3], parameters: { binary_data_size: 12 } }],
      [{ name: 'a', datatype: 'FP32', shape: [3], elements: 3, bytes: 12 }],
    ],
    [[{ name: 'a', datatype: 'FP32', shape: [-1] }], [{ name: 'a', datatype: 'FP32', shape: [-1] }]],
    [
      [{ name: 'a', datatype: 'FP32', shape: [2 ** 40, 2 ** 40] }],
      [{ name: 'a', datatype: 'FP32', shape: [2 ** 40, 2 ** 40] }],
    ],
    [[{ name: 'a', datatype: 'FP32', shape: [1.5] }], undefined],
    [[{ name: 'a', datatype: 'FP32', shape: 3 }], undefined],
    [[{ name: 1, datatype: 'FP32', shape: [] }], undefined],
    [[null], undefined],
    [{}, undefined],
    [undefined, undefined],
    [Array.from({ length: 257 }, () => ({ name: 'a', datatype: 'FP32', shape: [] })), undefined],
  ]
  for (const [inputs, summaries] of cases)
    t.same(ofHttp(JSON.stringify({ inputs })), summaries, JSON.stringify(inputs)?.slice(0, 80))
  for (const body of ['', '{', 'null', '1', '[]']) t.equal(ofHttp(body), undefined, body)
})

t.test('a binary request has its JSON up to the length that its header names', async (t) => {
  const json = JSON.stringify({
    inputs: [{ name: 'a', datatype: 'FP32', shape: [1], parameters: { binary_data_size: 4 } }],
  })
  const body = Buffer.concat([Buffer.from(json), Buffer.from([0, 0, 0x80, 0x3f])])
  const summaries = [{ name: 'a', datatype: 'FP32', shape: [1], elements: 1, bytes: 4 }]
  t.same(ofHttp(body, [['inference-header-content-length', String(json.length)]]), summaries)
  for (const length of ['', 'x', '-1', String(json.length - 1), '99999999999'])
    t.equal(ofHttp(body, [['inference-header-content-length', length]]), undefined, length)
})

t.test(
  'inputs of a gRPC request are those that protobuf-es reads, contents beside them or raw',
  async (t) => {
    const tensor = fc.record({
      name: fc.string({ maxLength: 5 }),
      datatype: fc.constantFrom('FP32', 'INT64', 'BYTES'),
      shape: fc.array(fc.constantFrom(0n, 1n, 3n, 200n, -1n), { maxLength: 3 }),
      contents: fc.option(fc.record({ fp32Contents: fc.array(fc.constant(1), { maxLength: 3 }) }), {
        nil: undefined,
      }),
    })
    const raws = fc.array(fc.uint8Array({ maxLength: 9 }), { maxLength: 3 })
    fc.assert(
      fc.property(fc.array(tensor, { maxLength: 4 }), raws, (inputs, rawInputContents) => {
        const given = inputs.map(({ contents, ...rest }) => ({ ...rest, ...(contents && { contents }) }))
        const message = create(ModelInferRequestSchema, {
          modelName: 'fraud',
          inputs: given,
          rawInputContents,
        })
        const found = ofGrpc(framed(toBinary(ModelInferRequestSchema, message)))
        const wanted = inputs.map(({ name, datatype, shape }) => ({
          name,
          datatype,
          shape: shape.map(Number),
        }))
        t.same(
          found?.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
          wanted,
        )
        for (const [index, each] of (found ?? []).entries()) {
          const raw = rawInputContents[index]
          if (raw !== undefined) t.equal(each.bytes, raw.length)
          t.equal('elements' in each, !each.shape.includes(-1))
        }
      }),
      { numRuns: 200 },
    )
  },
)

t.test('what is no whole message is not summed up', async (t) => {
  const message = toBinary(
    ModelInferRequestSchema,
    create(ModelInferRequestSchema, { inputs: [{ name: 'a', shape: [1n] }] }),
  )
  t.ok(ofGrpc(framed(message)))
  const bad = [
    framed(message, 1),
    framed(message).subarray(0, -1),
    Buffer.alloc(4),
    framed(Buffer.from([0x2a, 9])),
  ]
  // A name that is a number, and one that is no UTF-8.
  bad.push(framed(Buffer.from([0x2a, 2, 0x08, 1])), framed(Buffer.from([0x2a, 3, 0x0a, 1, 0xff])))
  for (const body of bad) t.equal(ofGrpc(body), undefined, body.toString('hex'))
})

t.test('inputs are told of a whole request to infer, and of nothing else', async (t) => {
  const service = '/inference.GRPCInferenceService'
  const body = framed(
    toBinary(
      ModelInferRequestSchema,
      create(ModelInferRequestSchema, { modelName: 'fraud', inputs: [{ name: 'a', shape: [1n] }] }),
    ),
  )
  const text = '{"inputs":[{"name":"a","datatype":"FP32","shape":[1]}]}'
  const rows: [path: string, change: Change, client: 'json' | 'grpc', isTold: boolean][] = [
    [`${service}/ModelInfer`, { body }, 'grpc', true],
    [`${service}/ModelInfer`, { body, isBodyComplete: false }, 'grpc', false],
    [`${service}/ModelMetadata`, { body }, 'grpc', false],
    [httpPath, { body: text }, 'json', true],
    [httpPath, { body: text, isBodyComplete: false }, 'json', false],
    [httpPath, {}, 'json', false],
    ['/v2/models/fraud', { body: text }, 'json', false],
    ['/v2/models/fraud/generate', { body: text }, 'json', false],
  ]
  for (const [path, change, client, isTold] of rows) {
    const { x, verdict } = judged(path, change, client)
    t.equal(verdict.kind, 'allow', path)
    t.equal(x.inputs?.() !== undefined, isTold, `${path} ${JSON.stringify(change)}`)
  }
})

t.test('a body of which readers take different members is refused', async (t) => {
  const input = '{"name":"a","datatype":"FP32","shape":[1],"data":[1]}'
  const rows: [body: string, isRefused: boolean][] = [
    [`{"inputs":[${input}],"inputs":[]}`, true],
    [`{"inputs":[${input}],"inp\\u0075ts":[]}`, true],
    ['{"inputs":[{"name":"a","datatype":"FP32","shape":[1],"shape":[2],"data":[1]}]}', true],
    ['{"inputs":[{"name":"a","datatype":"FP32","shape":[1],"data":[1],"data":[2]}]}', true],
    [
      '{"inputs":[{"name":"a","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4,"binary_data_size":8}}]}',
      true,
    ],
    [`\ufeff{"inputs":[${input}]}`, true],
    [`{"inputs":[${input},${input}],"outputs":[{"name":"a"},{"name":"b"}]}`, false],
    [`{"id":"\\"inputs\\":","inputs":[${input}]}`, false],
    [`{"Inputs":[],"inputs":[${input}]}`, false],
    [`${'['.repeat(100_000)}${']'.repeat(100_000)}`, false],
    [`{"inputs":[${input}],"parameters":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`, false],
  ]
  for (const [body, isRefused] of rows) {
    for (const verb of ['infer', 'generate', 'generate_stream', 'versions/1/infer']) {
      const { verdict } = judged(`/v2/models/fraud/${verb}`, { body })
      t.match(
        verdict,
        isRefused ? { kind: 'deny', reason: 'request_malformed' } : { kind: 'allow' },
        `${verb} ${body.slice(0, 80)}`,
      )
    }
  }
})

t.test('arbitrary bytes never throw', async () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void ofGrpc(framed(bytes))))
  fc.assert(fc.property(fc.json(), (text) => void ofHttp(`{"inputs":[${text}]}`)))
})

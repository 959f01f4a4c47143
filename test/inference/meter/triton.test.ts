import { create, toBinary } from '@bufbuild/protobuf'
import { Client, credentials, Metadata } from '@grpc/grpc-js'
import t from 'tap'
import { ModelInferRequestSchema } from '#gen/inference/grpc_service_pb.js'
import { http } from '../../harness/http.ts'
import { eventually } from '../../harness/temp.ts'
import { type ModelServer, type PythonModel, startTriton } from '../../harness/triton.ts'
import { demandOf, framed, judged, measured, meterOf, sse, units } from '../a-call.ts'

/** Answers word by word, and reports as the backends of vLLM and TensorRT-LLM do where it is asked to. */
const llm: PythonModel = {
  name: 'llm',
  config: `backend: "python"
max_batch_size: 0
model_transaction_policy { decoupled: true }
input [
  { name: "text_input", data_type: TYPE_STRING, dims: [1] },
  { name: "max_tokens", data_type: TYPE_INT32, dims: [1], optional: true },
  { name: "report", data_type: TYPE_BOOL, dims: [1], optional: true }
]
output [
  { name: "text_output", data_type: TYPE_STRING, dims: [-1] },
  { name: "num_input_tokens", data_type: TYPE_UINT32, dims: [1] },
  { name: "num_output_tokens", data_type: TYPE_UINT32, dims: [-1] }
]
instance_group [{ kind: KIND_CPU, count: 1 }]
`,
  source: `import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            prompt = pb_utils.get_input_tensor_by_name(request, "text_input").as_numpy()[0].decode()
            wanted = pb_utils.get_input_tensor_by_name(request, "max_tokens")
            report = pb_utils.get_input_tensor_by_name(request, "report")
            words = prompt.split()[: 100 if wanted is None else int(wanted.as_numpy()[0])]
            for word in words:
                outputs = [pb_utils.Tensor("text_output", np.array([word], dtype=np.object_))]
                if report is not None and report.as_numpy()[0]:
                    outputs.append(pb_utils.Tensor("num_input_tokens", np.array([7], dtype=np.uint32)))
                    outputs.append(pb_utils.Tensor("num_output_tokens", np.array([2], dtype=np.uint32)))
                sender.send(pb_utils.InferenceResponse(outputs))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None
`,
}

/** Sums up each row of a batch; \`plain\` makes no batches of its own. */
const sums = (name: string, maxBatch: number, dims: string): PythonModel => ({
  name,
  config: `backend: "python"
max_batch_size: ${maxBatch}
input [{ name: "a", data_type: TYPE_FP32, dims: [${dims}] }]
output [{ name: "b", data_type: TYPE_FP32, dims: [1] }]
instance_group [{ kind: KIND_CPU, count: 1 }]
`,
  source: `import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            a = pb_utils.get_input_tensor_by_name(request, "a").as_numpy()
            b = ${maxBatch === 0 ? 'np.array([a.sum()])' : 'a.sum(axis=1, keepdims=True)'}
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("b", b.astype(np.float32))]))
        return responses
`,
})

const models = [llm, sums('batch', 16, '4'), sums('plain', 0, '-1, -1')]
const lengthHeader = 'inference-header-content-length'

const post = (
  server: ModelServer,
  path: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
) =>
  http({
    port: server.httpPort,
    path,
    body,
    headers: { 'content-type': 'application/json', ...headers },
  })

async function inferenceCount(server: ModelServer, model: string): Promise<number> {
  const { body } = await http({ port: server.httpPort, path: `/v2/models/${model}/stats` })
  return JSON.parse(body).model_stats[0].inference_count
}

/** The messages of a stream as they stand on the wire, in their frames. */
function streamInfer(server: ModelServer, message: Uint8Array): Promise<Buffer> {
  const client = new Client(`127.0.0.1:${server.grpcPort}`, credentials.createInsecure())
  const raw = (bytes: Buffer) => bytes
  const stream = client.makeBidiStreamRequest(
    '/inference.GRPCInferenceService/ModelStreamInfer',
    raw,
    raw,
    new Metadata(),
    { deadline: Date.now() + 30_000 },
  )
  return new Promise<Buffer>((resolve, reject) => {
    const frames: Buffer[] = []
    stream.on('data', (bytes: Buffer) => frames.push(framed(bytes)))
    stream.once('error', reject)
    stream.once('end', () => resolve(Buffer.concat(frames)))
    stream.write(Buffer.from(message))
    stream.end()
  }).finally(() => client.close())
}

t.test('beside a real Triton', async (t) => {
  await using server = await startTriton(undefined, { models })

  await t.test('a batch is what Triton counts', async (t) => {
    const rows: [model: string, shape: number[]][] = [
      ['batch', [1, 4]],
      ['batch', [5, 4]],
      ['batch', [16, 4]],
      ['plain', [3, 4]],
      ['plain', [1, 1]],
    ]
    for (const [model, shape] of rows) {
      const path = `/v2/models/${model}/infer`
      const data = new Array(shape.reduce((a, b) => a * b, 1)).fill(1)
      const body = JSON.stringify({ inputs: [{ name: 'a', datatype: 'FP32', shape, data }] })
      const before = await inferenceCount(server, model)
      const answer = await post(server, path, body)
      t.equal(answer.status, 200, answer.body)
      // Triton counts when it has answered.
      const counted = await eventually('Triton has counted', async () => {
        const count = (await inferenceCount(server, model)) - before
        return count === 0 ? undefined : count
      })
      const { usage, source } = measured(meterOf(path, body), answer.body).metered
      t.equal(usage.inferences, counted, `${model} ${shape}`)
      t.equal(source, 'reported')
      t.ok(demandOf(path, body).bound.inferences >= counted)
    }
  })

  await t.test('what Triton refuses takes nothing', async (t) => {
    const path = '/v2/models/batch/infer'
    for (const shape of [
      [17, 4],
      [-1, 4],
      [0, 4],
      [2 ** 40, 2 ** 40],
    ]) {
      const body = JSON.stringify({ inputs: [{ name: 'a', datatype: 'FP32', shape, data: [1, 1, 1, 1] }] })
      const { status, body: answer } = await post(server, path, body)
      t.ok(status >= 400, answer)
      t.equal(measured(meterOf(path, body), answer, { status }).metered.usage.inferences, 0, String(shape))
    }
  })

  await t.test('a stream of the generate extension is read', async (t) => {
    const path = '/v2/models/llm/generate_stream'
    const ask = (members: object) => JSON.stringify({ text_input: 'one two three four', ...members })
    const rows: [members: object, wanted: object][] = [
      [{ parameters: { report: true } }, { source: 'reported', usage: { inputTokens: 7, outputTokens: 8 } }],
      [
        { report: true, max_tokens: 3 },
        { source: 'reported', usage: { inputTokens: 7, outputTokens: 6 } },
      ],
      [{}, { source: 'estimated', usage: { outputTokens: 4 } }],
      [{ max_tokens: 2 }, { source: 'estimated', usage: { outputTokens: 2 } }],
    ]
    for (const [members, wanted] of rows) {
      const body = ask(members)
      const answer = await post(server, path, body)
      t.match(answer.headers['content-type'], /^text\/event-stream/)
      for (const cuts of [[], [...Buffer.from(answer.body).keys()]]) {
        const { metered, out } = measured(meterOf(path, body), answer.body, sse, cuts)
        t.match(metered, { isComplete: true, ...wanted }, answer.body)
        t.equal(out.toString(), answer.body)
      }
    }
    const single = JSON.stringify({ text_input: 'one', report: true })
    const { body } = await post(server, '/v2/models/llm/generate', single)
    const { metered } = measured(meterOf('/v2/models/llm/generate', single), body)
    t.match(metered, { source: 'reported', usage: { inputTokens: 7, outputTokens: 2 } }, body)
  })

  await t.test('a stream of gRPC messages is read', async (t) => {
    const prompt = Buffer.from('one two three')
    const message = create(ModelInferRequestSchema, {
      modelName: 'llm',
      inputs: [
        { name: 'text_input', datatype: 'BYTES', shape: [1n], contents: { bytesContents: [prompt] } },
        { name: 'report', datatype: 'BOOL', shape: [1n], contents: { boolContents: [true] } },
      ],
    })
    const bytes = toBinary(ModelInferRequestSchema, message)
    const path = '/inference.GRPCInferenceService/ModelStreamInfer'
    const body = await streamInfer(server, bytes)
    const { metered } = measured(meterOf(path, framed(bytes)), body, { type: 'application/grpc' }, [1, 9, 50])
    t.match(metered, { source: 'reported', usage: { inferences: 1, inputTokens: 7, outputTokens: 6 } })

    const wrong = toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, { modelName: 'llm' }))
    const refused = await streamInfer(server, wrong)
    t.same(
      units(measured(meterOf(path, framed(wrong)), refused, { type: 'application/grpc' }).metered.usage),
      { requestBytes: wrong.length + 5, responseBytes: refused.length },
      'an error inside of the stream',
    )
  })

  await t.test('parts that are not the whole are refused here and by Triton', async (t) => {
    const path = '/v2/models/batch/infer'
    const head = Buffer.from(
      JSON.stringify({
        inputs: [{ name: 'a', datatype: 'FP32', shape: [1, 4], parameters: { binary_data_size: 16 } }],
      }),
    )
    const contents = Buffer.alloc(16)
    const rows: [name: string, length: number, body: Buffer, isGood: boolean][] = [
      ['good', head.length, Buffer.concat([head, contents]), true],
      ['too little', head.length, Buffer.concat([head, contents.subarray(1)]), false],
      ['too much', head.length, Buffer.concat([head, contents, contents]), false],
      ['contents alone', 0, contents, true],
      ['a header beyond the body', head.length + 17, Buffer.concat([head, contents]), false],
    ]
    for (const [name, length, body, isGood] of rows) {
      const headers = { [lengthHeader]: String(length) }
      const { status, body: answer } = await post(server, path, body, headers)
      const { verdict } = judged(path, body, { headers: Object.entries(headers) })
      t.equal(verdict.kind === 'allow', isGood, name)
      t.equal(status === 200, isGood, `${name}: ${answer}`)
    }
  })

  await t.test(
    'the generate extension reads all of the body as JSON, whatever the length of its header',
    async (t) => {
      const path = '/v2/models/llm/generate'
      const body = JSON.stringify({ text_input: 'one', max_tokens: 1 })
      const headers = { [lengthHeader]: '2' }
      const { status } = await post(server, path, body, headers)
      const { verdict, x } = judged(path, body, { headers: Object.entries(headers) })
      t.same(
        { status, verdict: verdict.kind, demand: x.demand?.().isOutputBounded },
        { status: 200, verdict: 'allow', demand: true },
      )
    },
  )
})

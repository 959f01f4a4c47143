import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Progress, tritonInstall } from './components.ts'
import { http } from './http.ts'
import { freePorts } from './ports.ts'
import { startProcess } from './process.ts'
import { temporaryFolder } from './temp.ts'

/** A model server that speaks KServe V2 on loopback. */
export interface ModelServer extends AsyncDisposable {
  readonly name: string
  readonly httpPort: number
  readonly grpcPort: number
  /** Where `/metrics` is, where that was wanted. */
  readonly metricsPort?: number
}

/** The versions of the model `fraud`; each answers differently. */
export const fraudVersions = ['1', '2'] as const

// The score is the mean of the features divided by the version, so that who answered can be told from the number too.
const modelSource = `import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.version = int(args["model_version"])

    def execute(self, requests):
        responses = []
        for request in requests:
            features = pb_utils.get_input_tensor_by_name(request, "features").as_numpy()
            score = np.array([features.mean() / self.version], dtype=np.float32)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("score", score)]))
        return responses
`

const modelConfig = `backend: "python"
max_batch_size: 0
version_policy: { all: {} }
input [{ name: "features", data_type: TYPE_FP32, dims: [-1] }]
output [{ name: "score", data_type: TYPE_FP32, dims: [1] }]
instance_group [{ kind: KIND_CPU, count: 1 }]
`

/** A model of a test's own on the python backend. */
export interface PythonModel {
  readonly name: string
  /** `config.pbtxt` */
  readonly config: string
  /** `model.py` of its only version */
  readonly source: string
}

/** Writes as many words as are asked for, one after the other, and reports a token for each, as backends for LLMs do. */
const storyModel: PythonModel = {
  name: 'story',
  config: `backend: "python"
max_batch_size: 0
model_transaction_policy { decoupled: true }
input [
  { name: "text_input", data_type: TYPE_STRING, dims: [1] },
  { name: "max_tokens", data_type: TYPE_INT32, dims: [1] }
]
output [
  { name: "text_output", data_type: TYPE_STRING, dims: [-1] },
  { name: "num_input_tokens", data_type: TYPE_UINT32, dims: [1] },
  { name: "num_output_tokens", data_type: TYPE_UINT32, dims: [1] }
]
instance_group [{ kind: KIND_CPU, count: 1 }]
`,
  source: `import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            wanted = int(pb_utils.get_input_tensor_by_name(request, "max_tokens").as_numpy()[0])
            for index in range(wanted):
                text = pb_utils.Tensor("text_output", np.array([f"word {index} "], dtype=np.object_))
                count = pb_utils.Tensor("num_output_tokens", np.array([1], dtype=np.uint32))
                prompt = pb_utils.Tensor("num_input_tokens", np.array([2], dtype=np.uint32))
                sender.send(pb_utils.InferenceResponse([text, prompt, count]))
                time.sleep(0.005)
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None
`,
}

/** Starts the real Triton with the models \`fraud\`, in two versions, and \`story\` on the python backend, and those of the test. */
export async function startTriton(
  progress?: Progress,
  options: { readonly models?: readonly PythonModel[]; readonly hasMetrics?: boolean } = {},
): Promise<ModelServer> {
  const triton = await tritonInstall(progress)
  const folder = temporaryFolder()
  for (const { name, config, source } of [storyModel, ...(options.models ?? [])]) {
    mkdirSync(join(folder.path, name, '1'), { recursive: true })
    writeFileSync(join(folder.path, name, '1', 'model.py'), source)
    writeFileSync(join(folder.path, name, 'config.pbtxt'), config)
  }
  for (const version of fraudVersions) {
    mkdirSync(join(folder.path, 'fraud', version), { recursive: true })
    writeFileSync(join(folder.path, 'fraud', version, 'model.py'), modelSource)
  }
  writeFileSync(join(folder.path, 'fraud', 'config.pbtxt'), modelConfig)
  const [httpPort, grpcPort, metricsPort] = (await freePorts(3)) as [number, number, number]
  const metrics = [
    '--allow-gpu-metrics=false',
    '--metrics-address=127.0.0.1',
    `--metrics-port=${metricsPort}`,
  ]
  try {
    const process = await startProcess({
      name: 'Triton',
      program: triton.server,
      args: [
        `--model-repository=${folder.path}`,
        `--backend-directory=${triton.backends}`,
        '--http-address=127.0.0.1',
        `--http-port=${httpPort}`,
        '--grpc-address=127.0.0.1',
        `--grpc-port=${grpcPort}`,
        ...(options.hasMetrics ? metrics : ['--allow-metrics=false']),
      ],
      env: triton.env,
      // It opens its ports one by one, that of metrics last.
      isReady: async () =>
        (await http({ port: httpPort, path: '/v2/health/ready' })).status === 200 &&
        (!options.hasMetrics || (await http({ port: metricsPort, path: '/metrics' })).status === 200),
      deadlineMs: 120_000,
    })
    return {
      name: 'Triton 2.51',
      httpPort,
      grpcPort,
      ...(options.hasMetrics && { metricsPort }),
      [Symbol.asyncDispose]: async () => {
        await process[Symbol.asyncDispose]()
        folder[Symbol.dispose]()
      },
    }
  } catch (cause) {
    folder[Symbol.dispose]()
    throw cause
  }
}

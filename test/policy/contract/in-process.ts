import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCanonicalStage } from '#canonical/canonical.ts'
import { createPipeline } from '#decision/pipeline.ts'
import { extAuthzMethod } from '#envoy/ext-authz.ts'
import { createInferenceStage } from '#inference/inference.ts'
import { openPolicy, type Switches } from '#policy/policy.ts'
import { noResources } from '#resources/resources.ts'
import { createLogger } from '#telemetry/telemetry.ts'
import { bareCall } from '../../envoy/kit.ts'
import { buildBundle } from '../../harness/opa.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { answerOf } from './answer.ts'
import { pathOf } from './check.ts'
import type { Side } from './pair.ts'

/** The agent's own answers without a socket: what the goldens are held against. */
export async function openInProcess(rego: string, switches: Partial<Switches> = {}): Promise<Side> {
  const folder = temporaryFolder()
  const file = join(folder.path, 'policy.tar.gz')
  writeFileSync(file, await buildBundle({ files: { 'policy.rego': rego } }))
  const policy = await openPolicy({
    source: { file },
    decision: 'envoy/authz/allow',
    onLoad: () => {},
    switches,
  })
  const pipeline = createPipeline({
    stages: [
      createCanonicalStage({ isStrict: false, tenantHeaders: [] }),
      createInferenceStage(),
      policy.stage,
    ],
    resources: () => noResources,
    deadlineMs: 10_000,
  })
  const method = extAuthzMethod({ pipeline, log: createLogger('error', { write: () => {} }) })
  if (method.kind !== 'unary') throw new Error('Check is unary')
  return {
    ask: async (bytes) => {
      const answer = await method.handle(Buffer.from(bytes), bareCall)
      return answer instanceof Uint8Array
        ? answerOf(answer, pathOf(bytes))
        : { kind: 'failed', grpcCode: answer.code, details: answer.message }
    },
    [Symbol.dispose]: () => {
      void policy[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

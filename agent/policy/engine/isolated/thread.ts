import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '#base/errors.ts'
import type { NondeterministicCalls } from '../../builtins/builtin.ts'
import { parseRegoText, regoText } from '../../values/rego-text.ts'
import { startEngine } from '../engine.ts'
import type { Ask, RecordedTexts, ThreadData, Told } from './protocol.ts'

// What runs in a thread of its own: one evaluation after the other, until somebody ends it.

const port = parentPort
if (port === null) throw new Error('not a thread')
const tell = (told: Told) => port.postMessage(told)
const { prepared } = workerData as ThreadData
const engine = await startEngine(prepared)

port.on('message', ({ entrypoint, input, nowNs, runtime, isRecorded }: Ask) => {
  const recorded: NondeterministicCalls | undefined = isRecorded ? new Map() : undefined
  const context = {
    nowNs,
    ...(runtime !== undefined && { runtime: parseRegoText(runtime) }),
    ...(recorded && { recorded }),
  }
  try {
    const given = input === undefined ? undefined : { value: null, text: input }
    const result = engine.evaluate(entrypoint, given, context)
    tell({ kind: 'result', result, recorded: textsOf(recorded) })
  } catch (thrown) {
    tell({ kind: 'failed', message: messageOf(thrown), recorded: textsOf(recorded) })
  }
})
tell({ kind: 'ready' })

function textsOf(recorded: NondeterministicCalls | undefined): RecordedTexts {
  return [...(recorded ?? [])].map(([name, calls]) => [
    name,
    [...calls].map(([operands, result]) => [operands, regoText(result)] as const),
  ])
}

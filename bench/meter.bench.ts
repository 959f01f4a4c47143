import type { Exchange } from '#decision/exchange.ts'
import type { AnswerMeter } from '#decision/usage.ts'
import { createInferenceStage } from '#inference/inference.ts'
import { noResources } from '#resources/resources.ts'
import { someRequest } from '../test/decision/an-exchange.ts'
import type { BenchOptions, Row } from './bench.ts'
import { cores, pinMyself } from './pin.ts'
import { rssMb } from './process-usage.ts'

const usage = { prompt_tokens: 120, completion_tokens: 77, total_tokens: 197 }
const event = (delta: object, more: object = {}): Buffer => {
  const data = {
    id: 'chatcmpl-6f1c3f1e8f0d4a549a3e3f0b9f1d2c3e',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'meta-llama/Llama-3.1-8B',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: null }],
    ...more,
  }
  return Buffer.from(`data: ${JSON.stringify(data)}\n\n`)
}
const word = event({ content: ' token' })

/** What a piece of an answer is; each case feeds the same one again and again. */
const cases: Readonly<Record<string, { readonly path: string; readonly pieces: readonly Buffer[] }>> = {
  [`an event of ${word.length} octets`]: { path: '/v1/chat/completions', pieces: [word] },
  'the same in two pieces': {
    path: '/v1/chat/completions',
    pieces: [word.subarray(0, 100), word.subarray(100)],
  },
  'an event with usage: null': {
    path: '/v1/chat/completions',
    pieces: [event({ content: ' token' }, { usage: null })],
  },
  'an event with usage': { path: '/v1/chat/completions', pieces: [event({ content: ' token' }, { usage })] },
  generate_stream: {
    path: '/v2/models/llm/generate_stream',
    pieces: [Buffer.from('data: {"model_name":"llm","model_version":"1","text_output":" token"}\n\n')],
  },
}

/** What it costs to measure one piece of a streamed answer, and to ask what was measured: the least mean of a batch. */
export async function measure(options: BenchOptions): Promise<Row[]> {
  pinMyself(cores.measured)
  return Object.entries(cases).map(([name, { path, pieces }]) => {
    const end = performance.now() + options.seconds * 1000
    let bestUs = Number.POSITIVE_INFINITY
    while (performance.now() < end) {
      const meter = meterOf(path)
      let octets = 0
      const began = performance.now()
      for (let i = 0; i < 1000; i++) {
        for (const piece of pieces) octets += meter.feed(piece, false).length
        octets += meter.metered().usage.outputTokens
      }
      const tookUs = (performance.now() - began) * 1000
      if (octets === 0) throw new Error('nothing was measured')
      bestUs = Math.min(bestUs, tookUs / 1000)
    }
    return { name, rps: 1e6 / bestUs, cpuUs: bestUs, p50Ms: 0, p99Ms: 0, rssMb: rssMb(process.pid) }
  })
}

const stage = createInferenceStage()

function meterOf(path: string): AnswerMeter {
  const body = Buffer.from(JSON.stringify({ model: 'm', messages: [], stream: true, text_input: 'x' }))
  const x: Exchange = {
    id: 'x',
    request: someRequest({ client: 'json', path, body }),
    resources: noResources,
    startedUs: 0,
    canonical: { path, authority: 'models', withheld: [] },
  }
  stage.request?.(x)
  if (x.meter === undefined) throw new Error('no meter')
  x.meter.requestReport()
  x.meter.begin({ httpStatus: 200, contentType: 'text/event-stream', contentEncoding: '' })
  return x.meter
}

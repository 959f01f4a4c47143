import { create, toBinary } from '@bufbuild/protobuf'
import { ALLOW } from '#decision/verdict.ts'
import { extProcMethod } from '#envoy/ext-proc.ts'
import { ProcessingRequestSchema } from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import type { StreamReader } from '#grpc/service.ts'
import { type Ask, bareCall, kit, requestHeaders, responseBody, responseHeaders } from '../test/envoy/kit.ts'
import { meterScript } from '../test/envoy/scripted-meter.ts'
import type { BenchOptions, Row } from './bench.ts'
import { cores, pinMyself } from './pin.ts'
import { rssMb } from './process-usage.ts'

const piecesEach = 200
const event = Buffer.from(
  'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"chat","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}\n\n',
)
const encode = (ask: Ask) =>
  Buffer.from(toBinary(ProcessingRequestSchema, create(ProcessingRequestSchema, ask)))
const piece = encode(responseBody(event))

/**
 * What the agent's side of a stream costs, without Envoy and with a meter that only counts: a call of which only headers are
 * seen, and each piece of an answer that is measured. The least mean of a batch, so that what else runs does not count.
 */
export async function measure({ seconds }: BenchOptions): Promise<Row[]> {
  pinMyself(cores.measured)
  return [
    { name: 'headers', path: '/v2/models/chat/generate', isMetered: false },
    { name: 'a piece of an answer', path: '/v2/models/chat/generate', isMetered: true },
    { name: 'a piece of a stream', path: '/v2/models/chat/generate_stream', isMetered: true },
  ].map(({ name, path, isMetered }) => {
    const head = encode(requestHeaders({ path, isEager: false }))
    const answer = encode(responseHeaders({ ':status': '200', 'content-type': 'text/event-stream' }))
    const open = opener(isMetered)
    const end = performance.now() + seconds * 1000
    let bestUs = Number.POSITIVE_INFINITY
    while (performance.now() < end) {
      let timedUs = 0
      for (let i = 0; i < 50; i++) {
        const began = performance.now()
        const reader = open()
        reader.message(head)
        reader.message(answer)
        const answered = performance.now()
        if (isMetered) for (let sent = 0; sent < piecesEach; sent++) reader.message(piece)
        const ended = performance.now()
        reader.ended()
        timedUs += (isMetered ? (ended - answered) / piecesEach : ended - began) * 1000
      }
      bestUs = Math.min(bestUs, timedUs / 50)
    }
    return { name, rps: 1e6 / bestUs, cpuUs: bestUs, p50Ms: 0, p99Ms: 0, rssMb: rssMb(process.pid) }
  })
}

function opener(isMetered: boolean): () => StreamReader {
  const { meter, hold } = countingMeter()
  const bench = kit({
    request: (x) => {
      if (isMetered) {
        x.meter = meter
        x.hold = hold
      }
      return ALLOW
    },
  })
  const method = extProcMethod({ ...bench, firstMessageTimeoutMs: 1000 })
  if (method.kind !== 'stream') throw new Error('Process is a stream')
  const writer = { send: () => {}, close: () => {}, pause: () => {}, resume: () => {} }
  return () => {
    bench.ends.clear()
    return method.open(writer, bareCall)
  }
}

/** As the scripted one, without its memory. */
function countingMeter(): Pick<ReturnType<typeof meterScript>, 'meter' | 'hold'> {
  const { meter, hold } = meterScript()
  return { meter: { ...meter, begin: () => {}, feed: (chunk) => chunk }, hold }
}

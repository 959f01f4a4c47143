import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { Exchange } from '#decision/exchange.ts'
import type { AnswerMeter, Demand, Metered, Usage } from '#decision/usage.ts'
import type { Verdict } from '#decision/verdict.ts'
import {
  type ModelInferRequestSchema,
  ModelInferRequestSchema as requestSchema,
} from '#gen/inference/grpc_service_pb.js'
import { createInferenceStage } from '#inference/inference.ts'
import { inTurn, someRequest, someResources, strictForm } from '../decision/an-exchange.ts'

export type RequestChange = Parameters<typeof someRequest>[0]

export const grpcPath = '/inference.GRPCInferenceService/ModelInfer'
export const chatPath = '/v1/chat/completions'

/** What an inference stage makes of a request, one that knows nothing yet unless it is given. */
export function judged(
  path: string,
  body: string | Uint8Array | undefined,
  change: RequestChange = {},
  stage = createInferenceStage(),
) {
  const client = path.startsWith('/inference.') ? 'grpc' : 'http'
  const x: Exchange = {
    id: 'x',
    request: someRequest({ path, client, ...(body !== undefined && { body: Buffer.from(body) }), ...change }),
    resources: someResources(),
    startedUs: 0,
  }
  const verdict: Verdict = inTurn(x, strictForm, stage)
  return { x, verdict }
}

/** What it asks for at most. */
export function demandOf(
  path: string,
  body: string | Uint8Array | undefined,
  change: RequestChange = {},
): Demand {
  const { x, verdict } = judged(path, body, change)
  if (x.demand === undefined) throw new Error(`no demand: ${JSON.stringify(verdict)}`)
  return x.demand()
}

export function meterOf(
  path: string,
  body: string | Uint8Array,
  change: RequestChange = {},
  stage = createInferenceStage(),
): AnswerMeter {
  const { x, verdict } = judged(path, body, change, stage)
  if (x.meter === undefined) throw new Error(`no meter: ${JSON.stringify(verdict)}`)
  return x.meter
}

export interface Answer {
  readonly status?: number
  readonly type?: string
  readonly encoding?: string
  readonly isBroken?: boolean
}

export const sse: Answer = { type: 'text/event-stream; charset=utf-8' }

/** Has an answer pass, cut into pieces at the given places. */
export function measured(
  meter: AnswerMeter,
  body: string | Uint8Array,
  answer: Answer = {},
  cuts: readonly number[] = [],
): { readonly metered: Metered; readonly out: Buffer } {
  const { status = 200, type = 'application/json', encoding = '', isBroken = false } = answer
  meter.begin({ httpStatus: status, contentType: type, contentEncoding: encoding })
  const bytes = Buffer.from(body)
  const places = [...new Set(cuts.filter((cut) => cut > 0 && cut < bytes.length))].sort((a, b) => a - b)
  const out: Buffer[] = []
  for (const [index, end] of [...places, bytes.length].entries()) {
    // What was fed is overwritten afterwards, as the host's buffers are.
    const chunk = Buffer.from(bytes.subarray(index === 0 ? 0 : places[index - 1], end))
    const isEnd = end === bytes.length && !isBroken
    out.push(Buffer.from(meter.feed(chunk, isEnd)))
    chunk.fill(0x22)
    meter.metered()
  }
  return { metered: meter.metered(), out: Buffer.concat(out) }
}

/** A gRPC message in its frame. */
export function framed(message: Uint8Array, flag = 0): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt8(flag)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** A ModelInferRequest to `fraud`, framed. */
export function inferMessage(
  more: Omit<MessageInitShape<typeof ModelInferRequestSchema>, '$typeName'>,
): Buffer {
  return framed(toBinary(requestSchema, create(requestSchema, { modelName: 'fraud', ...more })))
}

/** Every unit that is not 0. */
export function units(usage: Usage): Partial<Usage> {
  return Object.fromEntries(Object.entries(usage).filter(([, amount]) => amount !== 0))
}

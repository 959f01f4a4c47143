import type { JsonObject } from '#base/json.ts'
import type { ModelCall, RequestFacts } from '#decision/exchange.ts'
import { isBodyEncoded, once, unknownAsk } from './demand/ask.ts'
import { generateAsk } from './demand/generate-ask.ts'
import { openAiAsk } from './demand/openai-ask.ts'
import { jsonInferAsk, messageInferAsk } from './demand/tensor-ask.ts'
import { openAiDialect } from './meter/dialect.ts'
import type { MeterOptions } from './meter/meter.ts'
import { withUsageReport } from './meter/request-report.ts'

/** What a call that has a model compute asks for, and how its answer is measured. */
export type Computation = MeterOptions

/** Endpoints whose streams report what they took only where that is asked for. */
const reportsOnDemand: ReadonlySet<string> = new Set(['/v1/chat/completions', '/v1/completions'])

/** @param body the request's JSON, `undefined` where it was not read */
export function openAiComputation(
  endpoint: string,
  kind: 'generate' | 'embed',
  request: RequestFacts,
  body: JsonObject | undefined,
): Computation {
  const { body: octets } = request
  const mayReport =
    body?.['stream'] === true &&
    octets !== undefined &&
    reportsOnDemand.has(endpoint) &&
    !isBodyEncoded(request)
  return {
    dialect: openAiDialect(endpoint),
    ask: once(() => openAiAsk(endpoint, kind, request, body)),
    ...(mayReport && { withReport: () => withUsageReport(octets) }),
  }
}

/** @param body as for {@link openAiComputation} */
export function v2Computation(
  { protocol, verb }: ModelCall,
  request: RequestFacts,
  body: JsonObject | undefined,
): Computation {
  if (protocol === 'v2-grpc')
    return {
      dialect: verb === 'stream_infer' ? 'v2-grpc-stream' : 'v2-grpc',
      ask: once(() => messageInferAsk(request)),
    }
  if (verb === 'infer') return { dialect: 'v2-http', ask: once(() => jsonInferAsk(request, body)) }
  return { dialect: 'generate', ask: once(() => generateAsk(request, body)) }
}

/** Of a request that is none of a known protocol. */
export function unknownComputation(request: RequestFacts): Computation {
  return { dialect: 'unknown', ask: once(() => unknownAsk(request)) }
}

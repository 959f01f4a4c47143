import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { ServedFacts } from '#decision/exchange.ts'
import { readJson } from '../input/body.ts'

/** Answers nest as deep as the model likes; deeper ones are taken for no JSON. */
const maxDepth = 128

/** How much of an answer's body a policy is shown. */
export type AnswerBody = 'none' | 'summary' | 'json'

/** The tensors of a list without their contents; `undefined` where it is no such list. */
export type TensorReader = (list: JsonValue | undefined) => readonly object[] | undefined

/** An answer as policies judge it. */
export interface Answer {
  /** `input.serving.response`. */
  readonly document: JsonObject
  /** The whole body; absent where it is no JSON or not all of it was seen, so that nothing in it can be redacted. */
  readonly json?: JsonValue
}

/** What a policy is told of an answer. */
export function answerOf(served: ServedFacts, body: AnswerBody, tensorsOf: TensorReader): Answer {
  const headers: Record<string, string> = Object.create(null)
  for (const [name, values] of served.headers.entries())
    if (!name.startsWith(':')) headers[name] = values.join(',')
  const document: Record<string, JsonValue | undefined> = {
    status: served.httpStatus,
    headers,
    ...(served.upstreamAddress !== undefined && { upstream_address: served.upstreamAddress }),
  }
  if (body === 'none' || served.body === undefined) return { document }
  document['body_bytes'] = served.body.length
  document['truncated_body'] = !served.isBodyComplete
  const parsed = jsonOf(served)
  if (parsed === undefined) return { document }
  const outputs = isJsonObject(parsed.json) ? tensorsOf(parsed.json['outputs']) : undefined
  if (outputs !== undefined) document['outputs'] = outputs as readonly JsonObject[]
  if (body === 'json' && parsed.isWhole) document['body'] = parsed.json
  return { document, ...(parsed.isWhole && { json: parsed.json }) }
}

/** The JSON of a body. Behind that of a V2 answer there may be tensors in binary, and then it is not the whole body. */
function jsonOf(served: ServedFacts): { readonly json: JsonValue; readonly isWhole: boolean } | undefined {
  const { headers, body, isBodyComplete } = served
  if (body === undefined || !isBodyComplete || headers.has('content-encoding')) return undefined
  const type = headers.all('content-type').join(',')
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const length = headers.single('inference-header-content-length')
  if (length !== undefined) {
    const end = /^\d{1,15}$/.test(length) ? Number(length) : -1
    if (end < 0 || end > bytes.length) return undefined
    const json = readJson(bytes.subarray(0, end), maxDepth)
    return json === undefined ? undefined : { json, isWhole: end === bytes.length }
  }
  if (!/\bjson\b/i.test(type)) return undefined
  const json = readJson(bytes, maxDepth)
  return json === undefined ? undefined : { json, isWhole: true }
}

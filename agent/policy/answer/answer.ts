import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import type { ServedFacts } from '#decision/exchange.ts'
import { readJson } from '../input/body.ts'
import { hasOneReading } from './reading.ts'

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
  /** Whether others may read the body otherwise than policy did: then what was judged is what is sent. */
  readonly isAmbiguous?: boolean
  /** Whether it is known that there is no body, in which nothing can stand. */
  readonly isEmpty?: boolean
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
  if (served.body === undefined && served.isBodyComplete) return { document, isEmpty: true }
  if (body === 'none' || served.body === undefined) return { document }
  document['body_bytes'] = served.body.length
  document['truncated_body'] = !served.isBodyComplete
  const parsed = jsonOf(served)
  if (parsed === undefined) return { document }
  const outputs = isJsonObject(parsed.json) ? tensorsOf(parsed.json['outputs']) : undefined
  if (outputs !== undefined) document['outputs'] = outputs as readonly JsonObject[]
  if (body === 'json' && parsed.isWhole) document['body'] = parsed.json
  return { document, ...(parsed.isWhole && { json: parsed.json, isAmbiguous: parsed.isAmbiguous }) }
}

interface ReadAnswer {
  readonly json: JsonValue
  readonly isWhole: boolean
  readonly isAmbiguous: boolean
}

/** The JSON of a body. Behind that of a V2 answer there may be tensors in binary, and then it is not the whole body. */
function jsonOf(served: ServedFacts): ReadAnswer | undefined {
  const { headers, body, isBodyComplete } = served
  if (body === undefined || !isBodyComplete || headers.has('content-encoding')) return undefined
  // A part that a client asked for by its bytes: what it is a part of cannot be told from it.
  if (served.httpStatus === 206 || headers.has('content-range')) return undefined
  const type = headers.all('content-type').join(',')
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const length = headers.single('inference-header-content-length')
  if (length !== undefined) {
    const end = /^\d{1,15}$/.test(length) ? Number(length) : -1
    if (end < 0 || end > bytes.length) return undefined
    const isWhole = end === bytes.length
    const read = readAnswer(bytes.subarray(0, end), isWhole)
    // With tensors behind it, it cannot be written anew.
    return read?.isAmbiguous && !isWhole ? undefined : read
  }
  if (!/\bjson\b/i.test(type)) return undefined
  return readAnswer(bytes, true)
}

function readAnswer(bytes: Buffer, isWhole: boolean): ReadAnswer | undefined {
  const json = readJson(bytes, maxDepth)
  return json === undefined ? undefined : { json, isWhole, isAmbiguous: !hasOneReading(bytes, json) }
}

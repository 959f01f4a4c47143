import type { JsonObject } from '#base/json.ts'
import { hasRepeatedMember } from '#base/json-members.ts'
import type { GenerationFacts, ModelVerb, RequestFacts } from '#decision/exchange.ts'
import { type Computation, openAiComputation } from './computation.ts'
import type { ParsedCall } from './v2-http.ts'

/** What of OpenAI's API a model server answers with a model's computation, as vLLM, TGI and Triton's frontend have it. */
const endpoints: ReadonlyMap<string, 'generate' | 'embed'> = new Map([
  ['/v1/chat/completions', 'generate'],
  ['/v1/completions', 'generate'],
  ['/v1/responses', 'generate'],
  ['/v1/messages', 'generate'],
  ['/v1/embeddings', 'embed'],
  ['/v1/rerank', 'embed'],
  ['/v1/score', 'embed'],
  ['/v1/audio/transcriptions', 'generate'],
  ['/v1/audio/translations', 'generate'],
])

/** Names are repository paths (`org/model`), sometimes with a tag. */
const modelName = /^[A-Za-z0-9_][A-Za-z0-9_./:-]{0,254}$/

/**
 * Reads a call of OpenAI's API. The model stands in the body: without the whole of it, as JSON, the call is one of which
 * nobody knows the model.
 *
 * @param path canonical, without its query
 * @see https://platform.openai.com/docs/api-reference
 */
export function parseOpenAi(path: string, request: RequestFacts): ParsedCall {
  const kind = endpoints.get(path)
  if (kind === undefined || request.method !== 'POST') return { kind: 'other' }
  const { body, isBodyComplete } = request
  const unread = () => called(kind, {}, openAiComputation(path, kind, request, undefined))
  if (body === undefined || !isBodyComplete) return unread()
  const read = readBody(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString())
  // A form (audio) names its model in a part; whoever demands to know it finds none.
  if (read === undefined) return unread()
  if ('fault' in read) return { kind: 'refused', reason: 'request_malformed', detail: read.fault }
  const { model, stream } = read.value
  if (typeof model !== 'string' || !modelName.test(model) || model.includes('//') || model.includes('..'))
    return { kind: 'refused', reason: 'model_name_invalid', detail: 'the model name is not valid' }
  const verb = kind === 'generate' && stream === true ? 'generate_stream' : kind
  return called(
    verb,
    { model, generation: generationOf(read.value) },
    openAiComputation(path, kind, request, read.value),
  )
}

function called(
  verb: ModelVerb,
  more: { readonly model?: string; readonly generation?: GenerationFacts },
  computation: Computation,
): ParsedCall {
  return { kind: 'call', call: { protocol: 'openai', verb, ...more }, computation }
}

const twice = 'a member stands twice in the body'

/** `undefined` where it is no JSON object. Of a member that comes twice readers take one or the other. */
function readBody(text: string): { readonly value: JsonObject } | { readonly fault: string } | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  if (hasRepeatedMember(text, value as JsonObject)) return { fault: twice }
  // Some readers take `Model` for `model`.
  const names = Object.keys(value).map((name) => name.toLowerCase())
  return new Set(names).size === names.length ? { value: value as JsonObject } : { fault: twice }
}

function generationOf(body: JsonObject): GenerationFacts {
  const count = (value: unknown) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
  // Newer names first.
  const maxTokens =
    count(body['max_completion_tokens']) ?? count(body['max_output_tokens']) ?? count(body['max_tokens'])
  const choices = count(body['n'])
  const { messages, tools } = body
  return {
    isStream: body['stream'] === true,
    ...(maxTokens !== undefined && { maxTokens }),
    ...(choices !== undefined && { choices }),
    ...(Array.isArray(messages) && { messages: messages.length }),
    ...(Array.isArray(tools) && { tools: tools.length }),
  }
}

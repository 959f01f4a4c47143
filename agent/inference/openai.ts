import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { hasRepeatedMember } from '#base/json-members.ts'
import type { GenerationFacts, ModelVerb, RequestFacts } from '#decision/exchange.ts'
import { type Computation, openAiComputation } from './computation.ts'
import { isBodyEncoded } from './demand/ask.ts'
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

/** Takes sound, in a form. */
const soundPaths = '/v1/audio/'

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
  if (read === undefined) {
    // A form names its model in a part, and what is compressed names it somewhere: whoever demands to know it finds none.
    if (path.startsWith(soundPaths) || isBodyEncoded(request)) return unread()
    // Servers read what is no JSON to us: NaN, UTF-16.
    return { kind: 'refused', reason: 'request_malformed', detail: 'the body is no JSON object in UTF-8' }
  }
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
  if (new Set(names).size !== names.length) return { fault: twice }
  const fault = streamFault(value as JsonObject)
  return fault === undefined ? { value: value as JsonObject } : { fault }
}

/**
 * Servers are lenient: `"yes"` is true to some, and `"no"` false. Whether there is a stream, and whether it reports what it
 * takes, must not be something that only the server knows.
 */
function streamFault(body: JsonObject): string | undefined {
  const options = body['stream_options']
  if (!isSwitch(body['stream'])) return 'stream is neither true nor false'
  if (options === undefined || options === null) return otherCase(body, ['stream', 'stream_options'])
  if (!isJsonObject(options)) return 'stream_options is no object'
  if (!isSwitch(options['include_usage'])) return 'stream_options.include_usage is neither true nor false'
  return otherCase(body, ['stream', 'stream_options']) ?? otherCase(options, ['include_usage'])
}

const isSwitch = (value: JsonValue | undefined): boolean =>
  value === undefined || value === null || typeof value === 'boolean'

function otherCase(members: JsonObject, names: readonly string[]): string | undefined {
  const found = Object.keys(members).find(
    (name) => !names.includes(name) && names.includes(name.toLowerCase()),
  )
  return found === undefined ? undefined : `${found.toLowerCase()} is written in another case`
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

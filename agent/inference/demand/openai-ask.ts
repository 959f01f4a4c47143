import type { JsonObject, JsonValue } from '#base/json.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import { unboundedAmount } from '#decision/usage.ts'
import { type Ask, askOf, bodyOctets, isBodyEncoded, unreadAsk } from './ask.ts'
import { noOutput, type OutputBound, OutputReading, openOutput } from './output-bound.ts'
import { PromptTally } from './prompt.ts'

/** Members that no server writes into a prompt. */
const notPrompt: ReadonlySet<string> = new Set([
  ...['model', 'user', 'safety_identifier', 'prompt_cache_key', 'metadata', 'stop', 'logit_bias'],
  ...['stream', 'stream_options', 'encoding_format', 'service_tier', 'request_id'],
])
/** Members whose items are prompts, messages or documents. */
const lists: ReadonlySet<string> = new Set([
  ...['messages', 'input', 'prompt', 'documents', 'queries', 'text_1', 'text_2', 'data_1', 'data_2'],
])
/** Endpoints of which each call is one conversation. */
const single: ReadonlySet<string> = new Set([
  ...['/v1/chat/completions', '/v1/responses', '/v1/messages'],
  ...['/v1/audio/transcriptions', '/v1/audio/translations'],
])
/** Endpoints that read one text together with each of the others. */
const paired: ReadonlySet<string> = new Set(['/v1/rerank', '/v1/score'])

/**
 * What a call of OpenAI's API asks for.
 *
 * @param body its JSON, `undefined` where that was not read
 */
export function openAiAsk(
  endpoint: string,
  verb: 'generate' | 'embed',
  request: RequestFacts,
  body: JsonObject | undefined,
): Ask {
  if (body === undefined) return unreadOpenAi(endpoint, verb, request)
  const prompts = single.has(endpoint) ? 1 : promptsOf(body)
  return askOf({
    octets: bodyOctets(request),
    inferences: prompts,
    prompt: promptOf(body, paired.has(endpoint) ? prompts : 1),
    output: verb === 'embed' ? noOutput : outputOf(body, prompts),
    isEchoed: body['echo'] === true,
  })
}

function unreadOpenAi(endpoint: string, verb: 'generate' | 'embed', request: RequestFacts): Ask {
  const output = verb === 'embed' ? noOutput : openOutput
  const type = request.headers.single('content-type')?.toLowerCase()
  if (type?.startsWith('multipart/form-data') !== true || isBodyEncoded(request))
    return unreadAsk(request, { hasBatch: !single.has(endpoint), output })
  // Sound, in a form.
  const prompt = new PromptTally()
  const octets = bodyOctets(request)
  if (octets === unboundedAmount) prompt.addOctets(octets)
  else prompt.addAudio(octets)
  return askOf({ octets, inferences: 1, prompt, output })
}

function outputOf(body: JsonObject, prompts: number): OutputBound {
  const reading = new OutputReading()
  reading.readAll(body)
  return reading.result(prompts)
}

/** How many prompts or documents are to be worked on: those of the longest list. */
function promptsOf(body: JsonObject): number {
  let prompts = 1
  for (const name of lists) {
    const value = body[name]
    // A list of token ids is one prompt.
    if (name !== 'messages' && Array.isArray(value) && typeof value[0] !== 'number')
      prompts = Math.max(prompts, value.length)
  }
  return prompts
}

/** @param pairs with how many others a text that stands alone is read */
function promptOf(body: JsonObject, pairs: number): PromptTally {
  const tally = new PromptTally()
  // What is not in the request: an earlier conversation, a stored prompt; or a template that may say anything any number of times.
  const { previous_response_id: previous, conversation, chat_template: template, prompt } = body
  const isStored = typeof prompt === 'object' && prompt !== null && !Array.isArray(prompt)
  if ([previous, conversation, template].some((value) => value !== undefined && value !== null) || isStored)
    tally.addOctets(unboundedAmount)
  for (const [name, value] of Object.entries(body))
    if (!isList(name, value) && !notPrompt.has(name) && isText(value)) tally.addJson(value)
  tally.addConversation(body['tools'] !== undefined || body['functions'] !== undefined)
  tally.repeat(pairs)
  for (const [name, value] of Object.entries(body)) if (isList(name, value)) addList(tally, value)
  return tally
}

function addList(tally: PromptTally, list: readonly JsonValue[]): void {
  if (list.every((item) => typeof item === 'number')) tally.addMessage(list)
  else for (const item of list) tally.addMessage(item)
}

function isList(name: string, value: JsonValue | undefined): value is readonly JsonValue[] {
  return lists.has(name) && Array.isArray(value)
}

/** Numbers and switches that stand alone are options. */
function isText(value: JsonValue | undefined): boolean {
  return typeof value === 'string' || (typeof value === 'object' && value !== null)
}

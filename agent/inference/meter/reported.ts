import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { plus } from '../demand/amount.ts'

/** What a model server says that a call took; absent where it does not say. */
export interface Reported {
  readonly input?: number | undefined
  readonly output?: number | undefined
  readonly cached?: number | undefined
  readonly reasoning?: number | undefined
}

/** No call takes more tokens: a report of more is a mistake, and would use up what its tenant has for years. */
const maxTokens = 2 ** 30

const whole = (value: JsonValue | undefined): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= maxTokens
    ? value
    : undefined

/**
 * Reads the member `usage` of an answer: OpenAI's names, those of its Responses API, or Anthropic's, whose input tokens do
 * not include what the cache held.
 *
 * @returns `undefined` where it is no object
 */
export function readUsage(json: string): Reported | undefined {
  let usage: JsonValue
  try {
    usage = JSON.parse(json)
  } catch {
    return undefined
  }
  return isJsonObject(usage) ? reportedOf(usage) : undefined
}

function reportedOf(usage: JsonObject): Reported {
  const output = whole(usage['completion_tokens']) ?? whole(usage['output_tokens'])
  const total = whole(usage['total_tokens'])
  const cacheRead = whole(usage['cache_read_input_tokens'])
  const inputDetails = detailsOf(usage, 'prompt_tokens_details', 'input_tokens_details')
  const outputDetails = detailsOf(usage, 'completion_tokens_details', 'output_tokens_details')
  const input = whole(usage['prompt_tokens']) ?? anthropicInput(usage, cacheRead)
  return {
    input: input ?? difference(total, output ?? 0),
    output: output ?? (input === undefined ? undefined : difference(total, input)),
    cached: whole(inputDetails['cached_tokens']) ?? cacheRead,
    reasoning: whole(outputDetails['reasoning_tokens']),
  }
}

function anthropicInput(usage: JsonObject, cacheRead: number | undefined): number | undefined {
  const input = whole(usage['input_tokens'])
  if (input === undefined) return undefined
  return plus(input, plus(cacheRead ?? 0, whole(usage['cache_creation_input_tokens']) ?? 0))
}

function detailsOf(usage: JsonObject, ...names: readonly string[]): JsonObject {
  for (const name of names) {
    const details = usage[name]
    if (isJsonObject(details)) return details
  }
  return {}
}

function difference(total: number | undefined, part: number): number | undefined {
  return total === undefined || total < part ? undefined : total - part
}

/** Outputs and members in which Triton's backends for vLLM and TensorRT-LLM report. */
export const tokenNames = ['num_input_tokens', 'num_output_tokens', 'sequence_length'] as const
export type TokenName = (typeof tokenNames)[number]

/** Members in which Ollama reports. */
export const promptCount = 'prompt_eval_count'
export const outputCount = 'eval_count'

export function isTokenName(name: string): name is TokenName {
  return (tokenNames as readonly string[]).includes(name)
}

/** The sum of whole numbers, one or a list that may nest once; `undefined` where something else is among them. */
export function sumOf(value: unknown): number | undefined {
  if (!Array.isArray(value)) return whole(value as JsonValue)
  let sum = 0
  for (const each of value.flat()) {
    const amount = whole(each)
    if (amount === undefined) return undefined
    sum = plus(sum, amount)
  }
  return sum
}

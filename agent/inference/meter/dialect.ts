import { outputCount, promptCount, tokenNames } from './reported.ts'

/** How an API answers. */
export type DialectName =
  | 'chat'
  | 'responses'
  | 'messages'
  | 'audio'
  | 'embeddings'
  | 'generate'
  | 'v2-http'
  | 'v2-grpc'
  | 'v2-grpc-stream'
  | 'unknown'

export interface Dialect {
  /** Members that hold generated text, in an answer and in an event of a stream. */
  readonly texts: readonly string[]
  readonly streamTexts: readonly string[]
  /** Members that say what it took. */
  readonly values: readonly string[]
  /** A stream's end that its clients understand; absent where they have none. */
  readonly farewell?: (text: string) => string
}

const event = (name: string, data: unknown): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
const data = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`
const quota = 'insufficient_quota'
const openAiFarewell = (message: string): string =>
  `${data({ error: { message, type: quota, param: null, code: quota } })}data: [DONE]\n\n`

const chatTexts = ['content', 'text', 'reasoning_content', 'reasoning', 'refusal', 'arguments']
/** Those of every API, and of TGI and Ollama. */
const anyTexts = [
  ...chatTexts,
  'delta',
  'thinking',
  'partial_json',
  'text_output',
  'generated_text',
  'response',
]

export const dialects: Readonly<Record<DialectName, Dialect>> = {
  chat: { texts: chatTexts, streamTexts: chatTexts, values: ['usage'], farewell: openAiFarewell },
  responses: {
    texts: ['text', 'arguments', 'refusal'],
    // Events at the end of each part say all of its text again.
    streamTexts: ['delta'],
    values: ['usage'],
    farewell: (message) => event('error', { type: 'error', code: quota, message, param: null }),
  },
  messages: {
    texts: ['text', 'thinking'],
    streamTexts: ['text', 'thinking', 'partial_json'],
    values: ['usage'],
    farewell: (message) => event('error', { type: 'error', error: { type: 'rate_limit_error', message } }),
  },
  audio: {
    texts: ['text'],
    streamTexts: ['content', 'delta'],
    values: ['usage'],
    farewell: openAiFarewell,
  },
  embeddings: { texts: [], streamTexts: [], values: ['usage'] },
  generate: {
    texts: ['text_output', 'text'],
    streamTexts: ['text_output', 'text'],
    values: tokenNames,
    farewell: (error) => data({ error }),
  },
  'v2-http': { texts: ['data'], streamTexts: [], values: ['outputs'] },
  'v2-grpc': { texts: [], streamTexts: [], values: [] },
  'v2-grpc-stream': { texts: [], streamTexts: [], values: [] },
  unknown: {
    texts: anyTexts,
    streamTexts: anyTexts,
    values: ['usage', promptCount, outputCount, ...tokenNames],
    farewell: openAiFarewell,
  },
}

const byEndpoint: ReadonlyMap<string, DialectName> = new Map([
  ['/v1/responses', 'responses'],
  ['/v1/messages', 'messages'],
  ['/v1/audio/transcriptions', 'audio'],
  ['/v1/audio/translations', 'audio'],
  ['/v1/embeddings', 'embeddings'],
  ['/v1/rerank', 'embeddings'],
  ['/v1/score', 'embeddings'],
])

/** The dialect of an endpoint of OpenAI's API. */
export function openAiDialect(endpoint: string): DialectName {
  return byEndpoint.get(endpoint) ?? 'chat'
}

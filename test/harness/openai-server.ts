import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request that came, and what became of its answer. */
export interface OpenAiCall {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  /** Tokens that were sent. */
  sent: number
  /** `cancelled`: the other side went away before the answer was whole. */
  state: 'answering' | 'done' | 'cancelled' | 'broken'
}

export interface OpenAiServer extends AsyncDisposable {
  readonly port: number
  readonly calls: OpenAiCall[]
}

export interface OpenAiOptions {
  /** Of an answer whose request sets no bound; 8 if absent. */
  readonly answerTokens?: number
  /** Tokens of each prompt; by its words if absent. */
  readonly promptTokens?: number
  /** Asked before each token of a stream: to wait for what a test does meanwhile, or to break the connection off. */
  before?(call: OpenAiCall, index: number): Promise<'break' | undefined> | 'break' | undefined
}

interface Asked {
  readonly model?: string
  readonly stream?: boolean
  readonly stream_options?: { readonly include_usage?: boolean }
  readonly max_tokens?: number
  readonly max_completion_tokens?: number
  readonly messages?: readonly { readonly content?: string }[]
  readonly prompt?: string
}

/**
 * A small server of OpenAI's API, as vLLM and others speak it: chat completions and completions, whole or as a stream of
 * events, with the number of tokens that was chosen. The tokens of a stream are `t0 t1 …`.
 */
export async function startOpenAiServer(options: OpenAiOptions = {}): Promise<OpenAiServer> {
  const calls: OpenAiCall[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { url = '', headers } = request
      const call: OpenAiCall = {
        path: url,
        headers,
        body: Buffer.concat(chunks),
        sent: 0,
        state: 'answering',
      }
      calls.push(call)
      response.on('error', () => {})
      response.once('close', () => {
        if (call.state === 'answering') call.state = response.writableFinished ? 'done' : 'cancelled'
      })
      void answer(call, response, options)
    })
  })
  // Envoy keeps connections: one that is closed for idleness as a request comes would be nobody's fault.
  server.keepAliveTimeout = 0
  // Envoy opens a connection a call; who finds the queue full tries again a second later.
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    calls,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function answer(call: OpenAiCall, response: ServerResponse, options: OpenAiOptions): Promise<void> {
  const isChat = call.path === '/v1/chat/completions'
  if (!isChat && call.path !== '/v1/completions')
    return reply(response, 404, { error: { message: 'not found' } })
  let asked: Asked
  try {
    asked = JSON.parse(call.body.toString()) as Asked
  } catch {
    return reply(response, 400, { error: { message: 'malformed request', type: 'invalid_request_error' } })
  }
  const bound = asked.max_completion_tokens ?? asked.max_tokens
  const wanted = options.answerTokens ?? 8
  const completion = Math.min(bound ?? wanted, wanted)
  const prompt = options.promptTokens ?? wordsOf(asked)
  const usage = { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion }
  const finish = completion < wanted ? 'length' : 'stop'
  const kind = isChat ? 'chat.completion' : 'text_completion'
  const head = { id: `call-${prompt}`, created: 0, model: asked.model ?? '' }
  const tokens = Array.from({ length: completion }, (_, index) => `t${index} `)
  if (asked.stream !== true) {
    const text = tokens.join('')
    const choice = isChat ? { message: { role: 'assistant', content: text } } : { text }
    const choices = [{ index: 0, ...choice, finish_reason: finish }]
    call.sent = completion
    return reply(response, 200, { ...head, object: kind, choices, usage })
  }
  const isUsageWanted = asked.stream_options?.include_usage === true
  const event = (content: object) => {
    const object = isChat ? 'chat.completion.chunk' : kind
    response.write(`data: ${JSON.stringify({ ...head, object, ...content })}\n\n`)
  }
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' })
  response.flushHeaders()
  for (const [index, token] of tokens.entries()) {
    if ((await options.before?.(call, index)) === 'break') {
      call.state = 'broken'
      response.destroy()
      return
    }
    if (call.state !== 'answering') return
    const choice = isChat ? { delta: { content: token } } : { text: token }
    const isLast = index === tokens.length - 1
    const choices = [{ index: 0, ...choice, finish_reason: isLast ? finish : null }]
    event({ choices, ...(isUsageWanted && { usage: null }) })
    call.sent = index + 1
  }
  if (isUsageWanted) event({ choices: [], usage })
  response.end('data: [DONE]\n\n')
}

function wordsOf({ messages, prompt }: Asked): number {
  const text = prompt ?? (messages ?? []).map(({ content }) => content ?? '').join(' ')
  return text.split(/\s+/).filter((word) => word !== '').length
}

function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}

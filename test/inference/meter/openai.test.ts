import t from 'tap'
import type { Metered } from '#decision/usage.ts'
import { type Answer, chatPath, measured, meterOf, sse } from '../a-call.ts'
import { chunk, events, request, usage, usageOnly, whole } from './a-stream.ts'

const brief = ({ usage, source, isComplete }: Metered) => ({
  input: usage.inputTokens,
  output: usage.outputTokens,
  cached: usage.cachedInputTokens,
  reasoning: usage.reasoningTokens,
  source,
  isComplete,
})
const of = (path: string, body: string, answer: Answer = {}, asked = request()) =>
  measured(meterOf(path, asked), body, answer).metered

t.test('an answer in JSON is charged what it reports', async (t) => {
  const rows: [rule: string, path: string, body: object, wanted: object][] = [
    ['U1 chat', chatPath, { choices: [], usage }, { input: 9, output: 4 }],
    [
      'U1 before the text',
      chatPath,
      { usage, choices: [{ message: { content: 'x'.repeat(900) } }] },
      { output: 4 },
    ],
    [
      'U2 details',
      chatPath,
      {
        usage: {
          ...usage,
          prompt_tokens_details: { cached_tokens: 5 },
          completion_tokens_details: { reasoning_tokens: 3 },
        },
      },
      { input: 9, output: 4, cached: 5, reasoning: 3 },
    ],
    [
      'U2 details that are null',
      chatPath,
      { usage: { ...usage, prompt_tokens_details: null } },
      { input: 9, cached: 0 },
    ],
    [
      'U2 more cached than there was',
      chatPath,
      { usage: { ...usage, prompt_tokens_details: { cached_tokens: 50 } } },
      { cached: 9 },
    ],
    [
      'U3 Responses API',
      '/v1/responses',
      {
        usage: {
          input_tokens: 20,
          output_tokens: 8,
          input_tokens_details: { cached_tokens: 16 },
          output_tokens_details: { reasoning_tokens: 6 },
        },
      },
      { input: 20, output: 8, cached: 16, reasoning: 6 },
    ],
    [
      'U4 Anthropic, whose input leaves out the cache',
      '/v1/messages',
      {
        usage: {
          input_tokens: 20,
          output_tokens: 8,
          cache_read_input_tokens: 100,
          cache_creation_input_tokens: 30,
        },
      },
      { input: 150, output: 8, cached: 100 },
    ],
    [
      'U5 embeddings',
      '/v1/embeddings',
      { data: [], usage: { prompt_tokens: 7, total_tokens: 7 } },
      { input: 7, output: 0 },
    ],
    ['U5 only a total', '/v1/rerank', { results: [], usage: { total_tokens: 7 } }, { input: 7, output: 0 }],
    [
      'U6 the output from the total',
      chatPath,
      { usage: { prompt_tokens: 9, total_tokens: 13 } },
      { input: 9, output: 4 },
    ],
  ]
  for (const [rule, path, body, wanted] of rows) {
    const text = JSON.stringify(body)
    t.match(brief(of(path, text)), { source: 'reported', isComplete: true, ...wanted }, rule)
    t.equal(of(path, text).usage.responseBytes, text.length, rule)
  }
})

t.test('what is reported is not believed where it cannot be', async (t) => {
  const choices = [{ message: { content: 'x'.repeat(1000) } }]
  const rows: [rule: string, body: object | string, wanted: object][] = [
    ['no usage', { choices }, { output: 250 }],
    ['null', { choices, usage: null }, { output: 250 }],
    [
      'more than any call takes',
      { choices, usage: { prompt_tokens: Number.MAX_SAFE_INTEGER, completion_tokens: 2 ** 31 } },
      { output: 250 },
    ],
    [
      'no tokens for a text',
      { choices, usage: { ...usage, completion_tokens: 0 } },
      { input: 9, output: 250 },
    ],
    [
      'three tokens for a text of a thousand',
      { choices, usage: { ...usage, completion_tokens: 3 } },
      { output: 250 },
    ],
    ['negative', { choices, usage: { ...usage, completion_tokens: -4, total_tokens: -1 } }, { output: 250 }],
    [
      'a fraction',
      { choices, usage: { ...usage, completion_tokens: 4.5, total_tokens: null } },
      { output: 250 },
    ],
    ['text', { choices, usage: { prompt_tokens: '9', completion_tokens: '4' } }, { output: 250 }],
    ['no input', { choices: [], usage: { ...usage, prompt_tokens: 0 } }, { output: 4 }],
    ['half a document', JSON.stringify({ choices, usage }).slice(0, 900), {}],
    ['in another object', { choices, other: { usage } }, { output: 250 }],
    ['in a text', { choices: [{ message: { content: JSON.stringify({ usage }) } }] }, {}],
    ['in a list', [{ usage }], {}],
  ]
  for (const [rule, body, wanted] of rows) {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const metered = of(chatPath, text)
    t.match(brief(metered), { source: 'estimated', ...wanted }, rule)
    t.ok(metered.usage.inputTokens > 0, rule)
  }
  const bounded = request({ max_tokens: 30 })
  t.equal(
    of(chatPath, JSON.stringify({ choices }), {}, bounded).usage.outputTokens,
    30,
    'not above the bound',
  )
  const report = JSON.stringify({ choices, usage: { ...usage, completion_tokens: 40 } })
  t.equal(of(chatPath, report, {}, bounded).usage.outputTokens, 40, 'unless it is reported')
})

t.test('an answer that is no success takes its octets only', async (t) => {
  for (const status of [400, 404, 429, 500, 503, 301]) {
    const { usage, source } = of(chatPath, JSON.stringify({ error: 'x' }), { status })
    t.match(usage, { inferences: 0, inputTokens: 0, outputTokens: 0, responseBytes: 13 }, String(status))
    t.equal(source, 'reported')
  }
})

t.test('what cannot be read is charged what was reserved', async (t) => {
  const asked = request({ max_tokens: 30 })
  for (const answer of [
    { ...sse, encoding: 'gzip' },
    { encoding: 'br' },
    { type: 'audio/mpeg' },
    { type: '' },
  ]) {
    const { metered, out } = measured(meterOf(chatPath, asked), whole, answer)
    t.match(brief(metered), { output: 30, source: 'estimated', isComplete: true })
    t.ok(metered.usage.inputTokens >= 5)
    t.equal(out.toString(), whole)
    t.equal(of(chatPath, whole, answer, request()).usage.outputTokens, whole.length, 'unbounded: by octets')
  }
  t.match(brief(of('/v1/audio/transcriptions', 'some words', { type: 'text/plain' })), { output: 3 })
})

t.test('a stream is charged what it reports last, and while it runs what was seen', async (t) => {
  const meter = meterOf(chatPath, request())
  t.match(brief(meter.metered()), { output: 0, source: 'estimated', isComplete: false })
  t.ok(meter.metered().usage.inputTokens > 0, 'the prompt is charged though no answer came')
  meter.begin({ httpStatus: 200, contentType: 'text/event-stream', contentEncoding: '' })
  const outputs = [
    chunk('', { usage: null }),
    chunk('a'),
    chunk('bcdef'),
    chunk(null),
    chunk(' and more of it at once'),
  ].map((data) => {
    meter.feed(Buffer.from(events(data)), false)
    return meter.metered().usage.outputTokens
  })
  t.same(outputs, [0, 1, 2, 2, 8])
  meter.feed(Buffer.from(events(usageOnly)), false)
  t.match(brief(meter.metered()), { input: 9, output: 4, source: 'reported', isComplete: false })
  meter.feed(Buffer.from(events('[DONE]')), false)
  t.equal(meter.metered().isComplete, true, 'the marker is the end')
})

t.test('streams of every API are read', async (t) => {
  const named = (...list: { readonly type: string; readonly [name: string]: unknown }[]) =>
    list.map((each) => `event: ${each.type}\ndata: ${JSON.stringify(each)}\n\n`).join('')
  const responses = named(
    { type: 'response.created', response: { id: 'r', usage: null } },
    { type: 'response.output_text.delta', delta: 'one two' },
    { type: 'response.output_text.done', text: 'one two' },
  )
  const completed = named({
    type: 'response.completed',
    response: { output: [{ content: [{ text: 'one two' }] }], usage: { input_tokens: 20, output_tokens: 8 } },
  })
  const anthropic = named(
    {
      type: 'message_start',
      message: { usage: { input_tokens: 20, cache_read_input_tokens: 5, output_tokens: 1 } },
    },
    { type: 'content_block_delta', delta: { type: 'text_delta', text: 'one two three four' } },
  )
  const ended = named(
    { type: 'message_delta', delta: {}, usage: { output_tokens: 8 } },
    { type: 'message_stop' },
  )
  const tool = chunk(null, { choices: [{ delta: { tool_calls: [{ function: { arguments: '{"a":' } }] } }] })
  const continuous = events(
    chunk('a', { usage: { ...usage, completion_tokens: 1 } }),
    chunk('b', { usage: { ...usage, completion_tokens: 2 } }),
  )
  const rows: [rule: string, path: string, body: string, wanted: object][] = [
    [
      'S1 Responses API',
      '/v1/responses',
      responses + completed,
      { input: 20, output: 8, source: 'reported' },
    ],
    ['S1 broken off', '/v1/responses', responses, { output: 1, source: 'estimated' }],
    [
      'S2 Anthropic',
      '/v1/messages',
      anthropic + ended,
      { input: 25, output: 8, cached: 5, source: 'reported' },
    ],
    ['S2 broken off', '/v1/messages', anthropic, { input: 25, output: 6, source: 'estimated' }],
    ['S3 completions', '/v1/completions', events('{"choices":[{"text":"abc"}]}', '[DONE]'), { output: 1 }],
    [
      'S4 reasoning',
      chatPath,
      events('{"choices":[{"delta":{"reasoning_content":"abcdefgh"}}]}'),
      { output: 1 },
    ],
    ['S4 calls of tools', chatPath, events(tool, tool), { output: 2 }],
    [
      'S5 several choices',
      chatPath,
      events('{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}'),
      { output: 1 },
    ],
    ['S6 usage all along', chatPath, continuous, { input: 9, output: 2, source: 'reported' }],
    [
      'S6 less than before',
      chatPath,
      events(usageOnly, chunk(null, { usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } })),
      { input: 9, output: 4, source: 'reported' },
    ],
    [
      'S6 and text after it',
      chatPath,
      continuous + events(chunk('12345678')),
      { output: 3, source: 'estimated' },
    ],
    [
      'S7 usage with the last text',
      chatPath,
      events(chunk('a'), chunk('b', { usage })),
      { output: 4, source: 'reported' },
    ],
    ['S8 an error in the stream', chatPath, events(chunk('a'), '{"error":{"message":"x"}}'), { output: 1 }],
    [
      'S9 no space behind the colon',
      chatPath,
      whole.replaceAll('data: ', 'data:'),
      { output: 4, source: 'reported' },
    ],
    ['S9 CRLF', chatPath, whole.replaceAll('\n', '\r\n'), { output: 4, source: 'reported' }],
    ['S9 CR', chatPath, whole.replaceAll('\n', '\r'), { output: 4, source: 'reported' }],
    ['S9 a byte order mark', chatPath, `\ufeff${whole}`, { output: 4, source: 'reported' }],
    [
      'S9 comments and other fields',
      chatPath,
      `: {"usage":{}}\nid: 1\nretry: 2\n${whole}`,
      { output: 4, source: 'reported' },
    ],
    [
      'S9 a document on several lines',
      chatPath,
      events('{"choices":[],\ndata: "usage":\ndata:{"prompt_tokens":9,"completion_tokens":4}}'),
      { output: 4 },
    ],
    [
      'S9 no blank line at the end',
      chatPath,
      whole.slice(0, -16).trimEnd(),
      { output: 4, source: 'reported' },
    ],
    [
      'S9 blanks in the document',
      chatPath,
      events(usageOnly.replaceAll(':', ' : ').replaceAll(',', ' , ')),
      { output: 4 },
    ],
    ['S10 no JSON', chatPath, events('hello', '"x"', '[1', '}{'), { output: 0, source: 'estimated' }],
  ]
  for (const [rule, path, body, wanted] of rows)
    t.match(brief(of(path, body, sse)), { isComplete: true, ...wanted }, rule)
})

t.test('an event of any length is read, and one that is too long is not held back', async (t) => {
  const long = events(chunk('x'.repeat(3 << 20)), usageOnly)
  const meter = meterOf(chatPath, request())
  meter.requestReport()
  meter.begin({ httpStatus: 200, contentType: 'text/event-stream', contentEncoding: '' })
  const out: Uint8Array[] = []
  let held = 0
  for (let at = 0; at < long.length; at += 65_536) {
    const piece = Buffer.from(long.slice(at, at + 65_536))
    out.push(meter.feed(piece, at + 65_536 >= long.length))
    held = Math.max(
      held,
      Math.min(at + 65_536, long.length) - out.reduce((sum, each) => sum + each.length, 0),
    )
  }
  t.equal(Buffer.concat(out).toString(), events(chunk('x'.repeat(3 << 20))))
  t.ok(held <= (1 << 20) + 200, String(held))
  t.ok(
    meter.metered().usage.outputTokens >= (3 << 20) / 4,
    'four tokens for three megabytes are not believed',
  )

  const cut = meterOf(chatPath, request())
  cut.begin({ httpStatus: 200, contentType: 'text/event-stream', contentEncoding: '' })
  cut.feed(Buffer.from(`data: ${'x'.repeat(2 << 20)}`), false)
  t.match(
    Buffer.from(cut.farewell('over') ?? '').toString(),
    /^\n\ndata: /,
    'the event is ended before the farewell',
  )
})

t.test('a stream that is ended early says so in its own form', async (t) => {
  const rows: [path: string, farewell: string][] = [
    [
      chatPath,
      'data: {"error":{"message":"no \\"more\\"","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}\n\ndata: [DONE]\n\n',
    ],
    [
      '/v1/responses',
      'event: error\ndata: {"type":"error","code":"insufficient_quota","message":"no \\"more\\"","param":null}\n\n',
    ],
    [
      '/v1/messages',
      'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"no \\"more\\""}}\n\n',
    ],
    ['/v2/models/llm/generate_stream', 'data: {"error":"no \\"more\\""}\n\n'],
  ]
  for (const [path, farewell] of rows) {
    const meter = meterOf(path, request())
    t.equal(meter.farewell('x'), undefined, 'nothing was answered yet')
    meter.begin({ httpStatus: 200, contentType: 'text/event-stream', contentEncoding: '' })
    t.equal(meter.feed(Buffer.from('data: {"choices":'), false).length, 0, 'half an event is held back')
    t.equal(Buffer.from(meter.farewell('no "more"') ?? '').toString(), farewell)
  }
  for (const answer of [{ type: 'application/json' }, { ...sse, encoding: 'gzip' }]) {
    const meter = meterOf(chatPath, request())
    measured(meter, '', answer)
    t.equal(meter.farewell('x'), undefined)
  }
})

t.test('what nobody could bound is charged as far as it was seen', async (t) => {
  const rows: [rule: string, change: Parameters<typeof meterOf>[2], body: string][] = [
    ['a body without a length', { isBodyComplete: false }, request().slice(0, 30)],
    ['a compressed one', { headers: [['content-encoding', 'gzip']] }, request()],
  ]
  for (const [rule, change, body] of rows) {
    for (const answer of [sse, { ...sse, encoding: 'gzip' }]) {
      const { usage } = measured(meterOf('/v1/embeddings', body, change), whole, answer).metered
      t.match(usage, { inferences: 1, cachedInputTokens: 0 }, rule)
      t.ok(
        usage.inputTokens < 1000 && usage.requestBytes === body.length,
        `${rule}: ${JSON.stringify(usage)}`,
      )
    }
  }
  const chained = request({ previous_response_id: 'r', input: 'x'.repeat(400) })
  const { usage } = measured(meterOf('/v1/responses', chained), '{}').metered
  t.ok(usage.inputTokens >= 100 && usage.inputTokens < 300, 'the text that was seen')
})

t.test('an event that reports without end is remembered in part', async (t) => {
  const reports = Array.from({ length: 1000 }, (_, index) => `"usage":{"completion_tokens":${index + 1}}`)
  const metered = of(chatPath, `data: {${reports.join(',')}}\n\n`, sse, request({ stream: true }))
  t.equal(metered.usage.outputTokens, 64)
})

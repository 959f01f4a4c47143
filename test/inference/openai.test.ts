import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import { createInferenceStage } from '#inference/inference.ts'
import { createTenantCeiling } from '#policy/policy.ts'
import { acme, inTurn, someRequest, someResources, strictForm } from '../decision/an-exchange.ts'
import fc from '../fast-check.ts'

const stage = createInferenceStage()
const ceiling = createTenantCeiling()

function ask(
  path: string,
  body: string | undefined,
  change: Partial<Parameters<typeof someRequest>[0]> = {},
) {
  const request = someRequest({
    path,
    ...(body !== undefined && { body: Buffer.from(body) }),
    ...change,
  })
  const x: Exchange = {
    id: 'd',
    request,
    resources: someResources(),
    startedUs: 0,
    tenant: { ...acme, models: ['meta-llama/*'] },
  }
  const verdict = inTurn(x, strictForm, stage)
  return { x, verdict, ceiling: verdict.kind === 'allow' ? (ceiling.request?.(x) as Verdict) : undefined }
}
const chat = '/v1/chat/completions'
const body = (more: object = {}) =>
  JSON.stringify({ model: 'meta-llama/Llama-3.1-8B', messages: [{ role: 'user', content: 'hi' }], ...more })

t.test('a call of the API is known by its model, its verb and what it asks for', async (t) => {
  const rows: [path: string, body: string, call: object][] = [
    [chat, body(), { verb: 'generate', generation: { isStream: false, messages: 1 } }],
    [
      `${chat}?api-version=1`,
      body({ stream: true, max_tokens: 7, max_completion_tokens: 9, n: 2, tools: [1, 2, 3] }),
      {
        verb: 'generate_stream',
        generation: { isStream: true, maxTokens: 9, choices: 2, messages: 1, tools: 3 },
      },
    ],
    [
      '/v1/completions',
      body({ messages: 'x', max_tokens: -1, n: 1.5 }),
      { verb: 'generate', generation: { isStream: false } },
    ],
    ['/v1/embeddings', body({ stream: true, input: ['a'] }), { verb: 'embed' }],
    [
      '/v1/responses',
      body({ max_output_tokens: 5 }),
      { verb: 'generate', generation: { isStream: false, maxTokens: 5, messages: 1 } },
    ],
  ]
  for (const [path, text, call] of rows) {
    const { x, verdict, ceiling } = ask(path, text)
    t.equal(verdict.kind, 'allow', path)
    t.match(x.call, { protocol: 'openai', model: 'meta-llama/Llama-3.1-8B', ...call }, path)
    t.equal(ceiling?.kind, 'allow', path)
  }
})

t.test('what is not of the API is left alone', async (t) => {
  for (const [path, method] of [
    ['/v1/models', 'GET'],
    [chat, 'GET'],
    ['/v1/files', 'POST'],
    ['/chat/completions', 'POST'],
  ] as const) {
    const { x, verdict } = ask(path, body(), { method })
    t.equal(verdict.kind, 'allow', path)
    t.equal(x.call, undefined, path)
  }
})

t.test('a model that is not seen is no model of the tenant', async (t) => {
  const rows: [name: string, body: string | undefined, change?: object][] = [
    ['no body', undefined],
    ['half a body', body(), { isBodyComplete: false }],
    ['a compressed body', 'x', { headers: [['content-encoding', 'gzip']] }],
    [
      'a form',
      '--x\r\ncontent-disposition: form-data; name=model\r\n\r\nmeta-llama/x',
      { path: '/v1/audio/transcriptions' },
    ],
  ]
  for (const [name, text, change] of rows) {
    const { x, verdict, ceiling } = ask(chat, text, change)
    t.equal(verdict.kind, 'allow', name)
    t.match(x.call, { protocol: 'openai', verb: 'generate' }, name)
    t.equal(x.call?.model, undefined, name)
    t.match(ceiling, { kind: 'deny', reason: 'model_not_permitted' }, name)
  }
  t.match(ask(chat, JSON.stringify({ model: 'other/model' })).ceiling, {
    kind: 'deny',
    reason: 'model_not_permitted',
  })
})

t.test('a body that only the server can read is refused, so that none runs unmeasured', async (t) => {
  const rows: [name: string, body: string | Buffer][] = [
    ['half an object', '{"model": "meta-llama/x"'],
    ['a form where none is taken', '--x\r\ncontent-disposition: form-data; name=model\r\n\r\nmeta-llama/x'],
    ['a list', '[{"model": "meta-llama/x"}]'],
    ['a comma too many', '{"model": "meta-llama/x",}'],
    ['a nesting that overflows', `{"model": "meta-llama/x", "a": ${'['.repeat(200_000)}`],
    ['a number that Python knows', '{"model": "meta-llama/x", "stream": true, "temperature": NaN}'],
    ['a byte order mark', '\ufeff{"model": "meta-llama/x", "stream": true}'],
    ['UTF-16', Buffer.from('{"model": "meta-llama/x", "stream": true}', 'utf16le')],
  ]
  for (const [name, body] of rows)
    t.match(
      ask(chat, undefined, { body: Buffer.from(body) }).verdict,
      { kind: 'deny', reason: 'request_malformed' },
      name,
    )
})

t.test('a stream that a lenient server would begin, or not report, behind our back is refused', async (t) => {
  const rows: object[] = [
    { stream: 'true' },
    { stream: 1 },
    { stream: 'no' },
    { Stream: true },
    { stream: true, stream_options: [] },
    { stream: true, stream_options: 'x' },
    { stream: true, stream_options: { include_usage: 0 } },
    { stream: true, stream_options: { include_usage: 'false' } },
    { stream: true, stream_options: { Include_Usage: true } },
    { stream: true, Stream_Options: { include_usage: true } },
  ]
  for (const more of rows)
    t.match(
      ask(chat, body(more)).verdict,
      { kind: 'deny', reason: 'request_malformed' },
      JSON.stringify(more),
    )
  for (const more of [
    { stream: null },
    { stream: true, stream_options: null },
    { stream: true, stream_options: { include_usage: null, continuous_usage_stats: true } },
  ])
    t.equal(ask(chat, body(more)).verdict.kind, 'allow', JSON.stringify(more))
})

t.test('what two readers would read otherwise is refused', async (t) => {
  const twice = [
    '{"model":"meta-llama/a","model":"other"}',
    '{"model":"meta-llama/a","messages":[{"model":"x"}],"mod\\u0065l":"other"}',
    '{"model":"meta-llama/a","Model":"other"}',
    '{"stream":false,"model":"meta-llama/a","stream":true}',
    '{"model":"a\\"","x":{"y":[","]},"MODEL":"b"}',
  ]
  for (const text of twice)
    t.match(ask(chat, text).verdict, { kind: 'deny', reason: 'request_malformed' }, text)
  for (const model of [
    '',
    '../x',
    'a//b',
    '/a',
    'a b',
    'a\u0000',
    'x'.repeat(300),
    5,
    null,
    ['a'],
    undefined,
  ])
    t.match(
      ask(chat, JSON.stringify({ model })).verdict,
      { kind: 'deny', reason: 'model_name_invalid' },
      String(model),
    )
})

t.test('keys that stand once are never taken for repeated, whatever else is in the body', async (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 4 })), (more) => {
      const keys = Object.keys(more).map((key) => key.toLowerCase())
      fc.pre(new Set(keys).size === keys.length && !keys.includes('model'))
      const { verdict } = ask(chat, JSON.stringify({ ...more, model: 'meta-llama/x' }))
      // Not by the name of an assertion: some texts in there end the report of the test.
      return verdict.kind === 'allow'
    }),
    { numRuns: 300 },
  )
  t.pass()
})

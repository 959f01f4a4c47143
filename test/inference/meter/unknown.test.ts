import t from 'tap'
import { createCanonicalStage } from '#canonical/canonical.ts'
import type { Exchange } from '#decision/exchange.ts'
import { createInferenceStage } from '#inference/inference.ts'
import { inTurn } from '../../decision/an-exchange.ts'
import fc from '../../fast-check.ts'
import { type Answer, judged, measured, sse } from '../a-call.ts'

const prompt = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] })

function of(path: string, body: string, answer: Answer = {}) {
  const { x, verdict } = judged(path, prompt)
  t.equal(verdict.kind, 'allow', path)
  t.equal(x.call, undefined, path)
  if (x.meter === undefined) throw new Error('no meter')
  const { usage, source } = measured(x.meter, body, answer).metered
  return { input: usage.inputTokens, output: usage.outputTokens, bytes: usage.responseBytes, source }
}

t.test('a path that nobody knows is no way around the meter', async (t) => {
  const usage = { prompt_tokens: 9, completion_tokens: 4000, total_tokens: 4009 }
  const reported = { input: 9, output: 4000, source: 'reported' }
  const estimated = { input: Math.ceil(prompt.length / 4), source: 'estimated' }
  const words = 'x'.repeat(400)
  const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`
  const rows: [rule: string, path: string, body: string, answer: Answer, wanted: object][] = [
    ['vLLM', '/invocations', JSON.stringify({ choices: [], usage }), {}, reported],
    [
      'a stream',
      '/invocations',
      event({ choices: [{ delta: { content: 'a' } }] }) + event({ choices: [], usage }),
      sse,
      reported,
    ],
    [
      'a stream without a report',
      '/x',
      event({ choices: [{ delta: { content: words } }] }),
      sse,
      { ...estimated, output: 100 },
    ],
    ['TGI', '/generate', JSON.stringify({ generated_text: words }), {}, { ...estimated, output: 100 }],
    ['Ollama', '/api/generate', JSON.stringify({ response: words }), {}, { ...estimated, output: 100 }],
    [
      'Ollama, a stream',
      '/api/generate',
      '{"response":"a"}\n{"response":"b","done":false}\r\n{"response":"","done":true,"prompt_eval_count":9,"eval_count":4000}\n',
      { type: 'application/x-ndjson' },
      reported,
    ],
    [
      'Ollama, a stream that breaks off',
      '/api/chat',
      '{"message":{"content":"a"}}\n{"message":{"content":"b"}}\n{"message":{"content":"c',
      { type: 'application/x-ndjson; charset=utf-8', isBroken: true },
      { ...estimated, output: 2 },
    ],
    [
      'lines without an end',
      '/x',
      '{"text":"a"}\n{"usage":{"prompt_tokens":9,"completion_tokens":4000},"text":"b"}',
      { type: 'application/jsonl' },
      reported,
    ],
    ['plain text', '/x', words, { type: 'text/plain' }, { ...estimated, output: 100 }],
    [
      'what cannot be read',
      '/x',
      words,
      { type: 'application/zip' },
      { source: 'estimated', input: prompt.length, output: 400 },
    ],
    ['an error', '/x', words, { status: 404 }, { input: 0, output: 0, bytes: 400 }],
  ]
  for (const [rule, path, body, answer, wanted] of rows) t.match(of(path, body, answer), wanted, rule)
})

t.test('however lines are cut, what they take is the same', async () => {
  const lines =
    '{"response":"é one"}\n\n{"response":"two \\n \\u4e2d"}\r\n{"eval_count":5,"response":"three"}\n'
  const answer = { type: 'application/x-ndjson' }
  const whole = of('/api/generate', lines, answer)
  fc.assert(
    fc.property(fc.array(fc.nat(lines.length)), (cuts) => {
      const { x } = judged('/api/generate', prompt)
      if (x.meter === undefined) return false
      const { metered, out } = measured(x.meter, lines, answer, cuts)
      return out.toString() === lines && metered.usage.outputTokens === whole.output && whole.output === 5
    }),
  )
})

t.test('a path that is not canonical is none either, where nobody refuses it', async (t) => {
  const loose = createCanonicalStage({ isStrict: false, tenantHeaders: [] })
  for (const path of ['/v1/chat/%63ompletions', '/v1//chat/completions']) {
    const { x } = judged('/x', prompt)
    const odd: Exchange = { ...x, request: { ...x.request, path } }
    delete odd.meter
    t.equal(inTurn(odd, loose, createInferenceStage()).kind, 'allow', path)
    if (odd.meter === undefined) throw new Error('no meter')
    const body = JSON.stringify({ usage: { prompt_tokens: 9, completion_tokens: 70 } })
    t.match(measured(odd.meter, body).metered, { usage: { inputTokens: 9, outputTokens: 70 } }, path)
  }
})

t.test('a request without a body has no model compute, and its answer is octets', async (t) => {
  for (const type of ['text/html', 'application/zip', 'application/json']) {
    const { x } = judged('/files/1', undefined, { method: 'GET' })
    if (x.meter === undefined) throw new Error('no meter')
    t.match(
      measured(x.meter, 'x'.repeat(900), { type }).metered,
      { usage: { inputTokens: 0, outputTokens: 0, responseBytes: 900 }, isComplete: true },
      type,
    )
  }
})
